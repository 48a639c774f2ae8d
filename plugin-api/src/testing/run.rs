//! A measurement's run in a test's own process: linked in or loaded from its library, with
//! connections that end as the test says.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::abi::{
    DESCRIPTOR_SYMBOL, Descriptor, LoadedPlugin, MeasurementHandle, MeasurementObject,
};
use crate::{
    Condition, ConfigId, Connect, ConnectKind, Error, FlowRecord, Job, Outcome, Record, Result,
    State,
};

/// Loads a plugin's library into this process, as the host does.
///
/// # Errors
///
/// It is no plugin that this version of the crate understands.
#[allow(unsafe_code)]
pub fn load(path: impl AsRef<Path>) -> Result<LoadedPlugin> {
    let path = path.as_ref();
    // SAFETY: the author's own library, which the test is about, is trusted; it is never unloaded.
    let library = ManuallyDrop::new(unsafe { libloading::Library::new(path) }?);
    // SAFETY: the symbol is taken as an address alone, and checked before it is believed.
    let descriptor = unsafe {
        let symbol = library.get::<*mut c_void>(DESCRIPTOR_SYMBOL.as_bytes())?;
        Descriptor::check(symbol.try_as_raw_ptr().unwrap_or_default())
    };
    let descriptor = descriptor.map_err(Error::new)?;
    LoadedPlugin::new(descriptor, path.display().to_string()).map_err(Error::new)
}

/// How one connection of a job ends, in a test: its outcome, and its flow where it was seen.
pub struct End {
    /// The outcome.
    pub outcome: Outcome,
    /// The flow.
    pub flow: Option<FlowRecord>,
}

impl End {
    /// A connection that ended like this and was seen like this.
    pub fn seen(state: State, flow: FlowRecord) -> End {
        End { outcome: Outcome::new(state), flow: Some(flow) }
    }

    /// A connection that ended like this, of which the capture has nothing.
    pub fn unseen(state: State) -> End {
        End { outcome: Outcome::new(state), flow: None }
    }
}

/// What came of a job.
pub struct Concluded {
    /// The connections that were asked for, in the order of the configurations.
    pub connects: Vec<Connect>,
    /// The merged records.
    pub flows: Vec<Record>,
    /// The conclusions.
    pub conditions: Vec<Condition>,
    /// Further keys of the job's record.
    pub rows: Vec<Record>,
}

impl Concluded {
    /// The conclusions as texts.
    pub fn texts(&self) -> Vec<&str> {
        self.conditions.iter().map(Condition::as_str).collect()
    }
}

/// Makes the object of a measurement, with its options' defaults but for those given.
///
/// # Errors
///
/// It refuses them.
pub fn instantiate(handle: MeasurementHandle, given: Record) -> Result<MeasurementObject> {
    let (_, options) = handle.describe()?;
    let mut values = options.defaults().into_record();
    values.extend(given);
    handle.instantiate(crate::OptionValues::new(values))
}

/// Takes a job through all its configurations, as the host does. `end` makes the connection that
/// was asked for, or says how it ends.
///
/// # Errors
///
/// The measurement's, or an undeclared condition.
pub fn measure(
    handle: MeasurementHandle,
    object: &MeasurementObject,
    job: &Job,
    mut end: impl FnMut(ConfigId, &Connect) -> End,
) -> Result<Concluded> {
    let (info, _) = handle.describe()?;
    let prepared = object.pre_connect(job)?;
    let (mut connects, mut flows) = (Vec::new(), Vec::new());
    for index in 0..object.configurations()?.len() {
        let config = ConfigId::new(index);
        let connect = object.connect(job, &prepared, config)?;
        let End { outcome, flow } = end(config, &connect);
        let (state, observed) = (outcome.state(), flow.is_some());
        let result = object.post_connect(job, outcome, &prepared, config)?;
        let state = result.u64("spdr_state").unwrap_or(state.number().into());
        let stamp = |record: Record| {
            let record = record.with("config", index).with("spdr_state", state);
            record.with("observed", observed)
        };
        flows.push(stamp(object.merge(flow, stamp(result))?));
        connects.push(connect);
    }
    let conditions = object.combine(job, &flows)?;
    for condition in conditions.iter().map(Condition::as_str) {
        let known = condition.starts_with("pathspider.")
            || info.conditions.iter().any(|declared| declared.covers(condition));
        if !known {
            return Err(Error::contract(format_args!("combine: {condition} is not declared")));
        }
    }
    let rows = object.rows(job, &flows)?;
    Ok(Concluded { connects, flows, conditions, rows })
}

/// Makes a connection of kind `tcp` to a server of the test's own. Settings of the socket are not
/// applied: they are the host's, and `Connect::settings` tells what they are.
pub fn dial(connect: &Connect, server: SocketAddr) -> Outcome {
    const USUAL: Duration = Duration::from_secs(5);
    if connect.kind() != ConnectKind::Tcp {
        let error = format!("a test makes no connections of kind {}", connect.kind().name());
        return Outcome::new(State::Failed).with("spdr_error", error);
    }
    match TcpStream::connect_timeout(&server, connect.timeout_set().unwrap_or(USUAL)) {
        Ok(stream) => match stream.local_addr() {
            Ok(address) => Outcome::new(State::Ok).from_local(address),
            Err(_) => Outcome::new(State::Ok),
        },
        Err(_) => Outcome::new(State::Failed).with("spdr_error", "refused"),
    }
}
