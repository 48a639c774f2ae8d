//! A measurement with an option in whose range there is no number.

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

const ONLY: Configuration = Configuration::new(0, "only");

conditions! {
    ONLINE: online("reversed");
}

/// The measurement of one run.
pub struct Reversed;

impl Measurement for Reversed {
    fn info() -> Info {
        Info::new("reversed", "1.0.0", "Has an option that cannot be given")
            .contact("https://github.com/pathspider/pathspider")
            .conditions(CONDITIONS)
    }

    // It is the mistake.
    #[allow(clippy::reversed_empty_ranges)]
    fn options() -> Options {
        Options::none().integer("count", 5..=1, 3, "How many")
    }

    fn new(_options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Reversed)
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ONLY]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn connect(&self, _: &Attempt<'_>) -> Result<Connect> {
        Ok(Connect::tcp())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        Ok(flows.online(ONLINE).into_iter().collect())
    }
}

export_plugin!(Reversed);
