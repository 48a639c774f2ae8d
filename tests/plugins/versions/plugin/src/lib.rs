//! One measurement and one chain that use the whole contract. Both have the name of the crate, which
//! the test puts in the place of NAME.

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::packet::{Layers, Packet, Tcp};
use pathspider_plugin_api::prelude::*;
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict, fields};

const ONLY: Configuration = Configuration::new(0, "only").carrier(Carrier::Data);

conditions! {
    ONLINE: online("NAME");
    SEGMENTS_SEEN: unknown("NAME.segments:<number>", "this many segments were seen");
}

fields! {
    CHAIN = "NAME": "the number of segments";
    SEGMENTS: u64 = "NAME": "segments";
}

/// The measurement.
pub struct Versioned {
    chain: Option<String>,
}

impl Measurement for Versioned {
    fn info() -> Info {
        let info = Info::new("NAME", "1.0.0", "Uses the whole contract").conditions(CONDITIONS);
        info.contact("https://github.com/pathspider/pathspider").port(80).depends()
    }

    fn options() -> Options {
        Options::none().text("chain", "", "One more chain")
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Versioned { chain: options.text("chain")?.map(str::to_owned) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ONLY]
    }

    fn chains(&self) -> Vec<ChainName> {
        let own = ChainName::list([basic::CHAIN, tcp::CHAIN, CHAIN]);
        own.into_iter().chain(self.chain.as_deref().map(ChainName::from)).collect()
    }

    fn configure(&self, _: ConfigId, _: &mut System<'_>) -> Result<()> {
        Ok(())
    }

    fn pre_connect(&self, attempt: &Attempt<'_>) -> Result<Prepared> {
        Ok(Prepared::new(attempt.job().target().to_string()))
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        if attempt.is(ONLY) && attempt.round() == 0 && attempt.earlier(ONLY).is_none() {
            Ok(Connect::tcp().ttl(61))
        } else {
            Err(Error::new("there is one connection"))
        }
    }

    fn post_connect(&self, attempt: &Attempt<'_>, outcome: Outcome) -> Result<Record> {
        let target = attempt.prepared::<String>().cloned().unwrap_or_default();
        Ok(outcome.into_record().with("prepared", target))
    }

    fn merge(&self, attempt: &Attempt<'_>, flow: Flow<'_>, mut result: Record) -> Result<Record> {
        result.extend(flow.fields());
        Ok(result.with("merged", attempt.config().index()))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let segments = flows.of(ONLY).get(SEGMENTS).map(|number| SEGMENTS_SEEN.with(number));
        Ok(flows.online(ONLINE).into_iter().chain(segments).collect())
    }

    fn rows(&self, flows: &Flows<'_>) -> Result<Vec<Record>> {
        Ok(vec![Record::new().with("number", flows.job().number())])
    }

    fn finish(&self) -> Result<Record> {
        Ok(Record::new().with("finished", "NAME"))
    }
}

/// The chain: the number of TCP segments.
#[derive(Default)]
pub struct Segments;

impl Chain for Segments {
    type Flow = u64;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<u64> {
        Some(0)
    }

    fn tcp(&self, flow: &mut u64, _: &Tcp<'_>, _: &Packet<'_>) -> Verdict {
        *flow += 1;
        Verdict::Continue
    }

    fn finish(&self, flow: u64, fields: &mut Fields<'_>) {
        fields.set(SEGMENTS, flow);
    }
}

export_plugin! { measurements: [Versioned], chains: [Segments] }
