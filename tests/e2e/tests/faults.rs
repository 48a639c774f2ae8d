//! Faults on the way, made for real: what each record says then, and how the run ends.

use std::io::{Read, Write};
use std::process::{Child, Command};
use std::thread::JoinHandle;
use std::time::Duration;

use pathspider_e2e::{Ended, Network, Program, built, network, records, temp_dir};

/// Starts an ECN run of targets that come again and again, ten milliseconds apart.
fn steady(network: &Network, arguments: &[&str], path: &str) -> (Child, JoinHandle<()>) {
    let mut command = Program::command(&["measure", "--allow-special", "--duplicates"]);
    command.args(["-i", network.interface(), "--quiet", "--output-flows"]).args(arguments);
    command.args(["ecn", "--connect", "tcp", "--timeout", "1"]);
    let mut child = network.start(command);
    let mut stdin = child.stdin.take().unwrap();
    let jobs = network.jobs(path);
    let feeder = std::thread::spawn(move || {
        for line in jobs.split_inclusive('\n').cycle().take(400) {
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    (child, feeder)
}

/// Lets a run go, does something in the middle of it, and waits for its end.
fn meanwhile(network: &Network, arguments: &[&str], fault: &str, mend: &str) -> Ended {
    let (child, feeder) = steady(network, arguments, "clean");
    let (fault, mend) = (fault.to_owned(), mend.to_owned());
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(1200));
            network.script(&fault, "").expect(0, &[]);
            std::thread::sleep(Duration::from_millis(1000));
            network.script(&mend, "").expect(0, &[]);
        });
        Ended::from(child.wait_with_output().unwrap())
    });
    feeder.join().unwrap();
    ended
}

/// What the records say: works, not sent, not observed, nothing of connectivity.
fn verdicts(ended: &Ended) -> [usize; 4] {
    let mut counts = [0; 4];
    for record in records(&ended.stdout) {
        let has = |word: &str| record.conditions.iter().any(|c| c.starts_with(word));
        counts[0] += usize::from(has("ecn.connectivity.works"));
        counts[1] += usize::from(has("pathspider.not_sent"));
        counts[2] += usize::from(has("pathspider.not_observed"));
        counts[3] += usize::from(!has("ecn.connectivity"));
        // No verdict without packets that prove it.
        for flow in record.flow_results.as_ref().unwrap() {
            if has("ecn.connectivity") {
                assert!(flow.observed, "{record:?}");
            }
        }
    }
    counts
}

#[test]
fn an_interface_that_is_down_for_a_while() {
    let Some(network) = network(20, 0) else { return };
    let before = network.settings();
    let routes = network.script("ip route show table all dev $(ip -o link | sed -n 's/.*: \\(vantage[^@:]*\\).*/\\1/p' | head -1) proto static; ip route", "");
    let interface = network.interface();
    // Its routes go with it, and come back as an operator would bring them.
    let restore: String = routes
        .stdout
        .lines()
        .filter(|line| line.contains(" via "))
        .map(|line| format!("ip route replace {line};"))
        .collect();
    let ended = meanwhile(
        &network,
        &[],
        &format!("ip link set {interface} down"),
        &format!("ip link set {interface} up; sleep 0.1; {restore}"),
    );
    // libpcap says that the interface went down, and the run ends in order.
    assert!([0, 1].contains(&ended.status), "{}", ended.stderr);
    if ended.status == 1 {
        assert!(ended.stderr.contains("capturing on"), "{}", ended.stderr);
    }
    let [works, ..] = verdicts(&ended);
    assert!(works > 50, "{works}");
    assert_eq!(network.settings(), before);
}

#[test]
fn an_address_that_is_gone_for_a_while() {
    let Some(network) = network(20, 0) else { return };
    let interface = network.interface();
    let address =
        network.script(&format!("ip -4 -o addr show dev {interface} | awk '{{print $4}}'"), "");
    let routes = network.script("ip route | grep via", "");
    let restore: String =
        routes.stdout.lines().map(|line| format!("ip route replace {line};")).collect();
    let address = address.stdout.trim().to_owned();
    let ended = meanwhile(
        &network,
        &[],
        &format!("ip addr del {address} dev {interface}"),
        &format!("ip addr add {address} dev {interface}; {restore}"),
    );
    ended.expect(0, &["400 targets"]);
    // The kernel refuses to send, or sends from no address, by the routes that are left.
    let [works, not_sent, not_observed, _] = verdicts(&ended);
    let told = not_sent + not_observed;
    assert!(works > 200 && told > 10, "{works} {told} {:?}", records(&ended.stdout)[150]);
}

