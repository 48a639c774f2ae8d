//! A measurement and a chain like those of `sdk-template`, with the mistake that the environment's
//! `NEWCOMER` names, and none without. What a plugin says of itself depends on no option, so the mistake
//! is none.

mod chain;
mod words;

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, syn, tcp};
use pathspider_plugin_api::prelude::*;

use chain::hops;

const A: Configuration = Configuration::new(0, "ordinary").hold(Hold::Initiation);
const B: Configuration = Configuration::new(1, "low ttl").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("newcomer");
    HOPS: unknown("newcomer.hops:<hops>", "the target's first packet in B came with this many hops left");
}

/// Declarations that are wrong by themselves.
mod wrong {
    pub(super) mod word {
        pathspider_plugin_api::conditions! {
            WORD: good("works", "it works");
        }
        pub(in super::super) const ALL: &[&[pathspider_plugin_api::Condition]] = CONDITIONS;
        pub(in super::super) const ONE: pathspider_plugin_api::Condition = WORD;
    }

    pub(super) mod of_the_host {
        pathspider_plugin_api::conditions! {
            SENT: good("pathspider.sent", "it was sent");
        }
        pub(in super::super) const ALL: &[&[pathspider_plugin_api::Condition]] = CONDITIONS;
        pub(in super::super) const ONE: pathspider_plugin_api::Condition = SENT;
    }

    pub(super) mod open {
        pathspider_plugin_api::conditions! {
            OPEN: connectivity("newcomer.<ttl>");
        }
        pub(in super::super) const ALL: &[&[pathspider_plugin_api::Condition]] = CONDITIONS;
        pub(in super::super) const WORDS: pathspider_plugin_api::Connectivity = OPEN;
    }
}

/// Whether this is the mistake that is to be made.
fn made(mistake: &str) -> bool {
    assert!(words::MISTAKES.contains(&mistake) || mistake == words::NAMESAKE, "{mistake}");
    std::env::var("NEWCOMER").is_ok_and(|name| name == mistake)
}

/// The measurement of one run.
pub struct Newcomer {
    ttl: u8,
    timeout: Duration,
}

impl Measurement for Newcomer {
    fn info() -> Info {
        let name = if made("name-with-capitals") { "Newcomer" } else { "newcomer" };
        let version = if made("no-version") { "" } else { "0.1.0" };
        let description = if made("no-description") { "" } else { "a low time to live" };
        let mut info = Info::new(name, version, description);
        if !made("no-contact") {
            info = info.contact("https://example.org/whom-to-ask");
        }
        match () {
            () if made("conditions-forgotten") => info,
            () if made("condition-of-one-word") => info.conditions(wrong::word::ALL),
            () if made("condition-of-the-host") => info.conditions(wrong::of_the_host::ALL),
            () if made("condition-left-open") => info.conditions(wrong::open::ALL),
            () => info.conditions(CONDITIONS),
        }
    }

    fn options() -> Options {
        let default = if made("default-out-of-range") { 300 } else { 32 };
        let name = if made("option-with-capitals") { "TTL" } else { "ttl" };
        let options = Options::none().integer(name, 1..=255, default, "The time to live of B");
        if made("time-out-forgotten") { options } else { options.timeout() }
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        if made("option-of-another-type") {
            options.text("ttl")?;
        }
        if made("option-misspelt") {
            options.integer::<u8>("tll")?;
        }
        let name = if made("option-with-capitals") { "TTL" } else { "ttl" };
        Ok(Newcomer { ttl: options.integer(name)?, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        match () {
            () if made("no-configuration") => Vec::new(),
            () if made("configurations-of-one-place") => vec![A, Configuration::new(0, "other")],
            () if made("configurations-from-one-on") => {
                vec![B, Configuration::new(2, "ordinary")]
            }
            () if made("configurations-of-one-label") => {
                vec![A, Configuration::new(1, "ordinary")]
            }
            () => vec![A, B],
        }
    }

    fn chains(&self) -> Vec<ChainName> {
        let mut chains = ChainName::list([basic::CHAIN, tcp::CHAIN]);
        if !made("own-chain-forgotten") {
            chains.push(if hops::is_namesake() {
                "newcomer.tcp".into()
            } else {
                hops::CHAIN.into()
            });
        }
        if made("chain-misspelt") {
            chains.push("tpc".into());
        }
        chains
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        if made("changes-undeclared") {
            system.sysctl("net.ipv4.ip_default_ttl", 32)
        } else {
            Ok(())
        }
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        if made("earlier-undeclared") && attempt.is(B) {
            attempt.earlier(A).ok_or_else(|| Error::new("there is no earlier connection"))?;
        }
        let connect = Connect::tcp().timeout(self.timeout);
        Ok(if attempt.is(B) { connect.ttl(self.ttl) } else { connect })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        if made("field-of-no-chain") {
            flows.of(B).get(syn::COUNT_FWD);
        }
        if made("field-unwrapped") {
            // What a newcomer writes.
            #[allow(clippy::unwrap_used)]
            let hops = flows.of(B).get(hops::reverse()).unwrap();
            return Ok(vec![HOPS.with(hops)].into());
        }
        if made("configuration-that-is-not-there") {
            flows.of(ConfigId::new(2));
        }
        if made("condition-of-one-word") && flows.of(B).seen() {
            return Ok(vec![wrong::word::ONE].into());
        }
        if made("condition-of-the-host") && flows.of(B).seen() {
            return Ok(vec![wrong::of_the_host::ONE].into());
        }
        if made("condition-left-open") {
            return Ok(flows.connectivity(wrong::open::WORDS, B).into_iter().collect());
        }
        let evidence = flows.weigh(|flow| {
            let sent = flow.get(hops::forward())?;
            Some(!flow.is(B) || sent == self.ttl)
        });
        let verdict = evidence.connectivity(CONNECTIVITY, B);
        let answer = evidence.of(B).and_then(|b| b.get(hops::reverse()));
        Ok(evidence.conclude(verdict.into_iter().chain(answer.map(|hops| HOPS.with(hops)))))
    }
}

export_plugin! { measurements: [Newcomer], chains: [chain::Hops] }
