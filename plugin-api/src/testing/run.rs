//! A measurement's run in a test's own process: linked in or loaded from its library, with
//! connections that end as the test says.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::abi::{
    ChainHandle, DESCRIPTOR_SYMBOL, Descriptor, LoadedPlugin, MeasurementHandle, MeasurementObject,
    Slots,
};
use crate::driver::{Asked, Connection, Driver, Ended, Sighting};
use crate::{
    ChainInfo, Condition, ConfigId, Connect, ConnectKind, Error, FlowRecord, Info, Job, Options,
    Outcome, Record, Result, State, rules,
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

/// A plugin in one of its two forms: linked into the test, or loaded from its library.
pub struct Form {
    /// Its measurements.
    pub measurements: Vec<MeasurementHandle>,
    /// Its chains.
    pub chains: Vec<ChainHandle>,
}

/// A plugin linked in, and loaded from its library as the host loads it: one suite of tests goes
/// through both, and finds what only one of them does. `package` is the crate's name, as
/// `env!("CARGO_PKG_NAME")` gives it; cargo builds the library of a crate of type `cdylib` before
/// its tests in `tests/`, and beside them.
///
/// # Errors
///
/// The library cannot be loaded, or describes itself otherwise than what is linked in.
pub fn forms(
    package: &str,
    measurements: &[MeasurementHandle],
    chains: &[ChainHandle],
) -> Result<[Form; 2]> {
    let linked = Form { measurements: measurements.to_vec(), chains: chains.to_vec() };
    let plugin = load(library(package)?)?;
    let loaded = Form { measurements: plugin.measurements(), chains: plugin.chains() };
    if linked.describe()? != loaded.describe()? {
        return Err(Error::new("the library is another plugin than the one that is linked in"));
    }
    Ok([linked, loaded])
}

/// The library of the crate that is tested.
fn library(package: &str) -> Result<PathBuf> {
    let name = format!("lib{}.so", package.replace('-', "_"));
    Ok(std::env::current_exe()?.with_file_name(name))
}

impl Form {
    /// All that it says of itself.
    fn describe(&self) -> Result<(Vec<Described>, Vec<ChainInfo>)> {
        let measurements = self.measurements.iter().map(MeasurementHandle::describe);
        let chains = self.chains.iter().map(ChainHandle::describe);
        Ok((measurements.collect::<Result<_>>()?, chains.collect::<Result<_>>()?))
    }
}

type Described = (Info, Options);

/// How one connection of a job ends, in a test: its outcome, and its flow where it was seen.
#[derive(Debug, Clone)]
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

    /// A connection that ended like this, and that the capture missed.
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
    /// The measurement's conclusions.
    pub conditions: Vec<Condition>,
    /// What the host adds to them in the job's record: which connections were not sent or not seen.
    pub added: Vec<Condition>,
    /// Further keys of the job's record.
    pub rows: Vec<Record>,
    /// Whether the measurement discards the job, so that it has no record.
    pub is_discarded: bool,
}

impl Concluded {
    /// The measurement's conclusions as texts.
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

/// Takes a job through all its configurations by the host's own [`Driver`], which holds the
/// measurement to the same [`rules`](crate::rules). `end` makes the connection that was asked for,
/// or says how it ends: [`dial`] makes one to a server, [`converse`](super::converse) holds a
/// conversation. Where the plugin made it by itself ([`Connect::done`]) its own outcome counts, and
/// `end` gives the flow; where there is none ([`Connect::skip`]) it is not asked.
///
/// # Errors
///
/// The measurement's; or what it broke, and the rule's name in brackets.
pub fn measure(
    handle: MeasurementHandle,
    object: &MeasurementObject,
    job: &Job,
    mut end: impl FnMut(ConfigId, &mut Connect) -> End,
) -> Result<Concluded> {
    let (info, _) = handle.describe()?;
    let configurations = object.configurations()?.len();
    let names = object.chains()?;
    let mut slots = Arc::new(Slots::asked(&names, &[&super::library()]));
    let prepared = Driver::new(object, &info, configurations, &slots).prepare(job)?;
    let (mut connects, mut connections, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    for config in (0..configurations).map(ConfigId::new) {
        let earlier: &Vec<&Ended> = &answered.iter().collect();
        let asked = Asked { job, prepared: &prepared, config, earlier };
        let mut connect = Driver::new(object, &info, configurations, &slots).connect(asked)?;
        rules::check_settings(&connect)?;
        let (outcome, seen) = match connect.kind() {
            ConnectKind::Skip => (Outcome::new(State::Skipped), Sighting::NotAsked),
            _ => match end(config, &mut connect) {
                End { outcome, flow: None } => (outcome, Sighting::Nothing),
                End { outcome, flow: Some(flow) } => {
                    // Chains of plugins are known from the flows that they are in.
                    slots = Arc::new(Slots::asked(&names, &[&slots, flow.slots()]));
                    (outcome, Sighting::Flow(flow.fitted(Arc::clone(&slots))))
                }
            },
        };
        let outcome = connect.clone().into_outcome().unwrap_or(outcome);
        let connection = Connection { outcome, seen };
        if info.depends {
            answered.push(Ended::answered(config, connection.clone())?);
        }
        connections.push(connection);
        connects.push(connect);
    }
    let fitted = |mut connection: Connection| {
        if let Sighting::Flow(flow) = connection.seen {
            connection.seen = Sighting::Flow(flow.fitted(Arc::clone(&slots)));
        }
        connection
    };
    let connections = connections.into_iter().map(fitted).collect();
    let driver = Driver::new(object, &info, configurations, &slots);
    let concluded = driver.conclude(job, &prepared, connections)?;
    Ok(Concluded {
        connects,
        flows: concluded.flows.into_iter().map(Ended::into_record).collect(),
        conditions: concluded.conditions,
        added: concluded.added,
        rows: concluded.rows,
        is_discarded: concluded.is_discarded,
    })
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
