//! Whether a path carries QUIC with the marks of explicit congestion notification (RFC 9000, section
//! 13.4), and which marks its packets arrive with.
//!
//! A: a handshake and a page by HTTP/3 without a mark. B: the same with ECT(0) on every packet, C with
//! ECT(1), D with CE. The target's acknowledgments say how many packets arrived with each mark, and they
//! are sealed.

use pathspider_plugin_api::Marked;
use pathspider_plugin_api::chains::{basic, ecn, icmp, quic};
use pathspider_plugin_api::prelude::*;

const NOT_ECT: Configuration = Configuration::new(0, "not-ect").hold(Hold::Initiation);
const ECT0: Configuration = Configuration::new(1, "ect0").hold(Hold::Initiation);
const ECT1: Configuration = Configuration::new(2, "ect1").hold(Hold::Initiation);
const CE: Configuration = Configuration::new(3, "ce").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity(
        "quicecn.<ect0|ect1|ce>",
        "an answer came that only a reader of our packets can make"
    );
    PASSED: good(
        "quicecn.<ect0|ect1|ce>.passed",
        "every packet that the target acknowledged arrived with its mark, say the target's counts"
    );
    CONGESTED: unknown(
        "quicecn.<ect0|ect1>.congested",
        "some arrived with CE, and others with their mark; or the only one that was counted came \
         with CE: a queue on the path was full, or a box changed the mark"
    );
    ALL_CE: impaired(
        "quicecn.<ect0|ect1>.all_ce",
        "all packets that the target acknowledged, several of them, arrived with CE"
    );
    REMARKED: impaired(
        "quicecn.<ect0|ect1|ce>.remarked:<mark>",
        "some packets arrived with this mark"
    );
    BLEACHED: impaired(
        "quicecn.<ect0|ect1|ce>.bleached",
        "packets arrived without a mark: the target counts packets with other marks"
    );
    UNDERCOUNT: unknown(
        "quicecn.<ect0|ect1|ce>.undercount",
        "the target counts fewer marks than packets that it acknowledged: some arrived without a \
         mark, or it counts wrongly"
    );
    OVERCOUNT: unknown(
        "quicecn.<ect0|ect1|ce>.overcount",
        "the target counts more packets than were sent to it: its counts say nothing of the path"
    );
    NO_COUNTS: unknown(
        "quicecn.<ect0|ect1|ce>.no_counts",
        "the target counts no marks at all: it does not mirror them, or the path clears them all"
    );
    MIRRORS: good("quicecn.target.mirrors", "the target tells which marks arrive");
    USES: good("quicecn.target.uses_ecn", "packets of the target came with ECT or CE");
}

/// The marked configurations, with their words in conditions.
const MARKED: [(Configuration, &str); 3] = [(ECT0, "ect0"), (ECT1, "ect1"), (CE, "ce")];

/// The ECN field of a configuration's packets.
fn mark(config: ConfigId) -> u8 {
    [0, 2, 1, 3][config.index()]
}

/// The measurement of one run.
pub struct QuicEcn {
    connection: Connect,
}

impl Measurement for QuicEcn {
    fn info() -> Info {
        info!("quicecn", "ECN marks over QUIC: connectivity, and which arrive")
            .port(ConnectKind::Quic.default_port())
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(QuicEcn { connection: Connect::quic().timeout(options.timeout()?) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![NOT_ECT, ECT0, ECT1, CE]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, quic::CHAIN, ecn::CHAIN, icmp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        Ok(self.connection.clone().ecn(mark(attempt.config())))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| flow.left_with_mark(mark(flow.config())));
        let mut found = Vec::new();
        let marks = |config: &Configuration| evidence.of(config).and_then(Flow::quic_marks);
        let mirrors =
            MARKED.iter().any(|(config, _)| marks(config).is_some_and(|marks| marks.is_counted()));
        for (config, word) in &MARKED {
            let verdict = evidence.connectivity(CONNECTIVITY, config);
            found.extend(verdict.map(|verdict| verdict.of(word)));
            let became = marks(config).map(|marks| marks.of(mark(config.id()), mirrors));
            found.extend(became.into_iter().flatten().map(|marked| said(marked).of(word)));
        }
        found.extend(mirrors.then_some(MIRRORS));
        let came = [ecn::ECT0_DATA_REV, ecn::ECT1_DATA_REV, ecn::CE_DATA_REV];
        let uses = [NOT_ECT, ECT0, ECT1, CE]
            .iter()
            .filter_map(|config| evidence.of(config))
            .any(|flow| flow.connected() && came.iter().any(|field| flow.has(*field)));
        found.extend(uses.then_some(USES));
        Ok(evidence.conclude(found))
    }
}

/// What became of packets, in this measurement's words.
fn said(marked: Marked) -> Condition {
    match marked {
        Marked::Passed => PASSED,
        Marked::Congested => CONGESTED,
        Marked::AllCe => ALL_CE,
        Marked::As(mark) => REMARKED.with(mark),
        Marked::Bleached => BLEACHED,
        Marked::Uncounted => NO_COUNTS,
        Marked::Undercounted => UNDERCOUNT,
        Marked::Overcounted => OVERCOUNT,
    }
}

export_plugin!(QuicEcn);

#[cfg(test)]
mod tests;
