//! The plugin's functions as records: each call is a text in JSON both ways (`bridge.py`).

use std::sync::OnceLock;

use pathspider_plugin_api::abi::{chain_from_record, measurement_from_record};
use pathspider_plugin_api::{
    ChainInfo, Connectivity, Error, Host, Info, Level, Options, Record, Result, Value,
};

use crate::python::Module;
use crate::source;

const BRIDGE: &str = include_str!("bridge.py");
/// What plugins import as `pathspider`.
const API: &str = include_str!("../../../../sdk-template/python/pathspider.py");

/// Packets of a flow that a chain is shown at most.
const MOST_PACKETS: u64 = 256;

/// The host, for the plugin's messages.
pub(crate) static HOST: OnceLock<Host> = OnceLock::new();

/// The Python file, as it describes itself.
pub(crate) struct Plugin {
    module: Module,
    pub(crate) info: Info,
    pub(crate) options: Options,
    pub(crate) chains: Vec<OwnChain>,
}

/// A chain of the plugin's.
pub(crate) struct OwnChain {
    pub(crate) info: ChainInfo,
    /// How many packets of a flow it is shown.
    pub(crate) packets: usize,
}

/// The plugin, which is run once.
///
/// # Errors
///
/// Why it cannot be run, or is none.
pub(crate) fn plugin() -> Result<&'static Plugin> {
    static PLUGIN: OnceLock<Result<Plugin>> = OnceLock::new();
    PLUGIN.get_or_init(Plugin::load).as_ref().map_err(Error::clone)
}

impl Plugin {
    fn load() -> Result<Plugin> {
        let source = source::beside()?;
        let path = source.to_str().ok_or_else(|| Error::new("its path is not UTF-8"))?;
        let name = source.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let file = source.file_name().map(|name| name.to_string_lossy().into_owned());
        let of_file = |error: Error| {
            Error::of(
                error.kind(),
                format_args!("{}: {}", file.as_deref().unwrap_or(path), error.message()),
            )
        };
        let module = format!("_pathspider_{name}");
        let module =
            Module::run(&module, BRIDGE, &[("SOURCE", path), ("NAME", name), ("API", API)])?;
        read(&module.call(c"load", &[])?).map_err(of_file)?;
        let said = read(&module.call(c"call", &["describe", "null"])?).map_err(of_file)?;
        let (info, options) = measurement(&said).map_err(of_file)?;
        let chains = said.get("chains").and_then(Value::as_list).unwrap_or_default();
        let chains = chains.iter().filter_map(Value::as_record).map(|chain| {
            let packets = chain.u64("packets").unwrap_or(MOST_PACKETS).min(MOST_PACKETS);
            Ok(OwnChain { info: chain_from_record(chain)?, packets: packets as usize })
        });
        let chains = chains.collect::<Result<_>>().map_err(of_file)?;
        Ok(Plugin { module, info, options, chains })
    }

    /// Calls a function of the plugin.
    ///
    /// # Errors
    ///
    /// The exception that it raised.
    pub(crate) fn call(&self, function: &str, argument: &Record) -> Result<Record> {
        let argument = serde_json::to_string(argument)?;
        read(&self.module.call(c"call", &[function, &argument])?)
    }
}

/// Reads what a function gave. What it logged is logged.
fn read(text: &str) -> Result<Record> {
    let mut given: Record = serde_json::from_str(text)?;
    let logged = given.remove("log");
    for message in logged.as_ref().and_then(Value::as_list).unwrap_or_default() {
        let Some([level, text]) = message.as_list() else { continue };
        let level = match level.as_str() {
            Some("debug") => Level::Debug,
            Some("warning") => Level::Warning,
            _ => Level::Info,
        };
        if let Some(host) = HOST.get() {
            host.log(level, text.as_str().unwrap_or_default());
        }
    }
    match given.str("error") {
        Some(error) => Err(Error::new(error)),
        None => Ok(given),
    }
}

/// Who the measurement is, and its options.
fn measurement(said: &Record) -> Result<(Info, Options)> {
    let said = said.get("measurement").and_then(Value::as_record);
    let mut said = said.cloned().ok_or_else(|| Error::contract("it describes no measurement"))?;
    let declared = said.remove("conditions");
    let mut conditions = Vec::new();
    for condition in declared.as_ref().and_then(Value::as_list).unwrap_or_default() {
        let name = condition.as_record().and_then(|condition| condition.str("connectivity"));
        match name {
            Some(name) => {
                let works = condition.as_record().and_then(|condition| condition.str("works"));
                let four = Connectivity::leaked(name, works).conditions();
                conditions.extend(four.iter().map(|one| {
                    Value::from(
                        Record::new()
                            .with("name", one.as_str())
                            .with("class", one.class().name())
                            .with("meaning", one.meaning()),
                    )
                }));
            }
            None => conditions.push(condition.clone()),
        }
    }
    measurement_from_record(&said.with("conditions", conditions))
}
