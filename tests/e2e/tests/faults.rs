//! Faults on the way, made for real: what each record says then, and how the run ends.

mod memory;

use std::io::Write;
use std::process::{Child, Command};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use pathspider_e2e::{
    Ended, Network, Program, Record, compile, names, network, records, temp_dir, wait_until,
};

/// How many targets a steady run has; it takes six seconds.
const TARGETS: usize = 600;

/// The time from one to the next.
const APART: Duration = Duration::from_millis(10);

/// Starts an ECN run of targets that come again and again.
fn steady(network: &Network, arguments: &[&str], path: &str) -> (Child, JoinHandle<()>) {
    let command = Program::command(&["measure", "--allow-special", "--duplicates"]);
    steadily(network, command, arguments, path, TARGETS)
}

fn steadily(
    network: &Network,
    mut command: Command,
    arguments: &[&str],
    path: &str,
    targets: usize,
) -> (Child, JoinHandle<()>) {
    command.args(["-i", network.interface(), "--quiet", "--output-flows"]).args(arguments);
    command.args(["ecn", "--connect", "tcp", "--timeout", "1"]);
    let mut child = network.start(command);
    let mut stdin = child.stdin.take().unwrap();
    let jobs = network.jobs(path);
    let feeder = std::thread::spawn(move || {
        let begun = Instant::now();
        for (line, number) in jobs.split_inclusive('\n').cycle().zip(0..targets as u32) {
            // Not one sleep after the other: those of a busy machine take longer.
            std::thread::sleep((APART * number).saturating_sub(begun.elapsed()));
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    });
    (child, feeder)
}

/// Waits until an ECN run has measured for a while.
fn well_under_way(network: &Network) {
    let fallback = || network.script("cat /proc/sys/net/ipv4/tcp_ecn_fallback", "").stdout;
    wait_until("settings are changed", || fallback() == "0\n");
    std::thread::sleep(Duration::from_secs(1));
}

/// Longer than a connection waits.
const WHILE: Duration = Duration::from_millis(2500);

/// Lets a run go, does something in the middle of it, and waits for its end.
fn meanwhile(
    network: &Network,
    run: (Child, JoinHandle<()>),
    fault: impl FnOnce() + Send,
    mend: impl FnOnce() + Send,
) -> Ended {
    lasting(network, run, WHILE, fault, mend).0
}

/// The time that something took.
struct Span {
    from: SystemTime,
    to: SystemTime,
}

impl Span {
    fn of(does: impl FnOnce()) -> Span {
        let from = SystemTime::now();
        does();
        Span { from, to: SystemTime::now() }
    }

    /// Whether some of it fell into the time of a record's connections.
    fn is_within(&self, record: &Record) -> bool {
        let time = record.time.as_ref().unwrap();
        let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
        at(&time.from) <= self.to && at(&time.to) >= self.from
    }
}

/// The same, for as long as `time`; and when the fault came and went.
fn lasting(
    network: &Network,
    (child, feeder): (Child, JoinHandle<()>),
    time: Duration,
    fault: impl FnOnce() + Send,
    mend: impl FnOnce() + Send,
) -> (Ended, Span, Span) {
    let (ended, came, went) = std::thread::scope(|scope| {
        let spans = scope.spawn(|| {
            well_under_way(network);
            let came = Span::of(fault);
            std::thread::sleep(time);
            (came, Span::of(mend))
        });
        let ended = Ended::from(child.wait_with_output().unwrap());
        let (came, went) = spans.join().unwrap();
        (ended, came, went)
    });
    feeder.join().unwrap();
    let settings = network.settings();
    for ours in ["/tcp_ecn 2\n", "/tcp_ecn_fallback 1\n"] {
        assert!(settings.contains(ours), "{settings}");
    }
    (ended, came, went)
}

/// How many records say it.
#[derive(Debug, Default)]
struct Said {
    works: usize,
    offline: usize,
    broken: usize,
    transient: usize,
    not_sent: usize,
    not_observed: usize,
}

/// What the records say. Each has either a verdict with the packets of all its connections, or says
/// what was not sent or not observed: none is without a word.
fn said(ended: &Ended) -> Said {
    let mut said = Said::default();
    for record in records(&ended.stdout) {
        let has = |word: &str| record.conditions.iter().any(|c| c.starts_with(word));
        let flows = record.flow_results.as_ref().unwrap();
        let verdict = has("ecn.connectivity");
        let reason = has("pathspider.not_sent") || has("pathspider.not_observed");
        assert!(verdict != reason, "a verdict or a reason for none: {record:?}");
        assert!(reason || flows.iter().all(|flow| flow.observed), "{record:?}");
        said.works += usize::from(has("ecn.connectivity.works"));
        said.offline += usize::from(has("ecn.connectivity.offline"));
        said.broken += usize::from(has("ecn.connectivity.broken"));
        said.transient += usize::from(has("ecn.connectivity.transient"));
        said.not_sent += usize::from(has("pathspider.not_sent"));
        said.not_observed += usize::from(has("pathspider.not_observed"));
    }
    said
}

/// The routes through gateways, as commands that bring them back.
fn routes(network: &Network) -> String {
    let routes = network.script("ip route | grep via", "").stdout;
    routes.lines().map(|line| format!("ip route replace {line};")).collect()
}

#[test]
fn an_interface_that_is_down_for_a_while() {
    let Some(network) = network(20, 0) else { return };
    let (interface, routes) = (network.interface(), routes(&network));
    let down = format!("ip link set {interface} down");
    let up = format!("ip link set {interface} up; sleep 0.1; {routes}");
    let ended = meanwhile(
        &network,
        steady(&network, &[], "clean"),
        || network.script(&down, "").expect(0, &[]),
        || network.script(&up, "").expect(0, &[]),
    );
    let said = said(&ended);
    assert_eq!(said.offline, 0, "a fault of ours is none of the path's: {said:?}");
    if ended.status == 1 {
        // Some versions of libpcap say that the interface went down: the run ends in order.
        ended.expect(1, &["the capture failed: no new targets", "capturing on"]);
        assert!(said.works > 50, "{said:?}");
    } else {
        ended.expect(0, &["600 targets"]);
        assert!(said.works > 200 && said.not_sent > 50, "{said:?}");
    }
}

#[test]
fn an_address_that_is_gone_for_a_while() {
    let Some(network) = network(20, 0) else { return };
    let (interface, routes) = (network.interface(), routes(&network));
    let address =
        network.script(&format!("ip -4 -o addr show dev {interface} | awk '{{print $4}}'"), "");
    let address = address.stdout.trim();
    let gone = format!("ip addr del {address} dev {interface}");
    let back = format!("ip addr add {address} dev {interface}; {routes}");
    let ended = meanwhile(
        &network,
        steady(&network, &[], "clean"),
        || network.script(&gone, "").expect(0, &[]),
        || network.script(&back, "").expect(0, &[]),
    );
    ended.expect(0, &["600 targets"]);
    // The kernel refuses to send.
    let said = said(&ended);
    assert!(said.works > 200 && said.not_sent + said.not_observed > 50, "{said:?}");
    assert_eq!(said.offline, 0, "{said:?}");
}

/// A table at this hook that drops every packet.
pub(crate) fn loss(hook: &str) -> String {
    format!(
        "nft add table inet test; nft add chain inet test lost '{{ type filter hook {hook} \
         priority 0; }}'; nft add rule inet test lost drop"
    )
}

pub(crate) const NO_LOSS: &str = "nft delete table inet test";

#[test]
fn every_packet_is_lost_for_a_while() {
    let Some(network) = network(20, 0) else { return };
    // On the path: the packets are seen to leave, and nothing comes back.
    let ended = meanwhile(
        &network,
        steady(&network, &[], "clean"),
        || network.script_on_path(&loss("forward")).expect(0, &[]),
        || network.script_on_path(NO_LOSS).expect(0, &[]),
    );
    ended.expect(0, &["600 targets"]);
    let of_path = said(&ended);
    assert!(of_path.works > 200 && of_path.offline > 50, "{of_path:?}");
    // Those between whose two connections it began.
    assert!(of_path.broken < 30, "{of_path:?}");
    assert_eq!(of_path.not_sent + of_path.not_observed, 0, "{of_path:?}");
    // On this machine, before the capture: nothing is known of the path.
    let ended = meanwhile(
        &network,
        steady(&network, &[], "clean"),
        || network.script(&loss("postrouting"), "").expect(0, &[]),
        || network.script(NO_LOSS, "").expect(0, &[]),
    );
    ended.expect(0, &["600 targets"]);
    let here = said(&ended);
    assert!(here.works > 200 && here.not_observed + here.not_sent > 50, "{here:?}");
    assert_eq!(here.offline, 0, "{here:?}");
}

#[test]
fn every_packet_is_lost_on_the_path_for_a_minute() {
    let Some(network) = network(20, 0) else { return };
    let command = Program::command(&["measure", "--allow-special", "--duplicates"]);
    let targets = 6600;
    let (ended, came, went) = lasting(
        &network,
        steadily(&network, command, &["-w", "300"], "clean", targets),
        Duration::from_secs(60),
        || network.script_on_path(&loss("forward")).expect(0, &[]),
        || network.script_on_path(NO_LOSS).expect(0, &[]),
    );
    ended.expect(0, &["6600 targets"]);
    let said = said(&ended);
    assert!(said.works > 200 && said.offline > 3000, "{said:?}");
    // Broken or transient are only those in whose time it began or ended: a SYN is repeated.
    for record in records(&ended.stdout) {
        let differs =
            record.has("ecn.connectivity.broken") || record.has("ecn.connectivity.transient");
        assert!(!differs || came.is_within(&record) || went.is_within(&record), "{record:?}");
    }
    // Each record says one of the four.
    let sum = said.works + said.offline + said.broken + said.transient;
    assert_eq!(sum, targets, "{said:?}");
}

/// The program's clock alone: the machine's is everybody's, and a time namespace has none of its
/// own. So the times of packets do not jump with it, which is worse than if they did.
#[test]
fn the_clock_is_set_by_an_hour() {
    let Some(network) = network(20, 0) else { return };
    let folder = temp_dir("clock");
    let (library, step) = (compile("clock", &[], folder.join("clock.so")), folder.join("step"));
    for hours in ["1", "-1"] {
        let mut command = Program::command(&["measure", "--allow-special", "--duplicates"]);
        command.env("LD_PRELOAD", &library).env("CLOCK_STEP", &step);
        let ended = meanwhile(
            &network,
            steadily(&network, command, &[], "clean", TARGETS),
            || std::fs::write(&step, hours).unwrap(),
            || std::fs::remove_file(&step).unwrap(),
        );
        ended.expect(0, &["600 targets"]);
        let times: Vec<String> =
            records(&ended.stdout).into_iter().map(|record| record.time.unwrap().from).collect();
        let hour = |time: &String| time[11..13].to_owned();
        let hours: std::collections::BTreeSet<String> = times.iter().map(hour).collect();
        assert!(hours.len() > 1, "the clock was not set: {hours:?}");
        let said = said(&ended);
        // What the packets' times do not fit to is not taken for observed.
        assert!(said.works > 200, "{said:?}");
        assert_eq!(said.works + said.not_observed, TARGETS, "{said:?}");
    }
}

#[test]
fn no_descriptors_are_left() {
    let Some(network) = network(20, 0) else { return };
    let (child, feeder) = steady(&network, &["-w", "50"], "clean");
    well_under_way(&network);
    let limit = |count: u32| {
        let script = format!("prlimit --pid {} --nofile={count}:4096", child.id());
        network.script(&script, "").expect(0, &[]);
    };
    limit(8);
    std::thread::sleep(Duration::from_millis(1000));
    limit(1024);
    let ended = Ended::from(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    ended.expect(0, &["600 targets"]);
    let failures: Vec<String> = records(&ended.stdout)
        .into_iter()
        .flat_map(|record| record.flow_results.unwrap())
        .filter_map(|flow| flow.rest.get("spdr_error")?.as_str().map(str::to_owned))
        .collect();
    assert!(failures.len() > 10 && failures.iter().all(|reason| reason == "no_descriptor"));
    let said = said(&ended);
    assert!(said.works > 200 && said.not_sent > 5, "{said:?}");
}

#[test]
fn no_resolver_answers() {
    let Some(network) = names("silent-resolver", 4) else { return };
    let all = network.targets();
    let mut input = String::from("{\"domain\":\"nowhere.lab.example\"}\n");
    input.extend(all[1..].iter().map(|ip| format!("{{\"dip\":\"{ip}\"}}\n")));
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special --resolve ecn --connect tcp";
    let end = network.script(&["10.255.0.53".parse().unwrap()], script, &input);
    end.expect(9, &["standard input:1: ", "nowhere.lab.example", "3 targets"]);
    assert_eq!(end.records().len(), 3);
}
