//! Where on a path a code point is changed, and where SYNs with it are dropped or refused.
//!
//! A: a SYN without a mark. B: the same with the code point. After them the rungs of two ladders: for
//! each number of hops, both SYNs again with that time to live, which the routers answer one after the
//! other. What a router quotes shows the mark as it came there. A rung is not climbed where the plain
//! ladder has reached the target already, so that at most one SYN more of each kind gets there.

mod ladder;

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, dscp, icmp, tcp};
use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::prelude::*;

use ladder::{Harm, Rung};

const PLAIN: Configuration = Configuration::new(0, "plain").hold(Hold::Initiation);
const MARKED: Configuration = Configuration::new(1, "marked").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("ladder");
    LENGTH: unknown("ladder.length:<hops>", "a plain SYN needs this many hops to the target");
    CHANGED: impaired(
        "ladder.mark.changed:<hop>",
        "the mark came to this router, or to the last of these, with another value"
    );
    DROPPED: impaired(
        "ladder.mark.dropped:<hop>",
        "plain SYNs came to this router, or to the last of these, and marked ones did not"
    );
    REFUSED: impaired(
        "ladder.mark.refused:<hop>",
        "marked SYNs were refused, and plain ones not, on the way to the last of these"
    );
}

/// The measurement of one run.
pub struct Ladder {
    mark: u8,
    hops: usize,
    timeout: Duration,
}

impl Measurement for Ladder {
    fn info() -> Info {
        info!("ladder", "Where a path changes or drops a code point (RFC 2474)")
            .forges()
            .depends()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none()
            .integer("codepoint", 1..=63, 46, "The code point of B")
            .integer("hops", 1..=30, 12, "The rungs of each ladder")
            .timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let (mark, hops) = (options.integer("codepoint")?, options.integer("hops")?);
        Ok(Ladder { mark, hops, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let kinds = [PLAIN, MARKED];
        let each = |(place, hops): (usize, usize)| {
            let label = format!("{} ttl {hops}", kinds[place % 2].label());
            Configuration::new(place, "rung").labelled(label).hold(Hold::Initiation)
        };
        let rungs = (1..=self.hops).flat_map(|hops| [(2 * hops, hops), (2 * hops + 1, hops)]);
        kinds.iter().cloned().chain(rungs.map(each)).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, dscp::CHAIN, icmp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let (job, config) = (attempt.job(), attempt.config());
        let hops = config.index() / 2;
        let below = (hops > 1).then(|| attempt.earlier(rung(hops - 1, PLAIN))).flatten();
        if below.is_some_and(|flow| flow.accepted_syn() || flow.state() == State::Skipped) {
            return Ok(Connect::skip("the target is nearer"));
        }
        let mut packet = Packet::to(job.target()).dscp(self.mark(config));
        if hops > 0 {
            packet = packet.ttl(u8::try_from(hops).unwrap_or(u8::MAX));
        }
        let syn = packet.tcp_syn(job.port()).mss(1460).bytes()?;
        Ok(Connect::packets(vec![syn], self.timeout).repeat_as_sockets_do())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let sent = flow.get(dscp::SYN_FWD)?;
            Some(sent == self.mark(flow.config()))
        });
        let connectivity = evidence.compared(CONNECTIVITY, MARKED, Flow::accepted_syn);
        let climb = |kind: Configuration| -> Vec<Rung> {
            let rungs = (1..=self.hops).map(|hops| evidence.of(rung(hops, kind.clone())));
            rungs.map(|flow| flow.map_or(Rung::Unknown, Rung::of)).collect()
        };
        let (plain, marked) = (climb(PLAIN), climb(MARKED));
        let length = plain.iter().position(|rung| *rung == Rung::Target);
        let is_lost = evidence.of(MARKED).is_some_and(|flow| !flow.accepted_syn());
        let harm =
            Harm::between(&plain, &marked, self.mark, is_lost).map(|(harm, place)| match harm {
                Harm::Changed => CHANGED.with(place),
                Harm::Dropped => DROPPED.with(place),
                Harm::Refused => REFUSED.with(place),
            });
        let length = length.map(|below| LENGTH.with(below + 1));
        Ok(evidence.conclude(connectivity.into_iter().chain(length).chain(harm)))
    }

    fn rows(&self, flows: &Flows<'_>) -> Result<Vec<Record>> {
        let router = |hops| icmp::errors(flows.of(rung(hops, PLAIN))).next();
        let routers = (1..=self.hops).map(|hops| router(hops).map(|error| error.from));
        Ok(vec![Record::new().with("ladder_routers", routers.collect::<Value>())])
    }
}

impl Ladder {
    /// What the SYNs of a configuration are marked with.
    fn mark(&self, config: ConfigId) -> u8 {
        if config.index() % 2 == 1 { self.mark } else { 0 }
    }
}

/// The rung at this many hops: every other configuration after A and B.
fn rung(hops: usize, kind: Configuration) -> ConfigId {
    ConfigId::new(2 * hops + kind.id().index())
}

export_plugin!(Ladder);
