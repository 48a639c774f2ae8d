//! What the metadata say when a run has ended, or is given up.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::describe::counts;
use crate::job;
use crate::output::{Metadata, OutputError, Summary, TIME_END, time, time_at_last};
use crate::run::Ended;
use pathspider_observer::Counters;

/// What a run has come to, by its keys.
#[derive(Default)]
pub(super) struct Report(Map<String, Value>);

impl Report {
    /// Of a run that has ended.
    pub(super) fn of(ended: &Ended) -> Report {
        let mut run = Map::new();
        let changed = ended
            .changed
            .iter()
            .map(|(key, before, given)| (key.clone(), json!({"before": before, "given": given})));
        run.insert("sysctls_changed".into(), Value::Object(changed.collect()));
        if !ended.finished.is_empty() {
            // Its record is one that JSON can say: the rules were applied to it.
            let said = serde_json::to_value(&ended.finished).unwrap_or_default();
            run.insert("plugin".into(), said);
        }
        run.insert("counts".into(), counts(&ended.summary, &ended.counters, &ended.input));
        Report(run)
    }

    /// Writes it, and why the run has ended.
    pub(super) fn write(self, metadata: &mut Metadata, why: String) -> Result<(), OutputError> {
        let Report(mut run) = self;
        // Somebody may have amended it meanwhile (`pathspider metadata`).
        metadata.read_again();
        let now = SystemTime::now();
        metadata.set(TIME_END, time_at_last(now));
        run.insert("ended".into(), time(now).into());
        run.insert("end".into(), why.into());
        metadata.amend_run(run);
        metadata.write().map_err(|error| OutputError::new(&metadata.path().display(), error))
    }
}

/// Ends the metadata of a run whose stages do not end.
pub(in crate::run) struct LastWord {
    metadata: Metadata,
}

impl LastWord {
    /// For metadata of which the begin is written.
    pub(super) fn new(metadata: Metadata) -> LastWord {
        LastWord { metadata }
    }

    /// Writes why the run is given up, and what is known of what it came to.
    ///
    /// # Errors
    ///
    /// They stay as they were.
    pub(in crate::run) fn write(
        mut self,
        why: String,
        summary: &Summary,
        counters: &Counters,
        input: &job::Counts,
    ) -> Result<(), OutputError> {
        let known = Map::from_iter([("counts".to_owned(), counts(summary, counters, input))]);
        Report(known).write(&mut self.metadata, why)
    }
}
