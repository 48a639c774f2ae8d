//! One measurement and one chain, named like the crate, that use the whole of ABI 1.0, and with the
//! feature `finish` what 1.1 added.

use pathspider_plugin_api::packet::{Layers, Packet, Tcp};
use pathspider_plugin_api::{
    Chain, ChainInfo, ChainName, Condition, ConfigId, Configuration, Connect, FieldType, FlowRecord,
    Host, Info, Job, Measurement, OptionValues, Options, Outcome, Prepared, Record, Result, Verdict,
};

/// The crate's name without what all have.
fn name() -> &'static str {
    env!("CARGO_PKG_NAME").trim_start_matches("pathspider-")
}

/// The measurement.
pub struct Versioned {
    chain: Option<String>,
}

impl Measurement for Versioned {
    fn info() -> Info {
        let info = Info::new(name(), "1.0.0", "Uses the whole contract");
        info.contact("https://github.com/pathspider/pathspider").online(name())
    }

    fn options() -> Options {
        Options::none().text("chain", "", "One more chain")
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Versioned { chain: options.text("chain")?.map(str::to_owned) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("only")]
    }

    fn chains(&self) -> Vec<ChainName> {
        let own = [ChainName::from("basic"), ChainName::from("tcp"), ChainName::from(name())];
        own.into_iter().chain(self.chain.as_deref().map(ChainName::from)).collect()
    }

    fn default_port(&self) -> u16 {
        80
    }

    fn pre_connect(&self, job: &Job) -> Result<Prepared> {
        Ok(Prepared::new(job.target().to_string()))
    }

    fn connect(&self, _: &Job, _: &Prepared, _: ConfigId) -> Result<Connect> {
        Ok(Connect::tcp().ttl(61))
    }

    fn post_connect(
        &self,
        _: &Job,
        outcome: Outcome,
        prepared: &Prepared,
        _: ConfigId,
    ) -> Result<Record> {
        let target = prepared.get::<String>().cloned().unwrap_or_default();
        Ok(outcome.into_record().with("prepared", target))
    }

    fn combine(&self, _: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        Ok(flows.iter().filter_map(|flow| Condition::online(name(), flow)).collect())
    }

    fn rows(&self, job: &Job, _: &[Record]) -> Result<Vec<Record>> {
        Ok(vec![Record::new().with("number", job.number())])
    }

    #[cfg(feature = "finish")]
    fn finish(&self) -> Result<Record> {
        Ok(Record::new().with("finished", name()))
    }
}

/// The chain: the number of TCP segments, under the name of the crate.
#[derive(Default)]
pub struct Segments;

impl Chain for Segments {
    type Flow = u64;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        ChainInfo::new(name(), "the number of segments").field(name(), FieldType::UInt, "segments")
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<u64> {
        Some(0)
    }

    fn tcp(&self, flow: &mut u64, _: &Tcp<'_>, _: &Packet<'_>) -> Verdict {
        *flow += 1;
        Verdict::Continue
    }

    fn finish(&self, flow: u64, record: &mut FlowRecord) {
        record.push(name(), flow);
    }
}

pathspider_plugin_api::export_plugin! { measurements: [Versioned], chains: [Segments] }
