//! What the metadata say when a run has ended, or is given up.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::output::{Counted, Metadata, OutputError, TIME_END, time, time_at_last};
use crate::run::RunEnd;
use pathspider_observer::Strays;

/// What a run has come to, by its keys.
#[derive(Default)]
pub(super) struct Report(Map<String, Value>);

impl Report {
    /// Of a run that has ended.
    pub(super) fn of(ended: &RunEnd) -> Report {
        let mut run = Map::new();
        let changed = ended
            .changed
            .iter()
            .map(|(key, before, given)| (key.clone(), json!({"before": before, "given": given})));
        run.insert("sysctls_changed".into(), Value::Object(changed.collect()));
        if !ended.finished.is_empty() {
            // Its record is one that JSON can say: the rules were applied to it.
            run.insert("plugin".into(), said(&ended.finished));
        }
        run.insert("counts".into(), said(&ended.counted));
        if let Some(cause) = &ended.cause {
            run.insert("cause".into(), cause.to_string().into());
        }
        if let Some(Strays { count, interface, from }) = &ended.strays {
            let strays = json!({"packets": count, "interface": interface, "from": from});
            run.insert("elsewhere".into(), strays);
        }
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

/// A value as JSON. What is written here can be: numbers, texts, and keys that are texts.
fn said(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Ends the metadata of a run whose stages do not end.
pub(in crate::run) struct LastWord {
    metadata: Metadata,
}

impl LastWord {
    /// For metadata whose begin is written.
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
        counted: &Counted,
    ) -> Result<(), OutputError> {
        let known = Map::from_iter([("counts".to_owned(), said(counted))]);
        Report(known).write(&mut self.metadata, why)
    }
}
