//! Connections that depend on earlier ones: what is on the wire, and that no job is left standing.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Child;
use std::thread::JoinHandle;

use pathspider_e2e::{
    Ended, FlowResult, Network, Program, Record, built, network, path, records, temp_dir,
    wait_until,
};
use rustix::process::{Pid, Signal, kill_process};

const SKIPPED: u64 = 3;

fn number(flow: &FlowResult, key: &str) -> f64 {
    flow.rest[key].as_f64().unwrap_or_else(|| panic!("{key}: {flow:?}"))
}

/// Measures a path with the tests' plugin; gives each target's three flows.
fn measure(scenario: &str, measure: &str, plugin: &str) -> Option<Vec<[FlowResult; 3]>> {
    let path = path(scenario, 4)?;
    let plugins = built("").display().to_string();
    let script = format!(
        "exec $PATHSPIDER measure --allow-special --plugin-dir {plugins} --output-flows {measure} \
         dependent {plugin}"
    );
    let ended = path.script(&script, &path.jobs());
    ended.expect(0, &["8 targets"]);
    Some(ended.records().into_iter().map(flows).collect())
}

fn flows(record: Record) -> [FlowResult; 3] {
    record.flow_results.unwrap().try_into().unwrap()
}

/// Each connection's first packet is later than the last one of the former.
fn one_after_the_other(flows: &[FlowResult]) {
    for pair in flows.windows(2) {
        assert!(number(&pair[1], "pkt_first") > number(&pair[0], "pkt_last"), "{pair:?}");
    }
}

#[test]
fn what_is_sent_is_chosen_from_an_answer() {
    let clamps = "[[rule]]\nhop = 2\ndirection = 'reverse'\naction = { clamp-mss = 1111 }";
    let Some(targets) = measure(clamps, "", "") else { return };
    for flows in targets {
        one_after_the_other(&flows);
        assert!(flows.iter().all(|flow| flow.spdr_state == 0 && flow.observed), "{flows:?}");
        let announced = flows.each_ref().map(|flow| number(flow, "mss_value_fwd"));
        assert_eq!(number(&flows[1], "mss_value_rev"), 1111.0);
        assert!(announced[0] != 1111.0 && announced[1] != 1111.0, "{announced:?}");
        assert_eq!(announced[2], 1111.0);
    }
}

#[test]
fn a_connection_is_not_made_where_the_one_before_it_did_not_work() {
    let drops = "[[rule]]\nhop = 2\nmatch = { dscp = '48' }\naction = 'drop'";
    let capture = temp_dir("dependent").join("packets.pcap").display().to_string();
    let save = format!("--save-pcap {capture}");
    let Some(targets) = measure(drops, &save, "--timeout 1") else { return };
    let count = targets.len();
    for [plain, marked, as_answered] in targets {
        assert_eq!((plain.spdr_state, marked.spdr_state), (0, 2));
        assert!(plain.observed && marked.observed);
        assert_eq!((as_answered.spdr_state, as_answered.observed), (SKIPPED, false));
        assert_eq!(as_answered.rest["spdr_error"], "the marked one did not work");
    }
    let flows = Program::run(&["observe", "-i", &capture, "basic"]);
    flows.expect(0, &[]);
    assert_eq!(flows.stdout.lines().count(), 2 * count, "{}", flows.stdout);
}

#[test]
fn over_udp_the_next_one_waits_for_packets_that_may_be_late() {
    let Some(targets) = measure("", "", "--connect dnsudp --timeout 60") else { return };
    for flows in targets {
        one_after_the_other(&flows);
        assert!(flows.iter().all(|flow| flow.spdr_state == 0 && flow.observed), "{flows:?}");
    }
}

/// A run whose targets come again and again and rest twice each, and the file of its records.
struct Endless {
    child: Child,
    feeder: JoinHandle<()>,
    output: PathBuf,
}

impl Endless {
    /// Starts it, and waits until some records are written.
    fn start(test: &str, network: &Network) -> Endless {
        let output = temp_dir(test).join("records.ndjson");
        let mut command = Program::command(&["measure", "-i", network.interface(), "-w", "50"]);
        command.args(["--allow-special", "--duplicates", "--output-flows"]);
        command.args(["--plugin-dir", built("").to_str().unwrap()]);
        command.args(["--output", output.to_str().unwrap(), "dependent", "--timeout", "2"]);
        let mut child = network.start(command);
        let mut stdin = child.stdin.take().unwrap();
        let jobs = network.jobs("clean");
        // It ends when the program has stopped reading.
        let feeder = std::thread::spawn(move || while stdin.write_all(jobs.as_bytes()).is_ok() {});
        let size = || std::fs::metadata(&output).map_or(0, |metadata| metadata.len());
        wait_until("there are records", || size() > 10_000);
        Endless { child, feeder, output }
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end; gives its connections, three for each record.
    fn end(self, status: i32, words: &[&str]) -> Vec<[FlowResult; 3]> {
        let ended = Ended::from(self.child.wait_with_output().unwrap());
        self.feeder.join().unwrap();
        ended.expect(status, words);
        assert!(!ended.stderr.contains("unfinished"), "{}", ended.stderr);
        records(&std::fs::read_to_string(self.output).unwrap()).into_iter().map(flows).collect()
    }
}

fn expect_whole(jobs: Vec<[FlowResult; 3]>) {
    for flows in jobs {
        assert!(is_whole(&flows), "{flows:#?}");
    }
}

fn is_whole(flows: &[FlowResult; 3]) -> bool {
    flows.iter().all(|flow| flow.spdr_state == 0 && flow.observed)
}

#[test]
fn a_signal_lets_jobs_that_wait_for_the_observer_go_on() {
    let Some(network) = network(20, 0) else { return };
    let run = Endless::start("dependent-signal", &network);
    run.signal();
    expect_whole(run.end(10, &["no new targets"]));
}

#[test]
fn two_signals_end_a_run_whose_jobs_wait_for_the_observer() {
    let Some(network) = network(20, 0) else { return };
    let mut run = Endless::start("dependent-signals", &network);
    let mut said = BufReader::new(run.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    run.signal();
    assert!(said.any(|line| line.contains("no new targets")));
    run.signal();
    said.for_each(drop);
    expect_whole(run.end(10, &[]));
}

#[test]
fn a_capture_that_ends_leaves_no_job_standing() {
    let Some(network) = network(20, 0) else { return };
    let run = Endless::start("dependent-capture", &network);
    network.script(&format!("ip link del {}", network.interface()), "").expect(0, &[]);
    // Each job that was begun has come to its end, whatever its connections came to.
    let all = run.end(1, &["the capture failed: no new targets"]);
    assert!(all.iter().filter(|flows| is_whole(flows)).count() > 10);
}
