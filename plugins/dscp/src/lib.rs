//! Whether a path carries packets with a differentiated services code point (RFC 2474), and which
//! code point the answers have.
//!
//! A: code point 0, the default forwarding that everything has. B, one for each `--codepoint`: that
//! one, on every packet of the connection. It is set on the socket, so neither the firewall nor any
//! other connection of the machine is touched.
//!
//! 0 is a mark like any other: an answer whose mark a path bleached has it.

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Evidence, Hold, Host,
    Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, export_plugin,
};

/// Code points go from 0 to this (RFC 2474, section 3).
const LAST: i64 = 63;

/// The DSCP measurement of one run.
pub struct Dscp {
    connection: Connect,
    /// Code points by configuration; the baseline's comes first.
    code_points: Vec<u8>,
}

impl Measurement for Dscp {
    fn info() -> Info {
        Info::new(
            "dscp",
            env!("CARGO_PKG_VERSION"),
            "Differentiated services code points: connectivity, marks of answers",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .connectivity("dscp.<codepoint>")
        .condition(
            "dscp.<codepoint>.replymark:<mark>",
            "an answer to packets with this code point had that one",
        )
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, DnsUdp, Http, Https, Tcp};
        let help = "Code points to send, each compared with 0";
        Options::none().connect(&[Http, Https, Tcp, DnsTcp, DnsUdp]).timeout().integers(
            "codepoint",
            0..=LAST,
            &[48],
            help,
        )
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        let mut code_points = vec![0];
        for code_point in options.integers("codepoint")? {
            let code_point = code_point as u8;
            if !code_points[1..].contains(&code_point) {
                code_points.push(code_point);
            }
        }
        Ok(Dscp { connection: options.connection()?, code_points })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let configuration = |code_point: &u8| {
            Configuration::new(&format!("dscp {code_point}")).hold(Hold::Initiation)
        };
        self.code_points.iter().map(configuration).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "dscp", "icmp"])
    }

    fn default_port(&self) -> u16 {
        self.connection.kind().default_port()
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        Ok(self.connection.clone().dscp(self.code_points[config.index()]))
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |config, flow| {
            let code_point = self.code_points[config.index()];
            let mut sent = marks(flow, "fwd").peekable();
            sent.peek().is_some().then(|| sent.all(|mark| mark == u64::from(code_point)))
        });
        let mut conditions = Vec::new();
        for (config, code_point) in (0..).map(ConfigId::new).zip(&self.code_points) {
            if config != ConfigId::BASELINE {
                conditions.extend(evidence.connectivity(&format!("dscp.{code_point}"), config));
            }
            for mark in evidence.flow(config).into_iter().flat_map(|flow| marks(flow, "rev")) {
                let name = format!("dscp.{code_point}.replymark");
                let condition = Condition::with_value(&name, mark);
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
        }
        Ok(evidence.conclude(conditions))
    }
}

/// The code points that the packets of one direction had: the SYN's and that of the data.
fn marks(flow: &Record, direction: &'static str) -> impl Iterator<Item = u64> {
    ["syn", "data"]
        .into_iter()
        .filter_map(move |part| flow.u64(&format!("dscp_mark_{part}_{direction}")))
}

export_plugin!(Dscp);

#[cfg(test)]
mod tests;