#[test]
fn every_packet_is_lost_for_a_while() {
    let Some(network) = network(20, 0) else { return };
    let drop = "nft add table inet test; nft add chain inet test out '{ type filter hook \
                postrouting priority 0; }'; nft add rule inet test out drop";
    // Dropped after the capture has seen them would be loss on the path; here nothing is seen.
    let ended = meanwhile(&network, &[], drop, "nft delete table inet test");
    ended.expect(0, &["400 targets"]);
    let [works, _, _, none] = verdicts(&ended);
    assert!(works > 200 && none > 10, "{works} {none}");
    assert_eq!(records(&ended.stdout).len(), 400);
}

#[test]
fn no_descriptors_are_left() {
    let Some(network) = network(20, 0) else { return };
    let (child, feeder) = steady(&network, &["-w", "50"], "clean");
    std::thread::sleep(Duration::from_millis(1200));
    let limit = |count: u32| {
        let script = format!("prlimit --pid {} --nofile={count}:4096", child.id());
        network.script(&script, "").expect(0, &[]);
    };
    limit(8);
    std::thread::sleep(Duration::from_millis(1000));
    limit(1024);
    let ended = Ended::from(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    ended.expect(0, &["400 targets"]);
    let failures: Vec<String> = records(&ended.stdout)
        .into_iter()
        .flat_map(|record| record.flow_results.unwrap())
        .filter_map(|flow| flow.rest.get("spdr_error")?.as_str().map(str::to_owned))
        .collect();
    assert!(failures.len() > 10 && failures.iter().all(|reason| reason == "no_descriptor"));
    let [works, not_sent, ..] = verdicts(&ended);
    assert!(works > 200 && not_sent > 5, "{works} {not_sent}");
}

#[test]
fn the_kernel_kills_for_want_of_memory_and_the_run_goes_on_later() {
    let Some(network) = network(200, 0) else { return };
    let before = network.settings();
    let group = format!("/sys/fs/cgroup/pathspider-test-{}", std::process::id());
    if std::fs::create_dir(&group).is_err()
        || !std::path::Path::new(&format!("{group}/memory.max")).exists()
    {
        let _ = std::fs::remove_dir(&group);
        eprintln!("SKIPPED: no cgroup with a limit of memory can be made");
        return;
    }
    let path = temp_dir("memory").join("out.ndjson").display().to_string();
    let script = format!(
        "echo $$ >{group}/cgroup.procs; exec $PATHSPIDER measure --allow-special -i {} --resume \
         --output {path} ecn --connect tcp",
        network.interface()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("PATHSPIDER", built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", pathspider_e2e::state_dir());
    let mut run = network.start(shell);
    let mut stdin = run.stdin.take().unwrap();
    let jobs = network.jobs("clean");
    stdin.write_all(&jobs.as_bytes()[..jobs.len() / 2]).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    std::fs::write(format!("{group}/memory.swap.max"), "0").ok();
    std::fs::write(format!("{group}/memory.max"), "1M").unwrap();
    // Whatever it does next takes memory.
    let _ = stdin.write_all(&jobs.as_bytes()[jobs.len() / 2..]);
    drop(stdin);
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = run.wait().unwrap();
    std::fs::write(format!("{group}/memory.max"), "max").unwrap();
    // The group is busy until its last process is buried.
    for _ in 0..100 {
        if std::fs::remove_dir(&group).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!status.success(), "the limit did not work: {said}");
    let arguments = ["--resume", "--output", &path, "ecn", "--connect", "tcp"];
    network.measure(&arguments, &jobs).expect(0, &["measured before"]);
    let all = records(&std::fs::read_to_string(&path).unwrap());
    let targets: std::collections::BTreeSet<&String> = all.iter().map(|r| &r.dip).collect();
    assert_eq!((all.len(), targets.len()), (200, 200));
    assert_eq!(network.settings(), before);
}
