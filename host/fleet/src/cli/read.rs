//! A campaign's file, as commands read it.

use std::fs;
use std::path::Path;

use pathspider_runtime::files;
use pathspider_runtime::text::path as shown;

use crate::campaign::{Campaign, Measure, Wrong};
use crate::exit::{Exit, Failure};
use crate::forecast::Plan;
use crate::inspection::{Found, inspect};
use crate::measuring::Here;
use crate::program::Program;

/// A campaign that was read.
pub(super) struct Read {
    /// Its file, as people are shown it.
    name: String,
    pub(super) text: String,
    pub(super) campaign: Campaign,
}

impl Read {
    /// Reads a campaign's file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is wrong.
    pub(super) fn file(path: &Path) -> Result<Read, Failure> {
        let name = shown(path);
        let text = fs::read(path).map_err(|error| error.to_string()).and_then(|text| {
            String::from_utf8(text).map_err(|_| "it is no text in UTF-8".to_owned())
        });
        let text = text.map_err(|error| {
            Failure::new(Exit::NoInput, format!("cannot read the campaign {name}: {error}"))
        })?;
        let path = files::absolute(path);
        let folder = path.parent().unwrap_or(Path::new("/"));
        match Campaign::parse(&text, folder) {
            Ok(campaign) => Ok(Read { name, text, campaign }),
            Err(Wrong { line, reason }) => Err(wrong(&name, line, &reason)),
        }
    }

    /// What each of its measurements would do, as the measuring program says. That says too whether
    /// this program would take them.
    ///
    /// # Errors
    ///
    /// A plugin or an option that is not there, or has no such value, with its line.
    pub(super) fn plans(&self, program: &Program, here: &Here) -> Result<Vec<Plan>, Failure> {
        let plan = |measure: &Measure| {
            let plan = inspect(program, &self.campaign, measure, here);
            plan.map_err(|found| self.refused(measure, found))
        };
        self.campaign.measures.iter().map(plan).collect()
    }

    /// Why a measurement would not be taken, with its line.
    pub(super) fn refused(&self, measure: &Measure, found: Found) -> Failure {
        let Found { option, refusal } = found;
        let line = option.and_then(|option| measure.option_lines.get(&option));
        let place = format!("{}:{}", self.name, line.unwrap_or(&measure.line));
        let message = format!("{place}: {}: {}", measure.plugin, refusal.message);
        Failure::new(refusal.exit, message)
    }
}

fn wrong(name: &str, line: Option<usize>, reason: &str) -> Failure {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    Failure::new(Exit::Usage, format!("{name}{line}: {reason}"))
}
