//! Whether a path carries connections that ask for Multipath TCP (RFC 8684): the plugin of the
//! worked example in `docs/lab.md`, as short as a plugin can be.
//!
//! A: an ordinary SYN. B: a SYN with the option `MP_CAPABLE`. It is an option of the socket, so
//! the system stays as it is.

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

const TCP: Configuration = Configuration::new(0, "tcp").hold(Hold::Initiation);
const MPTCP: Configuration = Configuration::new(1, "mptcp").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("mptcp");
}

/// The measurement of one run.
pub struct Mptcp {
    timeout: Duration,
}

impl Measurement for Mptcp {
    fn info() -> Info {
        Info::new("mptcp", "0.1.0", "Multipath TCP: connectivity").conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Mptcp { timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![TCP, MPTCP]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connect = Connect::tcp().timeout(self.timeout);
        Ok(if attempt.is(TCP) { connect } else { connect.mptcp() })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        Ok(flows.connectivity(CONNECTIVITY, MPTCP).into_iter().collect())
    }
}

export_plugin!(Mptcp);
