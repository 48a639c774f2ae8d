//! Connects twice by itself, without any difference, and blocks a thread each time until it is
//! connected: what every plugin costs whose protocol the host does not speak.

use std::net::TcpStream;
use std::time::Duration;

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Host, Info, Job, Measurement,
    OptionValues, Options, Outcome, Prepared, Record, Result, State, export_plugin,
};

/// The measurement of one run.
pub struct Blocker {
    timeout: Duration,
}

impl Measurement for Blocker {
    fn info() -> Info {
        Info::new("blocker", "1.0.0", "Connects by itself, and blocks its thread")
            .contact("https://github.com/pathspider/pathspider")
            .blocking()
            .connectivity("blocker")
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Blocker { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("once"), Configuration::new("again")]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp"])
    }

    fn connect(&self, job: &Job, _prepared: &Prepared, _config: ConfigId) -> Result<Connect> {
        let address = (job.target(), job.port()).into();
        Ok(Connect::done(match TcpStream::connect_timeout(&address, self.timeout) {
            Ok(stream) => Outcome::new(State::Ok).from_local(stream.local_addr()?),
            Err(_) => Outcome::new(State::Failed),
        }))
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let [a, b] = flows else { return Ok(Vec::new()) };
        Ok(Condition::connectivity("blocker", a, b).into_iter().collect())
    }
}

export_plugin!(Blocker);
