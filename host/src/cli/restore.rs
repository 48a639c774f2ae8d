//! `pathspider restore`: puts right what runs left behind that were killed.

use clap::Args;

use super::exit::{Exit, Failure};
use pathspider_runtime::say;

/// `pathspider restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every command but doctor does this when it starts. The settings are those of \
                  the network namespace that it runs in (ip netns exec NAME pathspider restore)."
)]
pub(super) struct RestoreArgs {
    /// Give up what was left in other network namespaces, and what cannot be undone
    #[arg(long)]
    forget: bool,
}

/// Runs `pathspider restore`.
pub(super) fn run(arguments: &RestoreArgs) -> Result<Exit, Failure> {
    let found = pathspider_system::restore(arguments.forget);
    for sentence in found.done.iter().chain(&found.failed).chain(&found.elsewhere) {
        say!("{sentence}");
    }
    if !found.failed.is_empty() {
        return Ok(Exit::Failed);
    }
    if found.done.is_empty() && found.elsewhere.is_empty() {
        say!("nothing was left behind");
    }
    Ok(Exit::Finished)
}

/// What every other command does before its own work; who only looks is not told of other
/// namespaces.
pub(super) fn first() {
    let found = pathspider_system::restore(false);
    for sentence in found.done.iter().chain(&found.failed) {
        say!("{sentence}");
    }
}
