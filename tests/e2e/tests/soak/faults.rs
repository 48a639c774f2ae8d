//! The faults of a soak, each made for real.

use std::fs;
use std::process::Child;
use std::time::Duration;

use pathspider_e2e::Network;
use rustix::process::{Pid, Signal, kill_process};

use super::{Clock, Random};
use crate::faults::{NO_LOSS, loss};

fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

type Make = Box<dyn Fn(&Network, &Child)>;

/// What happens to a run, for as long as it lasts.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// How many times as often it comes as one of weight 1.
    weight: usize,
    pub(super) make: Make,
}

/// The weight of a fault of seconds; one of a minute has 1.
const OFTEN: usize = 8;

fn fault(name: &'static str, make: impl Fn(&Network, &Child) + 'static) -> Fault {
    Fault { name, weight: OFTEN, make: Box::new(make) }
}

/// One that a script makes at the vantage point, and another one mends.
fn by_script(name: &'static str, millis: u64, make: String, mend: String) -> Fault {
    fault(name, move |network, _| {
        network.script(&make, "").expect(0, &[]);
        std::thread::sleep(Duration::from_millis(millis));
        network.script(&mend, "").expect(0, &[]);
    })
}

/// All packets lost on the path.
fn lossy(name: &'static str, seconds: u64) -> Fault {
    fault(name, move |network, _| {
        network.script_on_path(&loss("forward")).expect(0, &[]);
        std::thread::sleep(Duration::from_secs(seconds));
        network.script_on_path(NO_LOSS).expect(0, &[]);
    })
}

/// One of them at random, by their weights.
pub(super) fn one_of<'f>(faults: &'f [Fault], random: &mut Random) -> &'f Fault {
    let by_weight: Vec<&Fault> =
        faults.iter().flat_map(|fault| std::iter::repeat_n(fault, fault.weight)).collect();
    by_weight[random.below(by_weight.len() as u64) as usize]
}

/// The faults that a run survives.
pub(super) fn survived(network: &Network, clock: &Clock) -> Vec<Fault> {
    let interface = network.interface();
    let show = format!("ip -4 -o addr show dev {interface} | awk '{{print $4}}'");
    let address = network.script(&show, "").stdout.trim().to_owned();
    let step = clock.step.clone();
    vec![
        lossy("all packets lost on the path for 3 s", 3),
        Fault { weight: 1, ..lossy("all packets lost on the path for a minute", 60) },
        by_script("all packets lost here for 0.8 s", 800, loss("postrouting"), NO_LOSS.into()),
        by_script(
            "no address for 0.8 s",
            800,
            format!("ip addr del {address} dev {interface}"),
            format!("ip addr add {address} dev {interface}; {}", routes(network)),
        ),
        fault("SIGSTOP for 0.8 s", |_, run| {
            signal(run, Signal::STOP);
            std::thread::sleep(Duration::from_millis(800));
            signal(run, Signal::CONT);
        }),
        fault("no descriptors for 0.8 s", |network, run| {
            let limit = |n: u32| format!("prlimit --pid {} --nofile={n}:4096", run.id());
            network.script(&limit(8), "");
            std::thread::sleep(Duration::from_millis(800));
            network.script(&limit(1024), "");
        }),
        fault("the program's clock an hour ahead for 0.8 s", move |_, _| {
            fs::write(&step, "1").unwrap();
            std::thread::sleep(Duration::from_millis(800));
            fs::remove_file(&step).unwrap();
        }),
    ]
}

/// The faults that may end it.
pub(super) fn ending(network: &Network) -> Vec<Fault> {
    let interface = network.interface();
    // Routes of version 6 need the addresses, which would go for good.
    let keep = format!("echo 1 >/proc/sys/net/ipv6/conf/{interface}/keep_addr_on_down");
    network.script(&keep, "").expect(0, &[]);
    vec![
        fault("SIGKILL", |_, run| signal(run, Signal::KILL)),
        fault("SIGTERM", |_, run| signal(run, Signal::TERM)),
        by_script(
            "interface down for 0.8 s",
            800,
            format!("ip link set {interface} down"),
            format!("ip link set {interface} up; sleep 0.2; {}", routes(network)),
        ),
    ]
}

/// The routes through gateways, as commands that bring them back.
fn routes(network: &Network) -> String {
    let routes = network.script("ip route | grep via; ip -6 route | grep via", "").stdout;
    let back = |line: &str| {
        let family = if line.contains(':') { "-6" } else { "-4" };
        format!("ip {family} route replace {line};")
    };
    routes.lines().map(back).collect()
}
