//! A connection that depends on an earlier one: the third is made only where the second worked, and
//! what it sends is chosen from the second's answer. What came of them stands in the flow results.

use pathspider_plugin_api::chains::{basic, dscp, mss, tcp};
use pathspider_plugin_api::prelude::*;

const PLAIN: Configuration = Configuration::new(0, "plain").hold(Hold::Initiation);
/// With a code point that some paths drop.
const MARKED: Configuration = Configuration::new(1, "marked").hold(Hold::Initiation);
/// Announces the segment size that the SYN/ACK of `MARKED` announced.
const AS_ANSWERED: Configuration = Configuration::new(2, "as answered").hold(Hold::Initiation);

struct Dependent {
    connection: Connect,
}

impl Measurement for Dependent {
    fn info() -> Info {
        Info::new("dependent", "0.1.0", "a connection that depends on another one").depends()
    }

    fn options() -> Options {
        Options::none().connect(&[ConnectKind::Tcp, ConnectKind::DnsUdp]).timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Dependent { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, MARKED, AS_ANSWERED]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, mss::CHAIN, dscp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connection = self.connection.clone();
        if attempt.is(PLAIN) {
            return Ok(connection);
        }
        if attempt.is(MARKED) {
            return Ok(connection.dscp(48));
        }
        let Some(marked) = attempt.earlier(MARKED).filter(|flow| flow.connected()) else {
            return Ok(Connect::skip("the marked one did not work"));
        };
        Ok(match marked.get(mss::VALUE_REV) {
            Some(size) => connection.mss(size as u16),
            None => connection,
        })
    }

    fn combine(&self, _: &Flows<'_>) -> Result<Conclusion> {
        Ok(Conclusion::none())
    }
}

export_plugin!(Dependent);
