//! Owns the two system programs the lab cannot do without, `ip` and `nft`, run inside a namespace.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use super::Namespace;
use crate::error::{Context, Error, Result};

/// Runs a batch of `ip` commands, one a line, inside `namespace`; stops at the first that fails.
///
/// # Errors
/// When `ip` is missing or refuses a line.
pub fn ip(namespace: &Namespace, batch: &str) -> Result<()> {
    feed(namespace, "ip", "iproute2", &["-batch", "-"], batch)
}

/// Loads `rules` in nftables' own language inside `namespace`, all of them or none.
///
/// # Errors
/// When `nft` is missing or refuses the rules.
pub fn nft(namespace: &Namespace, rules: &str) -> Result<()> {
    feed(namespace, "nft", "nftables", &["-f", "-"], rules)
}

fn feed(
    namespace: &Namespace,
    tool: &str,
    package: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<()> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A user's PATH often lacks the directories these two live in.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    namespace.place_tool(&mut command);
    let shown = format!("{tool} {} (in {})", arguments.join(" "), namespace.label());
    let mut child = command.spawn().map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::MissingTool { tool: tool.into(), package },
        _ => Error::Io { action: format!("run {shown}"), source },
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that stops at a bad line closes its end early; its own message tells more.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().context(|| format!("wait for {shown}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Tool {
        command: shown,
        status: output.status.to_string(),
        message: String::from_utf8_lossy(&output.stderr).trim().to_string(),
    })
}
