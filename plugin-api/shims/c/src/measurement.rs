//! The C file's measurement: the contract's functions, by calls of its own.

use std::ffi::c_void;
use std::sync::OnceLock;

use pathspider_plugin_api::{
    Attempt, ChainName, Conclusion, Configuration, Connect, Error, Flows, Host, Info, Measurement,
    OptionValues, Options, Result,
};

use crate::declared::{self, CPlugin};
use crate::failure::{called, succeeded};
use crate::lent::{self, Connecting, LentFlow, LentFlows};

/// The host, for the C file's messages.
pub(crate) static HOST: OnceLock<Host> = OnceLock::new();

/// One run.
pub(crate) struct Foreign {
    plugin: &'static CPlugin,
    run: *mut c_void,
}

// SAFETY: the header says which functions are called on several threads at once, and that `run` is the C
// file's own.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

fn lacks(what: &str) -> Error {
    Error::contract(format_args!("it has no function {what}"))
}

impl Measurement for Foreign {
    fn info() -> Info {
        Self::describe().map_or_else(|_| Info::new("", "", ""), |(info, _)| info)
    }

    fn describe() -> Result<(Info, Options)> {
        declared::plugin()?.describe()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Foreign> {
        HOST.get_or_init(|| host);
        let plugin = declared::plugin()?;
        let run = match plugin.start {
            // SAFETY: the C file's own function, with options for the length of the call.
            Some(start) => called(|| unsafe { start(options) })?,
            None => std::ptr::null_mut(),
        };
        Ok(Foreign { plugin, run })
    }

    fn configurations(&self) -> Vec<Configuration> {
        self.plugin.configurations()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(self.plugin.chains_read())
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connect = self.plugin.connect.ok_or_else(|| lacks("connect"))?;
        let mut connecting = Connecting::default();
        let config = u32::try_from(attempt.config().index()).unwrap_or(u32::MAX);
        // SAFETY: the C file's own function and run, with what is lent for the length of the call.
        succeeded("connect", || unsafe {
            connect(self.run, attempt.job(), config, &raw mut connecting)
        })?;
        connecting.done()
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let as_meant = self.plugin.as_meant.ok_or_else(|| lacks("as_meant"))?;
        let combine = self.plugin.combine.ok_or_else(|| lacks("combine"))?;
        let each = LentFlow::all_of(flows);
        let mut judged = Vec::with_capacity(each.len());
        for lent in &each {
            judged.push(if lent.flow.seen() {
                // SAFETY: as above.
                match called(|| unsafe { as_meant(self.run, lent) })? {
                    0 => Some(false),
                    1 => Some(true),
                    2 => None,
                    other => return Err(Error::contract(format_args!("as_meant gave {other}"))),
                }
            } else {
                None
            });
        }
        let evidence = flows.weigh(|flow| judged.get(flow.config().index()).copied().flatten());
        let lent = LentFlows { flows: *flows, each, evidence };
        let mut conclusion = lent::Conclusion { plugin: self.plugin, conditions: Vec::new() };
        // SAFETY: as above.
        succeeded("combine", || unsafe {
            combine(self.run, &raw const lent, &raw mut conclusion)
        })?;
        Ok(lent.evidence.conclude(conclusion.conditions))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(stop) = self.plugin.stop {
            // SAFETY: it is the last call with this run.
            unsafe { stop(self.run) };
        }
    }
}
