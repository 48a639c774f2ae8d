//! The rules of the contract that a program can see to, by the names that messages and
//! `pathspider check` give them. Hosts apply them to every job, and so does the testing kit.

use std::fmt;

use crate::carriage;
use crate::connect::Settings;
use crate::{
    Class, Condition, ConditionInfo, ConfigId, Configuration, Connect, ConnectKind, Error, Info,
    Job, Record, State, Value,
};

/// A rule that a running measurement is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunRule {
    /// Only conditions that are declared.
    DeclaredConditions,
    /// A configuration's number is that of a configuration.
    ConfigurationIndex,
    /// Records that JSON can carry, without a key twice.
    ValidRecords,
    /// The host's keys are the host's.
    ReservedKeys,
    /// No function keeps its thread for long.
    Blocking,
    /// What the others do not say.
    Run,
}

impl RunRule {
    /// The name, as `pathspider check --list-rules` has it.
    pub fn name(self) -> &'static str {
        match self {
            RunRule::DeclaredConditions => "declared-conditions",
            RunRule::ConfigurationIndex => "configuration-index",
            RunRule::ValidRecords => "valid-records",
            RunRule::ReservedKeys => "reserved-keys",
            RunRule::Blocking => "blocking",
            RunRule::Run => "run",
        }
    }

    /// What it is that a function broke it.
    pub fn broken(self, function: &str, what: impl fmt::Display) -> Broken {
        Broken { rule: self, what: format!("{function}: {what}") }
    }
}

/// A rule that was broken.
#[derive(Debug)]
pub struct Broken {
    /// Which.
    pub rule: RunRule,
    /// By which function, and how.
    pub what: String,
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Error {
        Error::contract(format_args!("{} (rule {})", broken.what, broken.rule.name()))
    }
}

/// Reasons of a connection that the host refused to make: the address that it would have gone to is
/// on the blocklist, or is a special-purpose one.
pub const BLOCKLISTED: &str = "blocklisted";
/// See [`BLOCKLISTED`].
pub const SPECIAL_ADDRESS: &str = "special_address";

/// Keys that the host writes into a job's record.
pub const JOB_KEYS: [&str; 22] = [
    "answered_from",
    "conditions",
    "failures",
    "flow_results",
    "forward",
    "input",
    "jobId",
    "location",
    "missed_flows",
    "path",
    "plugin",
    "round",
    "rtt",
    "run",
    "schema",
    "sip",
    "spdr_error",
    "tags",
    "time",
    "translated",
    "vantage",
    "version",
];

/// Keys that the host alone writes into a flow result, beside those that `merge` is given.
pub const FLOW_KEYS: [&str; 3] = ["jobId", "spdr_claimed", "spdr_outcome"];

/// Checks the configurations of a measurement.
///
/// # Errors
///
/// There is none, or a person could not tell two of them apart.
pub fn check_configurations(list: &[Configuration]) -> Result<(), Error> {
    let wrong = |what: String| Err(Error::contract(format_args!("configurations: {what}")));
    if list.is_empty() {
        return wrong("there is none; the first one is the baseline".to_owned());
    }
    for (place, one) in list.iter().enumerate() {
        if one.label().is_empty() {
            return wrong(format!("number {place} has no label"));
        }
        if list[..place].iter().any(|other| other.label() == one.label()) {
            return wrong(format!("two have the label {:?}", one.label()));
        }
    }
    Ok(())
}

/// Checks what `connect` gave.
pub fn check_connect(connect: &Connect, info: &Info) -> Result<(), Broken> {
    let undeclared = match connect.kind() {
        ConnectKind::Syn if !info.forges => Some(
            "a SYN of its own, and neither offers `syn` (Options::connect) nor declares Info::forges",
        ),
        ConnectKind::Packets if !info.forges => Some("packets, and does not declare Info::forges"),
        ConnectKind::Conversation if !info.converses => {
            Some("a conversation, and does not declare Info::converses")
        }
        _ => None,
    };
    if let Some(what) = undeclared {
        return Err(RunRule::Run.broken("connect", format_args!("it gives {what}")));
    }
    valid("connect", connect.settings())
}

