//! Sends a forged SYN in one of several ways, and concludes nothing: what came of it stands in the
//! records' flow results.

use std::net::IpAddr;
use std::time::Duration;

use pathspider_plugin_api::chains::{basic, syn, tcp};
use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::prelude::*;

const WAYS: [&str; 8] = [
    "syn",
    "own-port",
    "wrong-checksum",
    "malformed",
    "none",
    "setting",
    "two-connections",
    "two-targets",
];

struct Forger {
    how: String,
    to: Option<IpAddr>,
    times: usize,
    timeout: Duration,
}

impl Measurement for Forger {
    fn info() -> Info {
        Info::new("forger", "0.1.0", "forged SYNs").forges()
    }

    fn options() -> Options {
        Options::none()
            .choice("how", &WAYS, "What is odd about them")
            .text("to", "", "Another address to send to than the target's")
            .integer("times", 1..=9, 1, "Configurations, all of them alike")
            .timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let how = options.text("how")?.unwrap_or_default().to_owned();
        let to = options.text("to")?.filter(|to| !to.is_empty()).map(str::parse);
        let to = to.transpose().map_err(|_| Error::new("--to is no address"))?;
        let times = options.integer("times")?;
        Ok(Forger { how, to, times, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let configuration =
            |n| Configuration::new(n, "").labelled(format!("syn {n}")).hold(Hold::Initiation);
        (0..self.times).map(configuration).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let packet = Packet::to(self.to.unwrap_or(job.target()));
        let syn = packet.clone().tcp_syn(job.port());
        let mut bytes = match self.how.as_str() {
            "own-port" => syn.source_port(999).bytes()?,
            _ => syn.bytes()?,
        };
        let at = bytes.len() - 4;
        match self.how.as_str() {
            "wrong-checksum" => bytes[at] ^= 1,
            "malformed" => bytes.truncate(at),
            _ => {}
        }
        let mut packets = if self.how == "none" { Vec::new() } else { vec![bytes] };
        match self.how.as_str() {
            "two-connections" => packets.push(packet.tcp_syn(job.port()).bytes()?),
            "two-targets" => {
                let other = if job.target().is_ipv4() { "192.0.2.9" } else { "2001:db8::9" };
                packets.push(Packet::to(other.parse()?).tcp_syn(job.port()).bytes()?);
            }
            _ => {}
        }
        let connect = Connect::packets(packets, self.timeout);
        Ok(if self.how == "setting" { connect.dscp(1) } else { connect })
    }

    fn combine(&self, _: &Flows<'_>) -> Result<Conclusion> {
        Ok(Conclusion::none())
    }
}

export_plugin!(Forger);
