//! Messages for people, and the line that shows a run, on standard error.
//!
//! Whoever reads them may pause (a pager, a terminal that is held), which must not keep a run from
//! being stopped, nor the system from being restored. So they are written by a thread of their own.

use std::fmt::{self, Arguments, Write as _};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::patience::LAST_WORDS;
use crate::threads::Threads;
use crate::{streams, text};

/// Writes a line for people, as `format!` would make it.
#[macro_export]
macro_rules! say {
    ($($message:tt)*) => {
        $crate::say::line(format_args!($($message)*))
    };
}

/// Messages that wait for their reader at most.
const WAITING: usize = 1024;

/// Between two looks whether all is written.
const LOOK: Duration = Duration::from_millis(1);

/// Where messages go once a thread writes them.
static QUEUE: OnceLock<Sender<Message>> = OnceLock::new();

/// Messages that are not written yet.
static UNWRITTEN: AtomicUsize = AtomicUsize::new(0);

/// Messages that found no room in the queue, and were not told of yet.
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

/// Whether a message waited in vain for room, and none was taken since.
static STALLED: AtomicBool = AtomicBool::new(false);

/// Whether the process was told to end.
static HURRIED: AtomicBool = AtomicBool::new(false);

/// What the thread writes.
enum Message {
    Line(String),
    /// The last line of a terminal, in place of what was there; others are written above it.
    Progress(String),
    NoProgress,
}

/// Has a thread write from now on; before that, and in programs of a moment, whoever says something
/// writes it.
///
/// # Errors
///
/// It cannot be started.
pub fn begin(threads: Threads) -> io::Result<()> {
    let (queue, messages) = bounded(WAITING);
    threads.start("messages", move || write_all(&messages))?;
    let _ = QUEUE.set(queue);
    Ok(())
}

/// Writes a line. Where standard error is gone there is nobody to tell, and the run goes on.
pub fn line(message: Arguments<'_>) {
    let mut line = Line(String::from("pathspider: "));
    let _ = line.write_fmt(message);
    line.0.push('\n');
    match QUEUE.get() {
        Some(queue) => send(queue, Message::Line(line.0)),
        None => write(&line.0),
    }
}

/// Shows how a run goes.
pub fn progress(text: String) {
    // Where others wait, the next one will say more.
    if let Some(queue) = QUEUE.get().filter(|queue| queue.is_empty()) {
        send(queue, Message::Progress(text));
    }
}

/// Shows it no more.
pub fn no_progress() {
    if let Some(queue) = QUEUE.get() {
        send(queue, Message::NoProgress);
    }
}

/// A reader that is but slow gets all: a message waits for room, unless nothing is taken for so
/// long that nobody may be there.
fn send(queue: &Sender<Message>, message: Message) {
    let patience = if STALLED.load(Ordering::SeqCst) { Duration::ZERO } else { LAST_WORDS };
    UNWRITTEN.fetch_add(1, Ordering::SeqCst);
    if queue.send_timeout(message, patience).is_err() {
        UNWRITTEN.fetch_sub(1, Ordering::SeqCst);
        LEFT_OUT.fetch_add(1, Ordering::SeqCst);
        STALLED.store(true, Ordering::SeqCst);
    }
}

/// Limits how long the end of the process waits for readers of its messages to [`LAST_WORDS`].
pub fn hurry() {
    HURRIED.store(true, Ordering::SeqCst);
}

/// Waits until all is written, or the process is told to end; then as [`end_soon`].
pub fn end() {
    while !is_written() && !HURRIED.load(Ordering::SeqCst) {
        thread::sleep(LOOK);
    }
    end_soon();
}

/// Waits until all is written, no longer than [`LAST_WORDS`]. A signal's handler may call it.
pub fn end_soon() {
    let began = Instant::now();
    while !is_written() && began.elapsed() < LAST_WORDS {
        thread::sleep(LOOK);
    }
}

fn is_written() -> bool {
    UNWRITTEN.load(Ordering::SeqCst) == 0
}

fn write_all(messages: &Receiver<Message>) {
    let mut bar: Option<ProgressBar> = None;
    let above = |bar: &Option<ProgressBar>, line: &str| match bar {
        Some(bar) => bar.suspend(|| write(line)),
        None => write(line),
    };
    for message in messages {
        match message {
            Message::Line(line) => above(&bar, &line),
            Message::Progress(text) => bar.get_or_insert_with(new_bar).set_message(text),
            Message::NoProgress => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
        STALLED.store(false, Ordering::SeqCst);
        // They came after all that is in the queue.
        let left_out = if messages.is_empty() { LEFT_OUT.swap(0, Ordering::SeqCst) } else { 0 };
        if left_out > 0 {
            above(&bar, &format!("pathspider: {left_out} messages found no reader\n"));
        }
        UNWRITTEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// At once, so that the lines of several processes do not mix.
fn write(line: &str) {
    let _ = streams::messages().write_all(line.as_bytes());
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// The line that shows how far a program is that has no thread for its messages: on standard error,
/// where that is a terminal. It is gone when dropped.
#[derive(Debug)]
pub struct Status(ProgressBar);

impl Default for Status {
    fn default() -> Status {
        Status(new_bar())
    }
}

impl Status {
    /// Shows this.
    pub fn show(&self, text: String) {
        self.0.set_message(text);
    }

    /// Writes a line above it, which is a message of another process of this program.
    pub fn above(&self, message: &str) {
        let mut line = Line(String::new());
        let _ = line.write_str(message);
        line.0.push('\n');
        self.0.suspend(|| write(&line.0));
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A message in which nothing can pass for another one: parts of it are the words of plugins and
/// of input. Further lines are indented, hidden characters escaped.
struct Line(String);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\n' => self.0.push_str("\n    "),
                '\t' => self.0.push(c),
                c => text::show(c, &mut self.0),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_pass_for_two() {
        let mut line = Line(String::new());
        let theirs = "b\npathspider: c\x1b[1m\u{202e}";
        write!(line, "a {theirs}").unwrap();
        assert_eq!(line.0, "a b\n    pathspider: c\\u{1b}[1m\\u{202e}");
    }
}