/// Checks the settings of what `connect` gave: its kind has them, with such values. What a host reads
/// beside them (packets, names of headers, the name of a query) is its own to check.
///
/// # Errors
///
/// No connection can have them.
pub fn check_settings(connect: &Connect) -> Result<(), Error> {
    match connect.kind() {
        ConnectKind::Packets | ConnectKind::Done | ConnectKind::Skip => Ok(()),
        _ => Settings::read(connect).map(drop),
    }
}

/// Checks what `finish` gave.
pub fn check_finished(finished: &Record) -> Result<(), Broken> {
    valid("finish", finished)
}

/// Checks what `post_connect` gave.
pub fn check_result(result: &Record) -> Result<(), Broken> {
    valid("post_connect", result)?;
    let mut own = ["config", "observed"].into_iter().chain(FLOW_KEYS);
    if let Some(key) = own.find(|key| result.get(key).is_some()) {
        let what = format_args!("it set {key:?}, which the host sets");
        return Err(RunRule::ReservedKeys.broken("post_connect", what));
    }
    if let Some(state) = result.get("spdr_state")
        && state.as_u64().and_then(State::from_number).is_none()
    {
        let what = format_args!("it set spdr_state to {state:?}, which is no state");
        return Err(RunRule::ValidRecords.broken("post_connect", what));
    }
    match result.get(carriage::CARRIED) {
        Some(carried) if carried.as_bool().is_none() && !carried.is_null() => {
            let what = format_args!("it set {} to {carried:?}", carriage::CARRIED);
            Err(RunRule::ValidRecords.broken("post_connect", what))
        }
        _ => Ok(()),
    }
}

/// The host's keys of a connection's record. `merge` is given them and `combine` relies on them, so
/// they are the host's word before and after `merge`.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub(crate) config: ConfigId,
    /// The number of a [`State`].
    pub(crate) state: u8,
    /// Whether the path carried it; `None` leaves that to the state.
    carried: Option<bool>,
    pub(crate) observed: bool,
}

impl Stamp {
    /// Of a connection that ended so and was seen or not; `result` is what `post_connect` gave,
    /// which may say another state: that is its word on carriage too.
    pub fn new(config: ConfigId, result: &Record, ended: State, observed: bool) -> Stamp {
        let ended = ended.number();
        let said = result.u64("spdr_state").and_then(State::from_number);
        let state = said.map_or(ended, State::number);
        let carried = result.bool(carriage::CARRIED).filter(|_| state == ended);
        Stamp { config, state, carried, observed }
    }

    /// Whether the path carried the connection; by its state, where nobody has said.
    pub fn is_carried(self) -> bool {
        self.carried.unwrap_or(self.state == State::Ok.number())
    }

    /// The record with these keys.
    pub fn on(self, mut record: Record) -> Record {
        record.set("config", self.config.index());
        record.set("spdr_state", self.state);
        record.set("observed", self.observed);
        match self.carried {
            Some(carried) => record.set(carriage::CARRIED, carried),
            None => drop(record.remove(carriage::CARRIED)),
        }
        record
    }
}

/// Checks what `merge` made of a record with this stamp.
pub fn check_merged(merged: &Record, stamp: Stamp) -> Result<(), Broken> {
    valid("merge", merged)?;
    let number = |key| merged.get(key).and_then(|v| v.as_u64().or(v.as_bool().map(u64::from)));
    let own = [
        ("config", Some(stamp.config.index() as u64)),
        ("observed", Some(stamp.observed.into())),
        ("spdr_state", Some(stamp.state.into())),
        (carriage::CARRIED, stamp.carried.map(u64::from)),
    ];
    for (key, own) in own {
        if merged.get(key).is_some() && number(key) != own {
            let what = format_args!("it changed {key:?}, which the host sets");
            return Err(RunRule::ReservedKeys.broken("merge", what));
        }
    }
    match FLOW_KEYS.iter().find(|key| merged.get(key).is_some()) {
        Some(key) => {
            let what = format_args!("it set {key:?}, which the host sets");
            Err(RunRule::ReservedKeys.broken("merge", what))
        }
        None => Ok(()),
    }
}

