//! Whether a path carries TCP connections that offer timestamps, window scaling (both RFC 7323) or
//! selective acknowledgments (RFC 2018), and whether the target accepts them.
//!
//! A: a SYN with none of the three. B, C and D: with exactly one of them. The kernel decides by
//! parameters of the whole system, which it reads again whenever it repeats a SYN and when the
//! SYN/ACK comes, so a configuration has to hold for the handshake.

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Evidence, Hold, Host,
    Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, SentSyns, System,
    export_plugin,
};

/// A feature of TCP that is offered by an option on the SYN.
struct Feature {
    label: &'static str,
    /// The first word of its conditions.
    prefix: &'static str,
    /// The option's kind.
    kind: u8,
    /// The field that says whether the SYN/ACK has the option.
    field: &'static str,
    /// What makes the kernel offer it.
    parameter: &'static str,
}

/// In the order of the configurations after the baseline.
const FEATURES: [Feature; 3] = [
    Feature {
        label: "timestamps",
        prefix: "tsopt",
        kind: 8,
        field: "tcpopt_ts",
        parameter: "net.ipv4.tcp_timestamps",
    },
    Feature {
        label: "window scaling",
        prefix: "wsopt",
        kind: 3,
        field: "tcpopt_ws",
        parameter: "net.ipv4.tcp_window_scaling",
    },
    Feature {
        label: "sack",
        prefix: "sack",
        kind: 4,
        field: "tcpopt_sack",
        parameter: "net.ipv4.tcp_sack",
    },
];

/// The features with the configuration that offers each.
fn features() -> impl Iterator<Item = (ConfigId, &'static Feature)> {
    (1..).map(ConfigId::new).zip(&FEATURES)
}

/// The measurement of TCP options of one run.
pub struct Tcpopt {
    connection: Connect,
}

impl Measurement for Tcpopt {
    fn info() -> Info {
        let info = Info::new(
            "tcpopt",
            env!("CARGO_PKG_VERSION"),
            "TCP timestamps, window scaling and SACK: connectivity, negotiation",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .changes_system();
        FEATURES.iter().fold(info, |info, Feature { prefix, .. }| {
            let name = |words: &str| format!("{prefix}.{words}");
            info.connectivity(prefix)
                .condition(&name("negotiation.succeeded"), "the SYN/ACK had the option offered")
                .condition(&name("negotiation.failed"), "the SYN/ACK did not have it")
                .condition(&name("unsolicited.seen"), "a SYN/ACK had it that was not offered it")
                .condition(&name("unsolicited.not_seen"), "no SYN/ACK not offered it had it")
        })
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Tcp};
        Options::none().connect(&[Http, Https, Tcp, DnsTcp]).timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Tcpopt { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let labels = ["none"].into_iter().chain(FEATURES.iter().map(|feature| feature.label));
        labels.map(|label| Configuration::new(label).hold(Hold::Handshake)).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "tcpopt", "syn"])
    }

    fn default_port(&self) -> u16 {
        self.connection.kind().default_port()
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        features().try_for_each(|(own, feature)| {
            system.sysctl(feature.parameter, u8::from(own == config))
        })
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, _config: ConfigId) -> Result<Connect> {
        Ok(self.connection.clone())
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |config, flow| {
            let syns = SentSyns::of(flow)?;
            Some(features().all(|(own, feature)| match own == config {
                true => syns.all_offer(feature.kind),
                false => !syns.any_offers(feature.kind),
            }))
        });
        let mut conditions = Vec::new();
        for (own, feature) in features() {
            conditions.extend(evidence.connectivity(feature.prefix, own));
            let answer = |config| feature.answer(evidence.flow(config)?);
            let word = |name: &str| Condition::new(format!("{}.{name}", feature.prefix));
            conditions.extend(answer(own).map(|accepted| match accepted {
                true => word("negotiation.succeeded"),
                false => word("negotiation.failed"),
            }));
            let others = (0..flows.len()).map(ConfigId::new).filter(|&config| config != own);
            conditions.extend(others.filter_map(answer).reduce(|a, b| a || b).map(
                |seen| match seen {
                    true => word("unsolicited.seen"),
                    false => word("unsolicited.not_seen"),
                },
            ));
        }
        Ok(evidence.conclude(conditions))
    }
}

impl Feature {
    /// Whether a flow's SYN/ACK has the option; `None` without SYN/ACK.
    fn answer(&self, flow: &Record) -> Option<bool> {
        flow.u64("syn_count_rev").filter(|&count| count > 0)?;
        Some(flow.bool(self.field) == Some(true))
    }
}

export_plugin!(Tcpopt);

#[cfg(test)]
mod tests;
