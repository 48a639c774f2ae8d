//! Measurements in processes of their own, as `probe` and `trace --with` have them made: how one is
//! started, and what it says.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use pathspider_plugin_api::Record;
use pathspider_plugins::Registry;
use pathspider_runtime::apart::{Apart, Event, How};
use pathspider_runtime::process::Held;
use pathspider_runtime::threads::SingleThread;
use pathspider_runtime::witness;

use super::exit::Exit;
use super::{conclude, measure};
use crate::probe::Task;

/// Forks the process of a measurement with these options, which is [given](give) its rounds and its
/// targets later.
pub(super) fn start(
    task: &Task<'_>,
    words: Vec<OsString>,
    single: &SingleThread,
    held: &Held,
    registry: &Registry,
) -> io::Result<Apart> {
    Apart::start(single, held, |single, given| {
        witness::begin(&single);
        let mut lines = given.lines();
        let rounds = lines.next().unwrap_or_default();
        let mut words = words;
        words.extend(["--repeat".into(), OsString::from_vec(rounds.into())]);
        let input = (task.values.clone(), lines.map(str::to_owned).collect());
        let result = measure::for_another(words, input, task.found, single, registry);
        conclude(&["pathspider".into(), "probe".into()], result)
    })
}

/// Has it measure these targets, a line each.
pub(super) fn give(child: &mut Apart, rounds: u16, lines: &[String]) {
    child.give(&format!("{rounds}\n{}", lines.join("\n")));
}

/// What comes of a measurement.
pub(super) enum Said {
    /// A record.
    Record(Record),
    /// A message, but for the last one.
    Message(String),
    /// This process was asked to stop, and has passed that on to the measurement.
    Stopped,
}

/// How a measurement ended.
pub(super) struct Ended {
    how: How,
    /// The last message, which is the reason where it failed.
    pub(super) last: Option<String>,
}

/// Hears a measurement to its end.
pub(super) fn hear(child: &mut Apart, held: &Held, mut heard: impl FnMut(Said)) -> Ended {
    let mut last: Option<String> = None;
    loop {
        match child.next(held) {
            Event::Output(line) => {
                serde_json::from_slice(&line).into_iter().for_each(|one| heard(Said::Record(one)));
            }
            Event::Message(line) => {
                let text = String::from_utf8_lossy(&line);
                match &mut last {
                    // Further lines of a message are indented.
                    Some(last) if text.starts_with("    ") => {
                        last.push('\n');
                        last.push_str(text.trim_start());
                    }
                    _ => {
                        let before = last.replace(text.into_owned());
                        before.into_iter().for_each(|text| heard(Said::Message(text)));
                    }
                }
            }
            Event::Signal(signal) => {
                child.signal(signal);
                heard(Said::Stopped);
            }
            Event::Ended(how) => return Ended { how, last },
        }
    }
}

impl Ended {
    /// Whether it came to its end, or to that of one that was told to stop.
    pub(super) fn is_done(&self) -> bool {
        let done = [Exit::Finished, Exit::FinishedWithErrors, Exit::Stopped];
        done.into_iter().any(|exit| self.how.is(exit))
    }

    /// Why it failed.
    pub(super) fn failure(self) -> (Exit, String) {
        let (exit, ended) = match self.how {
            How::Status(status) => (
                Exit::from_code(status).unwrap_or(Exit::Failed),
                format!("it ended with the status {status}"),
            ),
            How::Signal(signal) => (Exit::Failed, format!("signal {signal} ended it")),
        };
        let said = self.last.map(|text| match text.strip_prefix("pathspider: ") {
            Some(text) => text.to_owned(),
            None => text,
        });
        (exit, said.unwrap_or(ended))
    }
}