/// Checks the further keys of a job's record. It is about the job's target and no other: by that
/// target a run that goes on knows what is done. Where that is a name, its address is a result.
pub fn check_row(row: &Record, job: &Job, info: &Info) -> Result<(), Broken> {
    valid("rows", row)?;
    if let Some(key) = JOB_KEYS.iter().find(|key| row.get(key).is_some()) {
        let what = format_args!("it set {key:?}, which the host sets");
        return Err(RunRule::ReservedKeys.broken("rows", what));
    }
    let named = info.names && job.domain().is_some_and(|name| !name.is_empty());
    let has_address = !job.target().is_unspecified();
    let is_address = |value: &Value| {
        value.as_str().and_then(|text| text.parse().ok()) == Some(job.target()) && has_address
    };
    let is_port = |value: &Value| value.as_u64() == Some(job.port().into()) && has_address;
    let is_domain = |value: &Value| value.as_str() == job.domain();
    let says_another = [
        ("dip", !named && row.get("dip").is_some_and(|value| !is_address(value))),
        ("dp", !named && row.get("dp").is_some_and(|value| !is_port(value))),
        ("domain", row.get("domain").is_some_and(|value| !is_domain(value))),
    ];
    match says_another.into_iter().find(|(_, another)| *another) {
        Some((key, _)) => {
            let what = format_args!("it set {key:?} to another target than the job's");
            Err(RunRule::ReservedKeys.broken("rows", what))
        }
        None => Ok(()),
    }
}

fn valid(function: &str, record: &Record) -> Result<(), Broken> {
    match record.defect() {
        Some(defect) => {
            let what = format_args!("its record is not valid: {defect}");
            Err(RunRule::ValidRecords.broken(function, what))
        }
        None => Ok(()),
    }
}

/// Checks a condition that a measurement gave; gives the class that it declared for it.
pub fn check_condition(
    condition: &Condition,
    declared: &[ConditionInfo],
    configurations: usize,
) -> Result<Class, Broken> {
    let name = condition.as_str();
    if let Some(config) = name.strip_prefix("pathspider.not_applied:") {
        let known = config.parse().is_ok_and(|config: usize| config < configurations);
        return known.then_some(Class::Unknown).ok_or_else(|| {
            let what =
                format_args!("it gave {name}, and there are {configurations} configurations");
            RunRule::ConfigurationIndex.broken("combine", what)
        });
    }
    if name == "pathspider.not_observed" {
        return Ok(Class::Unknown);
    }
    // Most are given as they are declared, which is soon seen.
    let exact = declared.iter().find(|one| one.name == name && !name.contains('<'));
    if let Some(declared) = exact.or_else(|| declared.iter().find(|one| one.covers(name))) {
        return Ok(declared.class);
    }
    let what = match open_place(name) {
        Some(place) => format!(
            "it gave the condition {name} with nothing in the place of {place}: Condition::of puts a \
             word in, and Condition::with the value after the colon"
        ),
        None => format!(
            "it gave the condition {name}, which it does not declare (conditions!, Info::conditions)"
        ),
    };
    Err(RunRule::DeclaredConditions.broken("combine", what))
}

/// The first placeholder of a condition's name that nothing was put in for.
fn open_place(name: &str) -> Option<&str> {
    let from = name.find('<')?;
    let length = name[from..].find('>')?;
    Some(&name[from..=from + length])
}

