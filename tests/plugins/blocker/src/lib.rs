//! Connects twice by itself, without any difference, and blocks a thread each time until it is
//! connected: what every plugin costs whose protocol the host does not speak.

use std::net::TcpStream;
use std::time::Duration;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

const ONCE: Configuration = Configuration::new(0, "once");
const AGAIN: Configuration = Configuration::new(1, "again");

conditions! {
    CONNECTIVITY: connectivity("blocker");
}

/// The measurement of one run.
pub struct Blocker {
    timeout: Duration,
}

impl Measurement for Blocker {
    fn info() -> Info {
        Info::new("blocker", "1.0.0", "Connects by itself, and blocks its thread")
            .contact("https://github.com/pathspider/pathspider")
            .blocking()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Blocker { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ONCE, AGAIN]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let address = (job.target(), job.port()).into();
        Ok(Connect::done(match TcpStream::connect_timeout(&address, self.timeout) {
            Ok(stream) => Outcome::new(State::Ok).from_local(stream.local_addr()?),
            Err(_) => Outcome::new(State::Failed),
        }))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        Ok(flows.connectivity(CONNECTIVITY, AGAIN).into_iter().collect())
    }
}

export_plugin!(Blocker);
