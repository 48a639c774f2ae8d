//! Whether a path carries TCP connections that offer timestamps, window scaling (both RFC 7323) or
//! selective acknowledgments (RFC 2018), and whether the target accepts them.
//!
//! A: a SYN with none of the three. B, C and D: with exactly one of them. The kernel decides by
//! parameters of the whole system, which it reads again whenever it repeats a SYN and when the
//! SYN/ACK comes, so a configuration has to hold for the handshake. With `--connect syn`, the SYNs are the
//! measurement's own.

use pathspider_plugin_api::chains::{basic, syn, tcp, tcpopt};
use pathspider_plugin_api::forge::ordinary_mss;
use pathspider_plugin_api::packet::tcp_option::{
    self, MSS_LENGTH, NOP, SACK_PERMITTED, SACK_PERMITTED_LENGTH, TIMESTAMPS, TIMESTAMPS_LENGTH,
    WINDOW_SCALE, WINDOW_SCALE_LENGTH,
};
use pathspider_plugin_api::prelude::*;

conditions! {
    CONNECTIVITY: connectivity("<tsopt|wsopt|sack>");
    SUCCEEDED: good(
        "<tsopt|wsopt|sack>.negotiation.succeeded",
        "the SYN/ACK had the option, which the SYN offered"
    );
    FAILED: absent(
        "<tsopt|wsopt|sack>.negotiation.failed",
        "the SYN/ACK did not have the option, which the SYN offered"
    );
    UNSOLICITED: impaired(
        "<tsopt|wsopt|sack>.unsolicited.seen",
        "a SYN/ACK had the option, which its SYN did not offer"
    );
    NOT_UNSOLICITED: good(
        "<tsopt|wsopt|sack>.unsolicited.not_seen",
        "no SYN/ACK had the option if its SYN did not offer it"
    );
}

const NONE: Configuration = Configuration::new(0, "none").hold(Hold::Handshake);

/// A feature of TCP that is offered by an option on the SYN.
struct Feature {
    configuration: Configuration,
    /// The first word of its conditions.
    word: &'static str,
    /// The option's kind.
    kind: u8,
    /// Whether the SYN/ACK has the option.
    accepted: Field<bool>,
    /// What makes the kernel offer it.
    parameter: &'static str,
    /// The option of a SYN of our own, padded in front.
    option: &'static [u8],
}

const FEATURES: [Feature; 3] = [
    Feature {
        configuration: Configuration::new(1, "timestamps").hold(Hold::Handshake),
        word: "tsopt",
        kind: TIMESTAMPS,
        accepted: tcpopt::TIMESTAMPS,
        parameter: "net.ipv4.tcp_timestamps",
        option: &[NOP, NOP, TIMESTAMPS, TIMESTAMPS_LENGTH, 0x70, 0x73, 0x70, 0x64, 0, 0, 0, 0],
    },
    Feature {
        configuration: Configuration::new(2, "window scaling").hold(Hold::Handshake),
        word: "wsopt",
        kind: WINDOW_SCALE,
        accepted: tcpopt::WINDOW_SCALE,
        parameter: "net.ipv4.tcp_window_scaling",
        option: &[NOP, WINDOW_SCALE, WINDOW_SCALE_LENGTH, 7],
    },
    Feature {
        configuration: Configuration::new(3, "sack").hold(Hold::Handshake),
        word: "sack",
        kind: SACK_PERMITTED,
        accepted: tcpopt::SACK,
        parameter: "net.ipv4.tcp_sack",
        option: &[NOP, NOP, SACK_PERMITTED, SACK_PERMITTED_LENGTH],
    },
];

/// The measurement of TCP options of one run.
pub struct Tcpopt {
    connection: Connect,
}

impl Measurement for Tcpopt {
    fn info() -> Info {
        info!("tcpopt", "TCP timestamps, window scaling and SACK: connectivity, negotiation")
            .changes_system()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Syn, Tcp};
        Options::none().connect(&[Http, Https, Tcp, DnsTcp, Syn]).timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Tcpopt { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let all = [NONE].into_iter().chain(FEATURES.map(|feature| feature.configuration));
        // Nothing of the system has to stay for a SYN of our own.
        let hold = |one: Configuration| {
            if self.is_forged() { one.hold(Hold::Initiation) } else { one }
        };
        all.map(hold).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, tcpopt::CHAIN, syn::CHAIN])
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        if self.is_forged() {
            return Ok(());
        }
        system.pin_ordinary_syns()?;
        FEATURES.iter().try_for_each(|feature| {
            system.sysctl(feature.parameter, u8::from(config == feature.configuration))
        })
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connection = self.connection.clone();
        if !self.is_forged() {
            return Ok(connection);
        }
        let [high, low] = ordinary_mss(attempt.job().target()).to_be_bytes();
        let feature = FEATURES.into_iter().find(|feature| attempt.is(&feature.configuration));
        let option = feature.map_or(&[][..], |feature| feature.option);
        Ok(connection.tcp_options(&[&[tcp_option::MSS, MSS_LENGTH, high, low], option].concat()))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let syns = SentSyns::of(flow)?;
            let offers = FEATURES.iter().all(|feature| {
                if flow.is(&feature.configuration) {
                    syns.all_offer(feature.kind)
                } else {
                    !syns.any_offers(feature.kind)
                }
            });
            Some(offers && !flow.asks_for_ecn())
        });
        let mut conditions = Vec::new();
        for feature in &FEATURES {
            let own = feature.configuration.id();
            let answer = |config| feature.answer(evidence.of(config)?);
            let others = flows.iter().map(Flow::config).filter(|config| *config != own);
            let unsolicited = others.filter_map(answer).reduce(|a, b| a || b);
            let found = [
                evidence.connectivity(CONNECTIVITY, own),
                answer(own).map(|accepted| if accepted { SUCCEEDED } else { FAILED }),
                unsolicited.map(|seen| if seen { UNSOLICITED } else { NOT_UNSOLICITED }),
            ];
            conditions.extend(found.into_iter().flatten().map(|found| found.of(feature.word)));
        }
        Ok(evidence.conclude(conditions))
    }
}

impl Tcpopt {
    /// Whether the SYNs are our own.
    fn is_forged(&self) -> bool {
        self.connection.kind() == ConnectKind::Syn
    }
}

impl Feature {
    /// Whether a flow's SYN/ACK has the option; `None` without SYN/ACK.
    fn answer(&self, flow: Flow<'_>) -> Option<bool> {
        flow.get(syn::COUNT_REV).filter(|&count| count > 0)?;
        Some(flow.has(self.accepted))
    }
}

export_plugin!(Tcpopt);

#[cfg(test)]
mod tests;
