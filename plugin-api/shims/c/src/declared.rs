//! What the C file says of itself, in the structs of `pathspider_plugin.h`.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use pathspider_plugin_api::{
    Carrier, ChainInfo, Class, Condition, Configuration, Connectivity, Error, FieldInfo, FieldType,
    Hold, Info, Job, OptionSpec, OptionValues, Options, Result,
};

use crate::lent::{Conclusion, Connecting, Fields, LentFlow, LentFlows};

/// The version of the header (`PS_VERSION`).
const VERSION: u32 = 1;

const FORGES: u32 = 1;
const BLOCKS: u32 = 1 << 1;
const TAKES_NAMES: u32 = 1 << 2;

/// The kind of a condition that stands for four (`PS_CONNECTIVITY`).
const CONNECTIVITY: c_int = 4;

/// Octets that a flow's state may have.
const FLOW_LIMIT: usize = 4096;

unsafe extern "C" {
    // Constant, and the C file's: it is read after its version alone.
    #[link_name = "pathspider_plugin"]
    static PLUGIN: CPlugin;
}

/// `ps_plugin`.
#[repr(C)]
pub(crate) struct CPlugin {
    version: u32,
    name: *const c_char,
    release: *const c_char,
    description: *const c_char,
    contact: *const c_char,
    port: u16,
    needs: u32,
    options: *const COption,
    conditions: *const CCondition,
    configurations: *const CConfiguration,
    chains: *const *const c_char,
    own_chains: *const CChain,
    pub(crate) start: Option<unsafe extern "C" fn(*const OptionValues) -> *mut c_void>,
    pub(crate) stop: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(crate) connect:
        Option<unsafe extern "C" fn(*mut c_void, *const Job, c_uint, *mut Connecting) -> c_int>,
    pub(crate) as_meant: Option<unsafe extern "C" fn(*mut c_void, *const LentFlow<'_>) -> c_int>,
    pub(crate) combine:
        Option<unsafe extern "C" fn(*mut c_void, *const LentFlows<'_>, *mut Conclusion) -> c_int>,
}

// SAFETY: it is constant, and so is all that it points to.
unsafe impl Sync for CPlugin {}
// SAFETY: as above; what crosses threads are references to it.
unsafe impl Sync for CChain {}

#[repr(C)]
struct COption {
    name: *const c_char,
    kind: c_int,
    help: *const c_char,
    min: f64,
    max: f64,
    standard: f64,
    text: *const c_char,
}

#[repr(C)]
struct CCondition {
    name: *const c_char,
    kind: c_int,
    meaning: *const c_char,
}

#[repr(C)]
struct CConfiguration {
    name: *const c_char,
    carrier: c_int,
}

#[repr(C)]
struct CField {
    name: *const c_char,
    kind: c_int,
    unit: *const c_char,
    meaning: *const c_char,
}

/// `ps_chain`.
#[repr(C)]
pub(crate) struct CChain {
    name: *const c_char,
    description: *const c_char,
    fields: *const CField,
    flow_octets: usize,
    pub(crate) packet: Option<unsafe extern "C" fn(*mut c_void, *const crate::chain::CPacket)>,
    pub(crate) finish: Option<unsafe extern "C" fn(*const c_void, *mut Fields<'_, '_>)>,
}

/// A text of the C file's; empty where there is none or it is not UTF-8.
///
/// # Safety
///
/// It is null, or ends with a zero octet and lives as long as the process.
pub(crate) unsafe fn text(pointer: *const c_char) -> &'static str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("")
}

/// A list of the C file's, whose end is an element without a name.
fn list<T>(first: *const T, name: impl Fn(&T) -> *const c_char) -> &'static [T] {
    if first.is_null() {
        return &[];
    }
    let mut count = 0;
    // SAFETY: by the header, a list lives as long as the process and ends with such an element.
    unsafe {
        while !name(&*first.add(count)).is_null() {
            count += 1;
        }
        std::slice::from_raw_parts(first, count)
    }
}

/// The plugin.
///
/// # Errors
///
/// It was compiled with another header.
pub(crate) fn plugin() -> Result<&'static CPlugin> {
    // SAFETY: the linker found it, and each version of the header begins with its number.
    let version = unsafe { (&raw const PLUGIN.version).read() };
    if version != VERSION {
        return Err(Error::contract(format_args!(
            "it was compiled with version {version} of pathspider_plugin.h, and linked with a library of \
             version {VERSION}; take both from one release"
        )));
    }
    // SAFETY: it is of this version.
    Ok(unsafe { &PLUGIN })
}

