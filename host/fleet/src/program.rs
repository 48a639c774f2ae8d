//! The measuring program, as a child: where it is, and what it answers to short questions.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pathspider_runtime::text::visible;

use crate::exit::{Exit, Failure};

/// Characters of a message that are passed on.
const LONGEST_MESSAGE: usize = 2000;

/// The measuring program.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    /// What stands before its command: where plugins are.
    general: Vec<OsString>,
}

/// Why the program did not answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Program {
    /// The program that stands beside this one.
    ///
    /// # Errors
    ///
    /// The system does not say where this one is.
    pub(crate) fn beside(general: Vec<OsString>) -> io::Result<Program> {
        let own = env::current_exe()?;
        let path = own.parent().unwrap_or(Path::new("/")).join("pathspider");
        Ok(Program { path, general })
    }

    /// A command of it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.general);
        command
    }

    /// Runs it to its end, and gives what it writes.
    ///
    /// # Errors
    ///
    /// It cannot be started, or has a status that is none of these.
    pub(crate) fn ask(
        &self,
        words: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
        good: &[Exit],
    ) -> Result<Answer, Refusal> {
        let mut command = self.command();
        let output = command.args(words).stdin(Stdio::null()).output();
        let output = output.map_err(|error| self.missing(&error))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let exit = output.status.code().and_then(Exit::from_code).unwrap_or(Exit::Failed);
        if good.contains(&exit) {
            Ok(Answer { exit, text: output.stdout, said })
        } else {
            Err(Refusal { exit, message: message(&said) })
        }
    }

    /// Why it could not be started.
    pub(crate) fn missing(&self, error: &io::Error) -> Refusal {
        let path = pathspider_runtime::text::path(&self.path);
        Refusal { exit: Exit::Failed, message: format!("cannot start {path}: {error}") }
    }
}

/// What the program wrote.
pub(crate) struct Answer {
    pub(crate) exit: Exit,
    pub(crate) text: Vec<u8>,
    /// What it wrote to standard error.
    pub(crate) said: String,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::new(refusal.exit, refusal.message)
    }
}

/// The line that says why: the parser's first one, else the last.
pub(crate) fn message(said: &str) -> String {
    let of_parser = said.lines().find_map(|line| line.strip_prefix("error: "));
    let last = || said.lines().rev().find(|line| !line.trim().is_empty());
    let line = of_parser.or_else(last).unwrap_or("it ended without a word");
    visible(line.strip_prefix("pathspider: ").unwrap_or(line), LONGEST_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_why() {
        let parser = "pathspider: WARNING: x\nerror: unexpected argument '--x' found\n\n  tip: y\n";
        assert_eq!(message(parser), "unexpected argument '--x' found");
        assert_eq!(message("pathspider: a\npathspider: b\u{1b}[2J\n\n"), "b\\u{1b}[2J");
        assert_eq!(message(""), "it ended without a word");
    }
}
