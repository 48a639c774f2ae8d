//! The measurement that does a deed in one of the contract's functions, and else connects twice by the
//! host's TCP.

use std::sync::Once;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

use crate::deed::commit;
use crate::words::{BEFORE, DISTURBS, ENDS, IN_RUN, OTHERS};

const A: Configuration = Configuration::new(0, "a");
const B: Configuration = Configuration::new(1, "b");

conditions! {
    CONNECTIVITY: connectivity("hostile");
}

/// The measurement of one run, which changes a setting of the machine, or none.
pub struct Hostile<const CHANGES: bool> {
    at: String,
    what: String,
    once: Once,
}

impl<const CHANGES: bool> Hostile<CHANGES> {
    /// Does it in this function, the first time.
    fn maybe(&self, function: &str) {
        if self.at == function {
            self.once.call_once_force(|_| commit(&self.what));
        }
    }
}

impl<const CHANGES: bool> Drop for Hostile<CHANGES> {
    fn drop(&mut self) {
        self.maybe("drop");
    }
}

impl<const CHANGES: bool> Measurement for Hostile<CHANGES> {
    fn info() -> Info {
        // No option is known yet.
        if let Some(deed) = std::env::var_os("HOSTILE_IN_INFO") {
            commit(&deed.to_string_lossy());
        }
        let name = if CHANGES { "hostile" } else { "hostile-idle" };
        let info = Info::new(name, "1.0.0", "Does what a bad C library does, on request")
            .contact("https://github.com/pathspider/pathspider")
            .conditions(CONDITIONS);
        if CHANGES { info.changes_system() } else { info }
    }

    fn options() -> Options {
        let functions = [&["nowhere"][..], &BEFORE, &IN_RUN].concat();
        let deeds = [&["nothing"][..], &ENDS, &DISTURBS, &OTHERS].concat();
        Options::none().choice("at", &functions, "The function that does it").choice(
            "what",
            &deeds,
            "What it does",
        )
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        let text = |name| options.text(name).map(|text| text.unwrap_or_default().to_owned());
        let hostile = Hostile { at: text("at")?, what: text("what")?, once: Once::new() };
        hostile.maybe("new");
        Ok(hostile)
    }

    fn configurations(&self) -> Vec<Configuration> {
        self.maybe("configurations");
        vec![A, B]
    }

    fn chains(&self) -> Vec<ChainName> {
        self.maybe("chains");
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        if CHANGES {
            system.sysctl("net.ipv4.tcp_sack", config.index())?;
        }
        self.maybe("configure");
        Ok(())
    }

    fn pre_connect(&self, _: &Attempt<'_>) -> Result<Prepared> {
        self.maybe("pre-connect");
        Ok(Prepared::default())
    }

    fn connect(&self, _: &Attempt<'_>) -> Result<Connect> {
        self.maybe("connect");
        Ok(Connect::tcp())
    }

    fn post_connect(&self, _: &Attempt<'_>, outcome: Outcome) -> Result<Record> {
        self.maybe("post-connect");
        Ok(outcome.into_record())
    }

    fn merge(&self, _: &Attempt<'_>, flow: Flow<'_>, mut result: Record) -> Result<Record> {
        self.maybe("merge");
        result.extend(flow.fields());
        Ok(result)
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        self.maybe("combine");
        Ok(flows.connectivity(CONNECTIVITY, B).into_iter().collect())
    }

    fn rows(&self, _: &Flows<'_>) -> Result<Vec<Record>> {
        self.maybe("rows");
        Ok(Vec::new())
    }

    fn finish(&self) -> Result<Record> {
        self.maybe("finish");
        Ok(Record::new())
    }
}
