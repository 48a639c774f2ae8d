//! `pathspider campaign` with a server: `submit`, `pause`, `resume`, `cancel`, `blocklist`, `watch`, `collect`.

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pathspider_runtime::text::{of, path as shown, visible};
use pathspider_runtime::{files, say};

use super::read::Read;
use super::{write, write_json};
use crate::campaign::Time;
use crate::exit::{Exit, Failure};
use crate::inspection::inspect;
use crate::measuring::Here;
use crate::program::Program;
use crate::remote::{self, Submitted, look};
use crate::server::{Access, Server};
use crate::stopping::Stopping;
use crate::wire::{Control, Wanted};

/// How often `watch` looks.
const LOOK: Duration = Duration::from_secs(1);

/// `pathspider campaign submit`.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// The campaign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    access: Access,

    /// Give an agent N targets at a time [default: 1000 to 10,000, depending on their number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shard: Option<u32>,
}

/// A campaign on a server.
#[derive(Debug, Args)]
pub(super) struct NamedArgs {
    /// The campaign's name
    #[arg(value_name = "NAME", value_parser = super::place::place)]
    pub(super) name: String,

    #[command(flatten)]
    pub(super) access: Access,
}

/// When an agent is called silent.
#[derive(Debug, Args)]
pub(super) struct SilenceArgs {
    /// Call an agent silent that said nothing for longer: seconds, or a time such as 5m
    #[arg(long, value_name = "TIME", default_value = "1m")]
    silent_after: Time,
}

/// `pathspider campaign watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    named: NamedArgs,

    #[command(flatten)]
    silence: SilenceArgs,
}

/// `pathspider campaign blocklist`.
#[derive(Debug, Args)]
pub(super) struct BlocklistArgs {
    #[command(flatten)]
    named: NamedArgs,

    /// The addresses and prefixes that are never measured from now on, in place of those before
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// `pathspider campaign collect`.
#[derive(Debug, Args)]
pub(super) struct CollectArgs {
    #[command(flatten)]
    named: NamedArgs,

    /// Keep all results in this folder, as `run` does, with a part for each place
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Wait until all results of all places are there
    #[arg(long)]
    wait: bool,
}

/// Does something with the server.
pub(super) fn with_server<T, F: Future<Output = Result<T, Failure>>>(
    access: &Access,
    work: impl FnOnce(Server) -> F,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot use the network: {error}")))?;
    runtime.block_on(async {
        let server = access.connect().await?;
        work(server).await
    })
}

pub(super) fn listen() -> Result<Stopping, Failure> {
    Stopping::listen()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot handle signals: {error}")))
}

/// Runs `pathspider campaign submit`.
pub(super) fn submit(arguments: &SubmitArgs, program: &Program) -> Result<Exit, Failure> {
    let read = Read::file(&arguments.file)?;
    let mut plugins = Vec::new();
    for measure in &read.campaign.measures {
        if measure.capture {
            let message = format!(
                "{}: capture: captures are not sent to a server; measure with `campaign run` there",
                shown(&arguments.file)
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        // What no machine would do, no other is asked to. A plugin that only others have is theirs to
        // refuse.
        plugins.push(match inspect(program, &read.campaign, measure, &Here::default()) {
            Ok(plan) => Some(plan.plugin.version),
            Err(found) if found.refusal.exit == Exit::NoPlugin => {
                say!("{}; agents may have it", found.refusal.message);
                None
            }
            Err(found) => return Err(read.refused(measure, found)),
        });
    }
    let campaign = (&read.campaign, &*read.text);
    let size = arguments.shard.map(|size| size as usize);
    let submitted = with_server(&arguments.access, |server| async move {
        remote::submit(&server, program, campaign, plugins, size).await
    })?;
    let Submitted { targets, shards, has_bad_lines } = submitted;
    say!(
        "{} is submitted: {targets} {} in {shards} {}",
        read.campaign.name,
        of(targets, "target", "targets"),
        of(shards, "shard", "shards"),
    );
    Ok(if has_bad_lines { Exit::FinishedWithErrors } else { Exit::Finished })
}

/// Runs `pathspider campaign pause`, `resume` and `cancel`.
pub(super) fn want(arguments: &NamedArgs, wanted: Wanted) -> Result<Exit, Failure> {
    let name = &arguments.name;
    steer(arguments, move |control: &mut Control| control.wanted = wanted)?;
    match wanted {
        Wanted::Paused => say!("{name} is paused: agents begin nothing more within seconds"),
        Wanted::Cancelled => say!("{name} is cancelled: agents end, and delete their files"),
        Wanted::Running | Wanted::Collected => say!("{name} goes on"),
    }
    Ok(Exit::Finished)
}

/// Runs `pathspider campaign blocklist`.
pub(super) fn blocklist(arguments: &BlocklistArgs) -> Result<Exit, Failure> {
    let text = fs::read_to_string(&arguments.file).map_err(|error| {
        let file = shown(&arguments.file);
        Failure::new(Exit::NoInput, format!("cannot read the blocklist {file}: {error}"))
    })?;
    steer(&arguments.named, move |control| control.blocklist.clone_from(&text))?;
    say!("{} has another blocklist: agents obey it within seconds", arguments.named.name);
    Ok(Exit::Finished)
}

fn steer(arguments: &NamedArgs, change: impl Fn(&mut Control)) -> Result<(), Failure> {
    with_server(&arguments.access, |server| async move {
        remote::steer(&server, &arguments.name, change).await
    })
}

/// Shows how far a campaign on a server is.
pub(super) fn status(
    name: &str,
    access: &Access,
    silence: &SilenceArgs,
    json: bool,
) -> Result<Exit, Failure> {
    super::place::place(name)
        .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", visible(name, 64))))?;
    let Time(silence) = silence.silent_after;
    let overview = with_server(access, |server| async move { look(&server, name, silence).await })?;
    if json {
        write_json(&overview)?
    } else {
        write(&overview.text())?
    }
    Ok(Exit::Finished)
}

/// Runs `pathspider campaign watch`.
pub(super) fn watch(arguments: &WatchArgs) -> Result<Exit, Failure> {
    let stopping = listen()?;
    let (WatchArgs { named, silence }, stopping) = (arguments, &stopping);
    let Time(silence) = silence.silent_after;
    with_server(&named.access, |server| async move {
        let mut before = String::new();
        loop {
            let overview = look(&server, &named.name, silence).await?;
            let text = overview.text();
            if text != before {
                write(&text)?;
                before = text;
            }
            let is_over = matches!(overview.wanted, Wanted::Cancelled | Wanted::Collected);
            if is_over || overview.complete {
                return Ok(Exit::Finished);
            }
            if stopping.is_asked() {
                return Ok(Exit::Stopped);
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// Runs `pathspider campaign collect`.
pub(super) fn collect(arguments: &CollectArgs) -> Result<Exit, Failure> {
    let stopping = listen()?;
    let (name, output) = (&arguments.named.name, files::absolute(&arguments.output));
    let (path, stopping) = (&output, &stopping);
    let collected = with_server(&arguments.named.access, |server| async move {
        remote::collect(&server, name, path, arguments.wait, stopping).await
    })?;
    let left = if collected.is_complete { "all there are" } else { "more may come" };
    say!(
        "{name}: {} {} in {}; {left}",
        collected.records,
        of(collected.records, "record", "records"),
        shown(&output),
    );
    Ok(if collected.has_errors { Exit::FinishedWithErrors } else { Exit::Finished })
}
