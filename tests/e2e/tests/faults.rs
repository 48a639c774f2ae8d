//! Faults on the way, made for real: what each record says then, and how the run ends.

mod memory;

use std::io::Write;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use pathspider_e2e::{
    Ended, Network, Program, Record, compile, names, network, records, temp_dir, wait_until,
};

/// The time from one target to the next.
const APART: Duration = Duration::from_millis(8);

/// How many targets a steady run gets before a fault and after it.
const AROUND: usize = 200;

/// How many it gets at least while the fault lasts.
const AMID: usize = 100;

/// A run of `ecn` that gets targets, which come again and again, until a fault is over.
struct Steady {
    pid: u32,
    output: JoinHandle<Output>,
    fed: Arc<AtomicUsize>,
    /// Gives the number of targets when it ends, which it does [`AROUND`] targets after `is_over` is dropped.
    feeder: JoinHandle<usize>,
    is_over: mpsc::Sender<()>,
}

impl Steady {
    fn run(network: &Network, arguments: &[&str], path: &str) -> Steady {
        let command = Program::command(&["measure", "--allow-special", "--duplicates"]);
        Steady::of(network, command, arguments, path)
    }

    fn of(network: &Network, mut command: Command, arguments: &[&str], path: &str) -> Steady {
        command.args(["-i", network.interface(), "--quiet", "--output-flows"]).args(arguments);
        command.args(["ecn", "--connect", "tcp", "--timeout", "1"]);
        let mut child = network.start(command);
        let (pid, mut stdin) = (child.id(), child.stdin.take().unwrap());
        let output = std::thread::spawn(|| child.wait_with_output().unwrap());
        let jobs = network.jobs(path);
        let fed = Arc::new(AtomicUsize::new(0));
        let (is_over, over) = mpsc::channel::<()>();
        let counter = Arc::clone(&fed);
        let feeder = std::thread::spawn(move || {
            let begun = Instant::now();
            let (mut number, mut last) = (0, usize::MAX);
            for line in jobs.split_inclusive('\n').cycle() {
                if number == last || stdin.write_all(line.as_bytes()).is_err() {
                    break;
                }
                number += 1;
                counter.store(number, Ordering::Relaxed);
                // Not one sleep after the other: those of a busy machine take longer.
                let next = (APART * number as u32).saturating_sub(begun.elapsed());
                if last != usize::MAX {
                    std::thread::sleep(next);
                } else if over.recv_timeout(next) == Err(RecvTimeoutError::Disconnected) {
                    last = number + AROUND;
                }
            }
            number
        });
        Steady { pid, output, fed, feeder, is_over }
    }

    /// Waits for this many more targets, or for the end of the run.
    fn wait_for(&self, more: usize) {
        let until = self.fed.load(Ordering::Relaxed) + more;
        wait_until("targets are taken", || {
            self.feeder.is_finished() || self.fed.load(Ordering::Relaxed) >= until
        });
    }

    /// Lets it go, does something in the middle of it, and waits for its end.
    fn meanwhile(self, network: &Network, fault: impl FnOnce(), mend: impl FnOnce()) -> Through {
        self.lasting(network, WHILE, fault, mend)
    }

    /// The same, for as long as `time`.
    fn lasting(
        self,
        network: &Network,
        time: Duration,
        fault: impl FnOnce(),
        mend: impl FnOnce(),
    ) -> Through {
        let fallback = || network.script("cat /proc/sys/net/ipv4/tcp_ecn_fallback", "").stdout;
        wait_until("settings are changed", || fallback() == "0\n");
        self.wait_for(AROUND);
        let came = Span::of(fault);
        std::thread::sleep(time);
        self.wait_for(AMID);
        let went = Span::of(mend);
        drop(self.is_over);
        let targets = self.feeder.join().unwrap();
        let ended = Ended::from(self.output.join().unwrap());
        let settings = network.settings();
        for ours in ["/tcp_ecn:2\n", "/tcp_ecn_fallback:1\n"] {
            assert!(settings.contains(ours), "{settings}");
        }
        Through { ended, targets, came, went }
    }
}

/// Longer than a connection waits.
const WHILE: Duration = Duration::from_millis(2500);

/// A run that a fault came into.
struct Through {
    ended: Ended,
    /// How many targets it was given.
    targets: usize,
    came: Span,
    went: Span,
}

