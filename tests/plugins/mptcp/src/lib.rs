//! Whether a path carries connections that ask for Multipath TCP (RFC 8684): the plugin of the
//! worked example in `docs/lab.md`, as short as a plugin can be.
//!
//! A: an ordinary SYN. B: a SYN with the option `MP_CAPABLE`. It is an option of the socket, so
//! the system stays as it is.

use std::time::Duration;

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Hold, Host, Info, Job, Measurement,
    OptionValues, Options, Prepared, Record, Result, export_plugin,
};

/// The measurement of one run.
pub struct Mptcp {
    timeout: Duration,
}

impl Measurement for Mptcp {
    fn info() -> Info {
        Info::new("mptcp", "0.1.0", "Multipath TCP: connectivity").connectivity("mptcp")
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Mptcp { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        ["tcp", "mptcp"].map(|label| Configuration::new(label).hold(Hold::Initiation)).into()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp"])
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        let connect = Connect::tcp().timeout(self.timeout);
        Ok(if config == ConfigId::BASELINE { connect } else { connect.mptcp() })
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let [a, b] = flows else { return Ok(Vec::new()) };
        Ok(Condition::connectivity("mptcp", a, b).into_iter().collect())
    }
}

export_plugin!(Mptcp);