impl CPlugin {
    pub(crate) fn chains(&self) -> &'static [CChain] {
        list(self.own_chains, |chain| chain.name)
    }

    /// The names of the chains whose fields are read.
    pub(crate) fn chains_read(&self) -> impl Iterator<Item = &'static str> {
        // SAFETY: texts of the header's lists.
        list(self.chains, |name| *name).iter().map(|name| unsafe { text(*name) })
    }

    pub(crate) fn configurations(&self) -> Vec<Configuration> {
        let one = |(place, one): (usize, &'static CConfiguration)| {
            // SAFETY: as above.
            let label = unsafe { text(one.name) };
            let carrier = if one.carrier == 0 { Carrier::Opening } else { Carrier::Data };
            // Nothing but settings of the socket makes the difference: they hold for themselves.
            Configuration::new(place, label).hold(Hold::Initiation).carrier(carrier)
        };
        list(self.configurations, |one| one.name).iter().enumerate().map(one).collect()
    }

    /// Who it is, and its options.
    pub(crate) fn describe(&self) -> Result<(Info, Options)> {
        // SAFETY: texts of the header's struct.
        let [name, release, description, contact] =
            [self.name, self.release, self.description, self.contact].map(|it| unsafe { text(it) });
        let mut info = Info::new(name, release, description).contact(contact).port(self.port);
        info.forges = self.needs & FORGES != 0;
        info.blocking = self.needs & BLOCKS != 0;
        info.names = self.needs & TAKES_NAMES != 0;
        for condition in list(self.conditions, |condition| condition.name) {
            info = match condition.kind {
                CONNECTIVITY => {
                    // SAFETY: as above.
                    let words = self.connectivity(unsafe { text(condition.name) })?;
                    info.conditions(&[&words.conditions()])
                }
                _ => info.conditions(&[&[condition.declared()?]]),
            };
        }
        if self.connect.is_none() || self.as_meant.is_none() || self.combine.is_none() {
            return Err(Error::contract("it lacks connect, as_meant or combine"));
        }
        let options = list(self.options, |option| option.name).iter().map(COption::declared);
        Ok((info, options.collect::<Result<_>>()?))
    }

    /// Those of PS_CONNECTIVITY, by their names.
    fn connectivities(&self) -> &'static [(&'static str, Connectivity)] {
        static MADE: OnceLock<Vec<(&str, Connectivity)>> = OnceLock::new();
        MADE.get_or_init(|| {
            let all = list(self.conditions, |condition| condition.name).iter();
            let compared = all.filter(|condition| condition.kind == CONNECTIVITY);
            let made = compared.map(|condition| {
                // SAFETY: texts of the header's lists.
                let [name, works] =
                    [condition.name, condition.meaning].map(|it| unsafe { text(it) });
                (name, Connectivity::leaked(name, Some(works).filter(|works| !works.is_empty())))
            });
            made.collect()
        })
    }

    /// The words of PS_CONNECTIVITY that are declared with this name.
    pub(crate) fn connectivity(&self, name: &str) -> Result<Connectivity> {
        let found = self.connectivities().iter().find(|(declared, _)| *declared == name);
        found.map(|(_, words)| *words).ok_or_else(|| {
            Error::contract(format_args!(
                "it compares by {name:?}, which is no PS_CONNECTIVITY of its conditions"
            ))
        })
    }
}

impl CCondition {
    fn declared(&self) -> Result<Condition> {
        // SAFETY: texts of the header's lists.
        let [name, meaning] = [self.name, self.meaning].map(|it| unsafe { text(it) });
        let class = match self.kind {
            0 => Class::Good,
            1 => Class::Absent,
            2 => Class::Impaired,
            3 => Class::Unknown,
            other => {
                let what =
                    format_args!("its condition {name} has the kind {other}, which does not exist");
                return Err(Error::contract(what));
            }
        };
        Ok(Condition::declare(name, class, meaning))
    }
}

impl COption {
    fn declared(&self) -> Result<OptionSpec> {
        // SAFETY: texts of the header's lists.
        let [name, help, words] = [self.name, self.help, self.text].map(|it| unsafe { text(it) });
        let options = Options::none();
        let (min, max) = (self.min as i64, self.max as i64);
        let options = match self.kind {
            0 => options.flag(name, help),
            1 => options.integer(name, min..=max, self.standard as i64, help),
            2 => options.number(name, self.min..=self.max, self.standard, "N", help),
            3 => options.text(name, words, help),
            4 => {
                let words: Vec<&str> = words.split_ascii_whitespace().collect();
                options.choice(name, &words, help)
            }
            other => {
                let what =
                    format_args!("its option {name} has the kind {other}, which does not exist");
                return Err(Error::contract(what));
            }
        };
        let spec = options.iter().next().cloned();
        spec.ok_or_else(|| Error::contract(format_args!("its option {name} cannot be declared")))
    }
}

impl CChain {
    /// Octets of a flow's state.
    pub(crate) fn flow_octets(&self) -> usize {
        self.flow_octets.min(FLOW_LIMIT)
    }

    /// Its name and fields.
    pub(crate) fn describe(&self) -> ChainInfo {
        // SAFETY: texts of the header's lists, here and below.
        let [name, description] =
            [self.name, self.description].map(|it| unsafe { text(it) }.to_owned());
        let fields = list(self.fields, |field| field.name).iter().map(|field| FieldInfo {
            // SAFETY: as above.
            name: unsafe { text(field.name) }.to_owned(),
            kind: match field.kind {
                0 => FieldType::Bool,
                2 => FieldType::Float,
                3 => FieldType::Text,
                _ => FieldType::UInt,
            },
            // SAFETY: as above.
            unit: unsafe { text(field.unit) }.to_owned(),
            // SAFETY: as above.
            meaning: unsafe { text(field.meaning) }.to_owned(),
        });
        ChainInfo { name, description, fields: fields.collect() }
    }
}
