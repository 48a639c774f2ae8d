//! Sends a forged SYN in one of several ways, and concludes nothing: what came of it stands in the
//! records' flow results.

use std::time::Duration;

use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Hold, Host, Info, Job, Measurement,
    OptionValues, Options, Prepared, Record, Result, export_plugin,
};

const WAYS: [&str; 6] = ["syn", "own-port", "wrong-checksum", "malformed", "none", "setting"];

struct Forger {
    how: String,
    timeout: Duration,
}

impl Measurement for Forger {
    fn info() -> Info {
        Info::new("forger", "0.1.0", "forged SYNs").forges()
    }

    fn options() -> Options {
        Options::none().choice("how", &WAYS, "What is odd about them").timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let how = options.text("how")?.unwrap_or_default().to_owned();
        Ok(Forger { how, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("syn").hold(Hold::Initiation)]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "syn"])
    }

    fn connect(&self, job: &Job, _: &Prepared, _: ConfigId) -> Result<Connect> {
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
        let packets = if self.how == "none" { Vec::new() } else { vec![bytes] };
        let connect = Connect::packets(packets, self.timeout);
        Ok(if self.how == "setting" { connect.dscp(1) } else { connect })
    }

    fn combine(&self, _: &Job, _: &[Record]) -> Result<Vec<Condition>> {
        Ok(Vec::new())
    }
}

export_plugin!(Forger);
