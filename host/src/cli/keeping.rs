//! The arguments that say what becomes of outputs that are there already, and whose they are.

use clap::Args;

use crate::run::Keep;
use pathspider_runtime::files::Existing;

/// What becomes of outputs.
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct Keeping {
    #[command(flatten)]
    pub(super) forcing: Forcing,

    /// Continue the output of a run that was stopped or killed: targets that are in it are not
    /// measured again
    #[arg(long, conflicts_with = "force")]
    resume: bool,

    /// Name the owner of the records, in the metadata beside the output
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
}

/// Whether files are written over.
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct Forcing {
    /// Replace files that exist already
    #[arg(long)]
    force: bool,
}

impl Forcing {
    /// What to do with a file that is there.
    pub(super) fn existing(&self) -> Existing {
        if self.force { Existing::Overwrite } else { Existing::Refuse }
    }
}

impl Keeping {
    /// What a run is to keep.
    pub(super) fn keep(&self) -> Keep {
        Keep {
            existing: if self.resume { Existing::Continue } else { self.forcing.existing() },
            owner: self.owner.clone(),
            command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        }
    }
}
