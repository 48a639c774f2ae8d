//! `pathspider doctor`: whether this machine can measure, and what mends it where it cannot.
//!
//! It asks by the functions that a run asks by, and changes nothing: no setting, no file, no journal.

mod finding;
mod machine;
mod network;
mod plugins;

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use self::finding::Finding;
use super::exit::{Exit, Failure};
use super::{shell, source};
use pathspider_plugins::SearchPath;
use pathspider_runtime::say;
use pathspider_runtime::text::of;

/// `pathspider doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Nothing is changed on this machine. One name is looked up (example.com); \
                  nothing else is sent.")]
pub(super) struct DoctorArgs {
    /// The interface that measurements would use [default: the default route's]
    #[arg(short, long, value_name = "IF")]
    interface: Option<String>,

    /// How many targets would be measured at the same time
    #[arg(short, long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    workers: u32,

    /// Write the findings as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `pathspider doctor`.
pub(super) fn run(arguments: DoctorArgs, path: &SearchPath) -> Result<Exit, Failure> {
    let source = source::or_default(arguments.interface.clone());
    let device = source.as_deref().and_then(source::device);
    let workers = arguments.workers as usize;
    let mut findings = vec![network::interface(source.as_deref(), arguments.interface.is_some())];
    findings.extend(network::capture(source.as_deref()));
    findings.push(network::settings());
    findings.push(network::routes(device.as_deref()));
    findings.push(network::firewall());
    findings.push(network::conntrack(device));
    findings.push(network::resolver());
    findings.push(machine::kernel());
    findings.push(machine::clock());
    findings.push(machine::ports(workers));
    findings.push(machine::files(workers));
    findings.push(machine::journal());
    findings.extend(machine::left());
    findings.extend(plugins::all(path));
    let bad = findings.iter().filter(|finding| !finding.is_good()).count();
    let text = if arguments.json {
        let findings: Vec<_> = findings.iter().map(Finding::json).collect();
        format!("{}\n", json!({ "fit": bad == 0, "findings": findings }))
    } else {
        shown(&findings)
    };
    shell::write(text.as_bytes())?;
    match bad as u64 {
        0 => Ok(Exit::Finished),
        bad => {
            let noun = of(bad, "thing is", "things are");
            say!("{bad} {noun} not as measurements need them");
            Ok(Exit::Unfit)
        }
    }
}

fn shown(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{finding}");
    }
    text
}