/// Whether a text can be the name of a measurement or a chain.
pub fn is_name(text: &str) -> bool {
    let mut octets = text.bytes();
    octets.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && octets.all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
        && text.len() <= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_keys_stay_the_hosts() {
        let stamp = Stamp::new(ConfigId::new(1), &Record::new(), State::Ok, true);
        let record =
            || Record::new().with("config", 1u8).with("observed", true).with("spdr_state", 0u8);
        assert_eq!(stamp.on(Record::new()).u64("config"), Some(1));
        assert!(check_merged(&record().with("x", 1u8), stamp).is_ok());
        assert!(check_merged(&Record::new(), stamp).is_ok());
        for changed in [record().with("config", 0u8), record().with("observed", false)] {
            let error = check_merged(&changed, stamp).unwrap_err();
            assert!(Error::from(error).to_string().ends_with("(rule reserved-keys)"));
        }
        for key in FLOW_KEYS {
            assert!(check_merged(&record().with(key, "x"), stamp).is_err());
            assert!(check_result(&Record::new().with(key, "x")).is_err());
        }
        assert!(check_result(&Record::new().with("spdr_state", 9u8)).is_err());
        assert!(check_result(&Record::new().with("x", f64::NAN)).is_err());
        assert!(check_result(&Record::new().with(carriage::CARRIED, 1u8)).is_err());
    }

    #[test]
    fn a_row_is_about_the_target_of_its_job() {
        let given = Record::new().with("domain", "a.example");
        let job = Job::new(0, "192.0.2.1".parse().unwrap(), 80, given);
        let (targets, names) = (Info::new("x", "1", "x"), Info::new("x", "1", "x").takes_names());
        for (row, of_targets, of_names) in [
            (Record::new().with("rank", 3u8), true, true),
            (Record::new().with("jobId", "x"), false, false),
            (Record::new().with("dip", "192.0.2.1").with("dp", 80u8), true, true),
            (Record::new().with("dip", "192.0.2.2"), false, true),
            (Record::new().with("dip", 7u8), false, true),
            (Record::new().with("dp", 81u8), false, true),
            (Record::new().with("domain", "a.example"), true, true),
            (Record::new().with("domain", "b.example"), false, false),
        ] {
            assert_eq!(check_row(&row, &job, &targets).is_ok(), of_targets, "{row:?}");
            assert_eq!(check_row(&row, &job, &names).is_ok(), of_names, "{row:?}");
        }
    }

    #[test]
    fn whether_the_path_carried_it_is_the_hosts_word_unless_the_plugin_says_another_state() {
        let result = |state: State| {
            Record::new().with("spdr_state", state.number()).with(carriage::CARRIED, true)
        };
        let stamp = |result: &Record| Stamp::new(ConfigId::new(0), result, State::Timeout, true);
        let kept = stamp(&result(State::Timeout));
        assert_eq!(kept.on(Record::new()).bool(carriage::CARRIED), Some(true));
        assert!(check_merged(&Record::new().with(carriage::CARRIED, false), kept).is_err());
        let other = stamp(&result(State::Failed));
        assert_eq!(other.on(result(State::Failed)).get(carriage::CARRIED), None);
        assert!(check_merged(&result(State::Failed), other).is_err());
    }

    #[test]
    fn conditions_are_declared_and_of_configurations_that_exist() {
        let class = Class::Good;
        let declared = vec![ConditionInfo { name: "x.y".into(), class, meaning: String::new() }];
        let check = |condition: Condition| {
            check_condition(&condition, &declared, 2).map_err(|broken| broken.rule)
        };
        let given = |name| Condition::declare(name, Class::Unknown, "");
        assert!(check(given("x.y")) == Ok(Class::Good));
        assert!(check(Condition::not_applied(ConfigId::new(1))).is_ok());
        let beyond = check(Condition::not_applied(ConfigId::new(2)));
        assert_eq!(beyond, Err(RunRule::ConfigurationIndex));
        assert_eq!(check(given("x.z")), Err(RunRule::DeclaredConditions));
        let open = check_condition(&given("x.<n>.works"), &declared, 2).unwrap_err().what;
        assert!(open.contains("nothing in the place of <n>"), "{open}");
    }
}
