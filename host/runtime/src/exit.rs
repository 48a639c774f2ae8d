//! Exit statuses of the programs, and the failures that lead to them.

use std::process::ExitCode;

pathspider_plugin_api::variants! {
    /// How a program ends. The numbers are documented in `docs/exit-status.md`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Exit {
        /// Everything that was asked for was done.
        Finished = 0,
        /// Something failed while it ran.
        Failed = 1,
        /// The arguments make no sense.
        Usage = 2,
        /// No plugin has the name given.
        NoPlugin = 3,
        /// The plugin asked for cannot be used.
        PluginRefused = 4,
        /// A privilege is missing.
        NoPrivilege = 5,
        /// The interface does not exist or is down.
        NoInterface = 6,
        /// The input, or a blocklist, cannot be read; nothing of it is a record.
        NoInput = 7,
        /// The output cannot be written.
        NoOutput = 8,
        /// It ended, but some of the input was no job or no record, or the plugin failed for some jobs.
        FinishedWithErrors = 9,
        /// A signal or a limit stopped it before the input's end; what was finished is written.
        Stopped = 10,
        /// A limit of `--fail-if` is passed, or there is nothing to judge it by.
        Passed = 11,
        /// A plugin that was checked broke a rule of the contract.
        RuleBroken = 12,
        /// `doctor` found something on this machine that is not as measurements need it.
        Unfit = 13,
        /// A path impairs what was measured.
        Impaired = 14,
        /// The server of a fleet is not there, refuses this client, or cannot be used.
        NoServer = 15,
        /// Another agent works under the name of this place.
        NameTaken = 16,
    }
}

impl Exit {
    /// What it means, for manual pages; `docs/exit-status.md` says more.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Finished => "everything that was asked for was done",
            Exit::Failed => "something failed while it ran; the message says what",
            Exit::Usage => "the arguments make no sense",
            Exit::NoPlugin => "there is no plugin of that name",
            Exit::PluginRefused => "the plugin cannot be used",
            Exit::NoPrivilege => "a privilege is missing; the message says how to grant it",
            Exit::NoInterface => "the interface does not exist or is down",
            Exit::NoInput => "the input cannot be read, or nothing of it is a record",
            Exit::NoOutput => "the output cannot be written",
            Exit::FinishedWithErrors => {
                "finished, but some lines could not be used, or the plugin failed for some targets"
            }
            Exit::Stopped => "stopped by a signal or a limit before the end of the input",
            Exit::Passed => "a limit of --fail-if is passed, or there is nothing to judge it by",
            Exit::RuleBroken => "a plugin broke a rule of the contract",
            Exit::Unfit => "something on this machine is not as measurements need it",
            Exit::Impaired => "the path impairs what was measured",
            Exit::NoServer => "the server is not there, refuses this client, or cannot be used",
            Exit::NameTaken => "another agent works under the name of this place",
        }
    }

    /// Its number and what that means.
    pub const fn status(self) -> (u8, &'static str) {
        (self as u8, self.meaning())
    }

    /// The meaning of a program's status; `None` where it is none of ours.
    pub fn from_code(code: i32) -> Option<Exit> {
        Exit::ALL.into_iter().find(|exit| *exit as i32 == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for. `P` is what the parser of the command line says.
#[derive(Debug)]
pub enum Failure<P> {
    /// One clear line for standard error, and the exit status.
    Told {
        /// The exit status.
        exit: Exit,
        /// The line.
        message: String,
    },
    /// The parser's own message, with usage; also a request for help.
    Parser(P),
}

impl<P> Failure<P> {
    /// Ends with this status, after this line.
    pub fn new(exit: Exit, message: impl ToString) -> Failure<P> {
        Failure::Told { exit, message: message.to_string() }
    }
}

impl<P> From<P> for Failure<P> {
    fn from(said: P) -> Failure<P> {
        Failure::Parser(said)
    }
}
