//! The measurement that asks for what no host can do, in one way each, and else for a TCP handshake.

use std::net::TcpStream;
use std::time::Duration;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::forge;
use pathspider_plugin_api::prelude::*;

use crate::words::WAYS;

const ONLY: Configuration = Configuration::new(0, "only");

conditions! {
    ONLINE: online("mistaken");
}

/// The measurement of one run.
pub struct Mistaken {
    how: String,
}

const WAIT: Duration = Duration::from_secs(1);

impl Measurement for Mistaken {
    fn info() -> Info {
        Info::new("mistaken", "1.0.0", "Asks for what no host can do, on request")
            .contact("https://github.com/pathspider/pathspider")
            .changes_system()
            .forges()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().choice("how", &[&["not"][..], &WAYS].concat(), "What to ask for")
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        let how = options.text("how")?.unwrap_or("not").to_owned();
        match how.as_str() {
            "declines" => Err(Error::new("the moon is not full")),
            _ => Ok(Mistaken { how }),
        }
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ONLY]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        match self.how.as_str() {
            "no-such-parameter" => system.sysctl("net.ipv4.tcp_no_such_thing", 1),
            "value-refused" => system.sysctl("net.ipv4.tcp_sack", "a lot"),
            "failing-command" => system.run(&["ip", "link", "del", "nonsense"], &["true"]),
            "no-such-command" => system.run(&["no-such-command"], &["true"]),
            "failing-undo" => system.run(&["true"], &["false"]),
            "bad-rule" => system.firewall(&["output tcp dport nonsense drop"]),
            _ => Ok(()),
        }
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let packet = || forge::Packet::to(job.target()).tcp_syn(job.port()).bytes();
        Ok(match self.how.as_str() {
            "dscp-out-of-range" => Connect::tcp().dscp(64),
            "no-hops" => Connect::tcp().ttl(0),
            "tiny-segments" => Connect::tcp().mss(8),
            "no-time" => Connect::tcp().timeout(Duration::ZERO),
            "setting-of-another-kind" => Connect::tcp().fast_open(),
            "header-name" => Connect::http().header("two words", "x"),
            "header-value" => Connect::http().header("X-Line", "a\r\nb"),
            "query-name" => Connect::new(ConnectKind::DnsUdp).query(&"a".repeat(64)),
            "alpn-empty" => Connect::new(ConnectKind::Https).alpn(&[""]),
            "no-packets" => Connect::packets(Vec::new(), WAIT),
            "broken-packet" => Connect::packets(vec![packet()?[..30].to_vec()], WAIT),
            "wrong-checksum" => {
                let mut octets = packet()?;
                // In IPv6 there is none, and it is an octet of the address.
                octets[10] ^= 1;
                Connect::packets(vec![octets], WAIT)
            }
            "settings-of-packets" => Connect::packets(vec![packet()?], WAIT).ttl(9),
            "blocks" => {
                let address = (job.target(), job.port()).into();
                Connect::done(match TcpStream::connect_timeout(&address, 30 * WAIT) {
                    Ok(stream) => Outcome::new(State::Ok).from_local(stream.local_addr()?),
                    Err(_) => Outcome::new(State::Failed),
                })
            }
            "dawdles" => {
                std::thread::sleep(WAIT / 10);
                Connect::tcp()
            }
            _ => Connect::tcp(),
        })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        Ok(flows.online(ONLINE).into_iter().collect())
    }
}
