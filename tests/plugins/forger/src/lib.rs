//! Sends a forged SYN in one of several ways, and concludes nothing: what came of it stands in the
//! records' flow results.

use std::net::IpAddr;
use std::time::Duration;

use pathspider_plugin_api::chains::{basic, syn, tcp};
use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::prelude::*;

const WAYS: [&str; 6] = ["syn", "own-port", "wrong-checksum", "malformed", "none", "setting"];

struct Forger {
    how: String,
    also: Option<IpAddr>,
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
            .text("also", "", "Another address to send one to, after the target's")
            .integer("times", 1..=9, 1, "Configurations, all of them alike")
            .timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let how = options.text("how")?.unwrap_or_default().to_owned();
        let also = options.text("also")?.filter(|also| !also.is_empty()).map(str::parse);
        let also = also.transpose().map_err(|_| Error::new("--also is no address"))?;
        let times = options.integer("times")?;
        Ok(Forger { how, also, times, timeout: options.timeout()? })
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
        let syn = Packet::to(job.target()).tcp_syn(job.port());
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
        if let Some(also) = self.also {
            packets.push(Packet::to(also).tcp_syn(job.port()).bytes()?);
        }
        let connect = Connect::packets(packets, self.timeout);
        Ok(if self.how == "setting" { connect.dscp(1) } else { connect })
    }

    fn combine(&self, _: &Flows<'_>) -> Result<Conclusion> {
        Ok(Conclusion::none())
    }
}

export_plugin!(Forger);