impl Through {
    /// Expects that all targets were measured, and counts what their records say.
    fn expect_all(&self) -> Said {
        self.ended.expect(0, &[&format!("{} targets", self.targets)]);
        said(&self.ended)
    }
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
        let [from, to] = record.time.as_ref().unwrap().ends();
        from <= self.to && to >= self.from
    }
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
    let through = Steady::run(&network, &[], "clean").meanwhile(
        &network,
        || network.script(&down, "").expect(0, &[]),
        || network.script(&up, "").expect(0, &[]),
    );
    let said = said(&through.ended);
    assert_eq!(said.offline, 0, "a fault of ours is none of the path's: {said:?}");
    if through.ended.status == 1 {
        // Some versions of libpcap say that the interface went down: the run ends in order.
        through.ended.expect(1, &["the capture failed: no new targets", "capturing on"]);
        assert!(said.works > 50, "{said:?}");
    } else {
        through.expect_all();
        assert!(said.works > AROUND && said.not_sent > 50, "{said:?}");
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
    let through = Steady::run(&network, &[], "clean").meanwhile(
        &network,
        || network.script(&gone, "").expect(0, &[]),
        || network.script(&back, "").expect(0, &[]),
    );
    // The kernel refuses to send.
    let said = through.expect_all();
    assert!(said.works > AROUND && said.not_sent + said.not_observed > 50, "{said:?}");
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
    let through = Steady::run(&network, &[], "clean").meanwhile(
        &network,
        || network.script_on_path(&loss("forward")).expect(0, &[]),
        || network.script_on_path(NO_LOSS).expect(0, &[]),
    );
    let of_path = through.expect_all();
    assert!(of_path.works > AROUND && of_path.offline > 50, "{of_path:?}");
    // Those between whose two connections it began.
    assert!(of_path.broken < 30, "{of_path:?}");
    assert_eq!(of_path.not_sent + of_path.not_observed, 0, "{of_path:?}");
    // On this machine, before the capture: nothing is known of the path.
    let through = Steady::run(&network, &[], "clean").meanwhile(
        &network,
        || network.script(&loss("postrouting"), "").expect(0, &[]),
        || network.script(NO_LOSS, "").expect(0, &[]),
    );
    let here = through.expect_all();
    assert!(here.works > AROUND && here.not_observed + here.not_sent > 50, "{here:?}");
    assert_eq!(here.offline, 0, "{here:?}");
}

#[test]
fn every_packet_is_lost_on_the_path_for_a_minute() {
    let Some(network) = network(20, 0) else { return };
    let through = Steady::run(&network, &["-w", "300"], "clean").lasting(
        &network,
        Duration::from_secs(60),
        || network.script_on_path(&loss("forward")).expect(0, &[]),
        || network.script_on_path(NO_LOSS).expect(0, &[]),
    );
    let said = through.expect_all();
    assert!(said.works > AROUND && said.offline > 3000, "{said:?}");
    // Broken or transient are only those in whose time it began or ended: a SYN is repeated.
    let Through { ended, targets, came, went } = through;
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
        let through = Steady::of(&network, command, &[], "clean").meanwhile(
            &network,
            || std::fs::write(&step, hours).unwrap(),
            || std::fs::remove_file(&step).unwrap(),
        );
        let said = through.expect_all();
        let times: Vec<String> = records(&through.ended.stdout)
            .into_iter()
            .map(|record| record.time.unwrap().from)
            .collect();
        let hour = |time: &String| time[11..13].to_owned();
        let hours: std::collections::BTreeSet<String> = times.iter().map(hour).collect();
        assert!(hours.len() > 1, "the clock was not set: {hours:?}");
        // What the packets' times do not fit to is not taken for observed.
        assert!(said.works > AROUND, "{said:?}");
        assert_eq!(said.works + said.not_observed, through.targets, "{said:?}");
    }
}

#[test]
fn no_descriptors_are_left() {
    let Some(network) = network(20, 0) else { return };
    let steady = Steady::run(&network, &["-w", "50"], "clean");
    let pid = steady.pid;
    let limit = |count: u32| {
        let script = format!("prlimit --pid {pid} --nofile={count}:4096");
        network.script(&script, "").expect(0, &[]);
    };
    let through = steady.meanwhile(&network, || limit(8), || limit(1024));
    let said = through.expect_all();
    let failures: Vec<String> = records(&through.ended.stdout)
        .into_iter()
        .flat_map(|record| record.flow_results.unwrap())
        .filter_map(|flow| flow.rest.get("spdr_error")?.as_str().map(str::to_owned))
        .collect();
    assert!(failures.len() > 10 && failures.iter().all(|reason| reason == "no_descriptor"));
    assert!(said.works > AROUND && said.not_sent > 5, "{said:?}");
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
