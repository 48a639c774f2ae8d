//! The plugin's last word on the run.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pathspider_plugin_api::abi::MeasurementObject;
use pathspider_plugin_api::{Error, Record};

use pathspider_plugins::rules::{self, RunRule};
use pathspider_runtime::patience::LAST_WORDS;
use pathspider_runtime::stop::{Stop, Urgency};
use pathspider_runtime::threads::Threads;

/// Has the plugin end the run, on a thread of its own: one that does not come back is left behind.
///
/// # Errors
///
/// The plugin's; or it took longer than `limit`, or than [`LAST_WORDS`].
pub(super) fn finish(
    threads: Threads,
    measurement: Arc<MeasurementObject>,
    limit: Duration,
    stop: &Stop,
) -> Result<Record, Error> {
    let began = Instant::now();
    let call = move || {
        let finished = measurement.finish()?;
        rules::check_finished(&finished)?;
        Ok(finished)
    };
    let finishing = threads.start("finish", call)?;
    while !finishing.is_finished() {
        let patience = match stop.urgency() {
            Urgency::Terminate => limit.min(LAST_WORDS),
            _ => limit,
        };
        if began.elapsed() > patience {
            let what = format_args!("it did not return within {} s", patience.as_secs_f64());
            return Err(RunRule::Blocking.broken("finish", what).into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    finishing.join().unwrap_or_else(|_| Err(Error::contract("finish: it unwound into the host")))
}
