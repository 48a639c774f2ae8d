//! The counters of a campaign that goes on, for monitoring: OpenMetrics text, over HTTP.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::course::Step;
use crate::exit::{Exit, Failure};
use crate::folder::{Progress, RunFolder};

/// How long a client may take for its request.
const PATIENCE: Duration = Duration::from_secs(2);

/// Octets of a question that are read.
const LONGEST_QUESTION: usize = 8192;

/// What is known of a campaign that goes on.
#[derive(Default)]
pub(crate) struct Counters {
    /// The campaign's name, and the place's.
    pub(crate) campaign: String,
    pub(crate) vantage: String,
    /// Runs that are over.
    pub(crate) finished: u64,
    /// The run that goes on.
    pub(crate) current: Option<Current>,
}

/// The run that goes on.
pub(crate) struct Current {
    pub(crate) step: Step,
    pub(crate) plugin: String,
    pub(crate) folder: RunFolder,
}

/// Counters that are asked for while they change.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Counters>>);

impl Shared {
    /// Changes them.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn text(&self) -> String {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = counters.current.as_ref().and_then(|current| current.folder.progress());
        text(&counters, &progress.unwrap_or_default())
    }
}

/// Where it is answered: a port alone is this machine's own.
///
/// # Errors
///
/// It is no address.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "write a port, or ADDRESS:PORT".to_owned())
}

/// Counters, which are answered at this address where there is one.
///
/// # Errors
///
/// The address is taken, or is not this machine's.
pub(crate) fn counters(address: Option<SocketAddr>) -> Result<Shared, Failure> {
    let counters = Shared::default();
    if let Some(address) = address {
        answer(address, counters.clone()).map_err(|error| {
            Failure::new(Exit::NoOutput, format!("cannot answer at {address}: {error}"))
        })?;
    }
    Ok(counters)
}

/// Answers from now on, on a thread of its own.
///
/// # Errors
///
/// The address is taken, or is not this machine's.
fn answer(address: SocketAddr, counters: Shared) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for asking in listener.incoming() {
            // Who hangs up is no concern of the campaign's.
            let _ = asking.and_then(|stream| reply(stream, &counters));
        }
    })?;
    Ok(())
}

fn reply(mut stream: TcpStream, counters: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut question = Vec::new();
    let mut buffer = [0; 1024];
    while !question.windows(4).any(|end| end == b"\r\n\r\n") && question.len() < LONGEST_QUESTION {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => question.extend_from_slice(&buffer[..read]),
        }
    }
    let (status, body) = if question.starts_with(b"GET /metrics ") {
        ("200 OK", counters.text())
    } else {
        ("404 Not Found", "ask for /metrics\n".to_owned())
    };
    let kind = if status.starts_with("200") {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// The text of these counters (OpenMetrics 1.0).
fn text(counters: &Counters, progress: &Progress) -> String {
    let Counters { campaign, vantage, finished, current } = counters;
    let of = format!("campaign=\"{}\",vantage=\"{}\"", escaped(campaign), escaped(vantage));
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
        let suffix = if kind == "counter" { "_total" } else { "" };
        // Writing to a `String` does not fail.
        let _ = write!(text, "# TYPE {name} {kind}\n# HELP {name} {help}\n");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{suffix}{{{labels}}} {value}");
        }
    };
    let runs = [(of.clone(), *finished)];
    family("pathspider_campaign_runs", "counter", "Runs that are over.", &runs);
    if let Some(Current { step, plugin, .. }) = current {
        let of = format!(
            "{of},time=\"{}\",measure=\"{}\",plugin=\"{}\"",
            u64::from(step.time) + 1,
            step.measure + 1,
            escaped(plugin)
        );
        let one = |value: u64| [(of.clone(), value)];
        let total: Vec<_> = progress.total.map(|total| (of.clone(), total)).into_iter().collect();
        let conditions: Vec<_> = progress
            .conditions
            .iter()
            .map(|(name, count)| (format!("{of},condition=\"{}\"", escaped(name)), *count))
            .collect();
        family("pathspider_targets", "counter", "Targets with a record.", &one(progress.done));
        family("pathspider_targets_in_all", "gauge", "Targets of the run.", &total);
        let help = "Targets whose connections are under way.";
        family("pathspider_targets_in_flight", "gauge", help, &one(progress.in_flight));
        let help = "Connections that the capture has no flow of.";
        family("pathspider_missed_flows", "counter", help, &one(progress.missed));
        let help = "Packets that the capture lost.";
        family("pathspider_dropped_packets", "counter", help, &one(progress.dropped));
        let help = "Failures of the plugin, and lines that were no targets.";
        family("pathspider_errors", "counter", help, &one(progress.errors));
        family("pathspider_conditions", "counter", "Targets with a condition.", &conditions);
    }
    text += "# EOF\n";
    text
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::folder::run_of;

    #[test]
    fn counters_are_open_metrics() {
        let step = Step { time: 1, measure: 0 };
        let folder = run_of(Path::new("/nowhere"), "here", step, "ecn");
        let current = Some(Current { step, plugin: "ecn".to_owned(), folder });
        let counters = Counters {
            campaign: "a\"b\\c".to_owned(),
            vantage: "here".to_owned(),
            finished: 3,
            current,
        };
        let conditions = [("ecn.connectivity.works".to_owned(), 5)].into();
        let progress = Progress { done: 7, conditions, ..Progress::default() };
        let text = text(&counters, &progress);
        let of = "campaign=\"a\\\"b\\\\c\",vantage=\"here\"";
        let of_run = format!("{of},time=\"2\",measure=\"1\",plugin=\"ecn\"");
        for line in [
            "# TYPE pathspider_campaign_runs counter".to_owned(),
            format!("pathspider_campaign_runs_total{{{of}}} 3"),
            format!("pathspider_targets_total{{{of_run}}} 7"),
            format!(
                "pathspider_conditions_total{{{of_run},condition=\"ecn.connectivity.works\"}} 5"
            ),
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("in_all{"), "{text}");
    }

    #[test]
    fn a_port_alone_is_this_machines_own() {
        assert_eq!(address("9464"), Ok(SocketAddr::from(([127, 0, 0, 1], 9464))));
        assert_eq!(address("0.0.0.0:80"), Ok(SocketAddr::from(([0, 0, 0, 0], 80))));
        assert_eq!(address("[::1]:80").map(|address| address.port()), Ok(80));
        for text in ["", "x", "localhost", "65536", "10.0.0.1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
