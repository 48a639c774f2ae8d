//! The measurement: does a connection with a low time to live work like an ordinary one?

use std::time::Duration;

use pathspider_plugin_api::{
    observed, ChainName, Condition, ConfigId, Configuration, Connect, Hold, Host, Info, Job,
    Measurement, OptionValues, Options, Prepared, Record, Result,
};

/// The measurement of one run.
pub struct Example {
    ttl: u8,
    timeout: Duration,
}

impl Measurement for Example {
    fn info() -> Info {
        // The name on the command line is the crate's, without `pathspider-`.
        let name = env!("CARGO_PKG_NAME").trim_start_matches("pathspider-");
        Info::new(name, env!("CARGO_PKG_VERSION"), "Example: a low time to live")
            .contact("https://example.org/whom-to-ask")
            .connectivity(name)
            .condition(
                &format!("{name}.hops:<hops>"),
                "the first packet of the target in B came with this time to live",
            )
    }

    fn options() -> Options {
        Options::none().integer("ttl", 1..=255, 32, "The time to live of B").timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        // The host has checked the range.
        let ttl = u8::try_from(options.integer("ttl")?)?;
        Ok(Example { ttl, timeout: options.timeout()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        // The setting is one of the socket, so nothing has to hold beyond the first packet.
        ["ordinary", "low ttl"].map(|label| Configuration::new(label).hold(Hold::Initiation)).into()
    }

    fn chains(&self) -> Vec<ChainName> {
        // The host's, and this crate's own.
        ChainName::list(&["basic", "tcp", "hops"])
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        let connect = Connect::tcp().timeout(self.timeout);
        Ok(if config == ConfigId::BASELINE { connect } else { connect.ttl(self.ttl) })
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let [a, b] = flows else { return Ok(Vec::new()) };
        let name = env!("CARGO_PKG_NAME").trim_start_matches("pathspider-");
        // The wire decides: without a packet that shows the setting, there is no verdict.
        if observed(b) && b.u64("hops_fwd") != Some(self.ttl.into()) {
            return Ok(vec![Condition::not_applied(ConfigId::new(1))]);
        }
        let mut conditions: Vec<Condition> =
            Condition::connectivity(name, a, b).into_iter().collect();
        if let Some(hops) = b.u64("hops_rev") {
            conditions.push(Condition::with_value(&format!("{name}.hops"), hops));
        }
        Ok(conditions)
    }
}
