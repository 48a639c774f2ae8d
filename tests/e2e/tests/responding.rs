//! The far end of a path that one owns: who learns which packets came (`docs/respond.md`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pathspider_arrivals::{Answer, Key, LENGTH, Mark, Match, PORT, Question, Sought};
use pathspider_e2e::{Ended, Program, built, temp_dir, wait_until};
use pathspider_lab::net::{self, Namespace, Running};
use pathspider_lab::runner::plugin_waiver;
use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass};
use rustix::process::{Pid, Signal, kill_process};

/// The far end's addresses, of each version two.
const FAR: [&str; 4] = ["10.70.0.2", "10.70.0.3", "fd70::2", "fd70::3"];

/// Two namespaces, joined by veth.
fn ends() -> (Namespace, Namespace) {
    let [near, far] = ["near", "far"].map(|name| Namespace::new(name).unwrap());
    let there = far.path();
    let near_link = format!(
        "link add out0 type veth peer name in0 netns {there}\n\
         addr add 10.70.0.1/24 dev out0\naddr add fd70::1/64 dev out0 nodad\nlink set out0 up\n"
    );
    net::ip(&near, &near_link).unwrap();
    let addresses = FAR.map(|address| {
        if address.contains(':') {
            format!("addr add {address}/64 dev in0 nodad\n")
        } else {
            format!("addr add {address}/24 dev in0\n")
        }
    });
    net::ip(&far, &(addresses.concat() + "link set in0 up\nlink set lo up\n")).unwrap();
    [&near, &far].into_iter().try_for_each(net::ready).unwrap();
    (near, far)
}

/// A key's file, of this mode.
pub(crate) fn key_file(folder: &Path, mode: u32) -> std::path::PathBuf {
    let path = folder.join("key");
    let made = Command::new(built("pathspider-respond"))
        .args(["respond", "--new-key"])
        .arg(&path)
        .output()
        .unwrap();
    Ended::from(made).expect(0, &[]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// A responder that answers, started as users start it.
pub(crate) fn responder(far: &Namespace, key: &Path, options: &[&str]) -> Running {
    heard_responder(far, key, options).0
}

/// The same, with what it says later.
fn heard_responder(
    far: &Namespace,
    key: &Path,
    options: &[&str],
) -> (Running, JoinHandle<Vec<String>>) {
    let mut command = Command::new(built("pathspider"));
    command.args(["respond", "--key"]).arg(key).args(options);
    far.place(&mut command);
    let mut started = Running::start(command.stderr(Stdio::piped())).unwrap();
    let mut said = BufReader::new(started.child().stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("answers at UDP port"), "{line}");
    // What it says later is not to hold it up.
    let later = std::thread::spawn(move || said.lines().map_while(Result::ok).collect());
    (started, later)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A socket here, and what is sought of a flow that it sends to port 5353.
fn flow(to: IpAddr, data: &[u8]) -> (UdpSocket, Sought) {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let source_port = socket.local_addr().unwrap().port();
    let mark = Mark::of_data(data);
    (socket, Sought { is_tcp: false, source_port, destination_port: 5353, mark })
}

/// What the responder says once it has noted the flow; each question is a new one.
fn asked(socket: &UdpSocket, to: SocketAddr, sought: Sought, key: &Key) -> Answer {
    let mut answer = None;
    wait_until("the responder has noted the flow", || {
        let question = Question::new(sought, now()).unwrap();
        socket.send_to(&question.written(key), to).unwrap();
        let mut buffer = [0; 2_048];
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { return false };
        assert_eq!(from, to, "each address answers as itself");
        assert!(length <= LENGTH);
        let read = Answer::read(&buffer[..length], key).unwrap();
        let is_found = read.found != Match::Nothing;
        answer = Some(read);
        is_found
    });
    answer.unwrap()
}

#[test]
fn who_has_the_key_learns_what_came_and_nobody_else_hears_anything() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let (near, far) = ends();
    let folder = temp_dir("responding");
    let path = key_file(&folder, 0o600);
    let key = Key::read(&path, None).unwrap();
    let (mut responder, said) = heard_responder(&far, &path, &["--rate-per-source", "1000"]);
    // It has given up what it opened its capture with, for good.
    let status = fs::read_to_string(format!("/proc/{}/status", responder.child().id())).unwrap();
    for (name, value) in [("CapPrm", 0), ("CapEff", 0), ("CapInh", 0), ("NoNewPrivs", 1)] {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        assert_eq!(u64::from_str_radix(line.unwrap().trim(), 16), Ok(value), "{name}");
    }
    near.enter(|| {
        for address in FAR {
            let to: IpAddr = address.parse().unwrap();
            let data = format!("a datagram for {address}");
            let (socket, sought) = flow(to, data.as_bytes());
            if to.is_ipv4() {
                set_ip_tos(&socket, 46 << 2 | 2).unwrap()
            } else {
                set_ipv6_tclass(&socket, 46 << 2 | 2).unwrap()
            }
            socket.send_to(data.as_bytes(), (to, 5353)).unwrap();
            let (other, _) = flow(to, b"");
            let answer = asked(&other, (to, PORT).into(), sought, &key);
            assert_eq!((answer.found, answer.count), (Match::Both, 1), "{address}");
            let packet = &answer.arrivals[0].octets;
            assert_eq!(packet[packet.len() - data.len()..], *data.as_bytes());
            let class = if to.is_ipv4() { packet[1] } else { packet[0] << 4 | packet[1] >> 4 };
            assert_eq!(class, 46 << 2 | 2, "{address}");
            // From another address it is nobody's business.
            let elsewhere = if to.is_ipv4() { "10.70.0.1" } else { "fd70::1" };
            assert_eq!(answer.from, elsewhere.parse::<IpAddr>().unwrap());
        }
        silence(&key);
    })
    .unwrap();
    // A signal ends it in order, with one line.
    kill_process(Pid::from_child(responder.child()), Signal::TERM).unwrap();
    assert_eq!(responder.child().wait().unwrap().code(), Some(10));
    let said = said.join().unwrap();
    let [.., last] = &said[..] else { panic!("{said:?}") };
    assert!(last.contains("stopped by a signal, after ") && last.ends_with("answers"), "{last}");
}

/// Sends what gets no answer, and then what gets one: the first answer is to that.
fn silence(key: &Key) {
    let to: SocketAddr = (FAR[0].parse::<IpAddr>().unwrap(), PORT).into();
    let (socket, sought) = flow(to.ip(), b"");
    let strange = Key::of(b"a key that the responder has not");
    let question = || Question::new(sought, now()).unwrap();
    let repeated = question().written(key);
    socket.send_to(&repeated, to).unwrap();
    let mut buffer = [0; 2_048];
    let take = |buffer: &mut [u8; 2_048]| {
        let (length, _) = socket.recv_from(buffer).ok()?;
        Answer::read(&buffer[..length], key)
    };
    let mut first = None;
    wait_until("it answers a question once", || {
        first = take(&mut buffer);
        first.is_some()
    });
    let mut datagrams = vec![
        question().written(&strange).to_vec(),
        repeated.to_vec(),
        Question { time: now() - 3_600, ..question() }.written(key).to_vec(),
        Question { time: now() + 3_600, ..question() }.written(key).to_vec(),
        vec![],
        vec![0; 1_400],
        question().written(key)[..LENGTH - 1].to_vec(),
    ];
    datagrams.extend((0..LENGTH).step_by(100).map(|at| {
        let mut changed = question().written(key);
        changed[at] ^= 1;
        changed.to_vec()
    }));
    for datagram in datagrams {
        socket.send_to(&datagram, to).unwrap();
    }
    let last = question();
    socket.send_to(&last.written(key), to).unwrap();
    let mut answer = None;
    wait_until("it answers the last question", || {
        answer = take(&mut buffer);
        answer.is_some()
    });
    assert_eq!(answer.unwrap().nonce, last.nonce, "what came before was not answered");
}

#[test]
fn a_key_that_others_can_read_and_other_mistakes_are_one_clear_line() {
    let folder = temp_dir("responding-mistakes");
    let path = key_file(&folder, 0o644);
    let respond = |arguments: &[&str]| {
        let mut command = Command::new(built("pathspider-respond"));
        Ended::from(command.arg("respond").args(arguments).output().unwrap())
    };
    let file = path.display().to_string();
    let end = respond(&["--key", &file]);
    end.expect(7, &[&file, "is open to others than its owner", "chmod 600"]);
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    respond(&["--new-key", &file]).expect(8, &[&file, "name another file"]);
    fs::write(&path, "too short\n").unwrap();
    respond(&["--key", &file]).expect(7, &["has no key"]);
    respond(&["--key", "/dev/null"]).expect(7, &["is no file"]);
    respond(&["--key", "/nowhere/at/all"]).expect(7, &["/nowhere/at/all cannot be read"]);
    respond(&[]).expect(2, &["--key"]);
    fs::write(&path, Key::new_line().unwrap()).unwrap();
    respond(&["--key", &file, "-i", "nowhere0"]).expect(6, &["no interface \"nowhere0\""]);
    respond(&["--key", &file, "--rate", "0"]).expect(2, &["--rate"]);
    respond(&["--key", &file, "--keep", "0"]).expect(2, &["--keep", "nothing would be kept"]);
    Program::run(&["measure", "--responder-port", "7118", "mss"]).expect(2, &["--responder-key"]);
    // No measurement can be meant to send that.
    let end = Program::run(&["probe", "--responder-key", &file, "192.0.2.1"]);
    end.expect(2, &["unexpected argument '--responder-key' found; see pathspider help probe"]);
}

#[test]
fn a_target_that_responds_and_is_not_asked_is_spoken_of() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let (near, _far) = ends();
    let input = temp_dir("responding-unasked").join("targets.ndjson");
    let line = |said: &str| format!("{{\"dip\":\"{}\",\"dp\":9,\"responder\":{said}}}\n", FAR[0]);
    let run = |lines: String| {
        fs::write(&input, lines).unwrap();
        let mut command = Command::new(built("pathspider"));
        command.args(plugin_waiver(&built("pathspider")));
        command.args(["measure", "-i", "out0", "--allow-special", "--input"]).arg(&input);
        near.place(command.args(["mss", "--timeout", "1"]));
        Ended::from(command.output().unwrap())
    };
    const UNASKED: &str = "were not asked what came to them: --responder-key FILE";
    run(line("true") + &line("\"yes\""))
        .expect(9, &[UNASKED, "responder is", "write true or false"]);
    let end = run(line("false"));
    end.expect(0, &[]);
    assert!(!end.stderr.contains(UNASKED), "{}", end.stderr);
}

/// What measurements find out from the target at an address, which a router changes packets to like this; `*`
/// stands for any value. Nobody listens there, which does not matter.
const SAID: [(&str, &str, &str, &[&str]); 5] = [
    (
        "dscp --connect dnsudp --timeout 1",
        "10.72.1.11",
        "ip dscp set cs0",
        &["dscp.48.forward.changed:dscp:48:0"],
    ),
    (
        "quicecn --timeout 1",
        "fd72:1::12",
        "ip6 ecn set not-ect",
        &[
            "quicecn.ce.forward.changed:ecn:3:0",
            "quicecn.ect0.forward.changed:ecn:2:0",
            "quicecn.ect1.forward.changed:ecn:1:0",
        ],
    ),
    (
        "quic --timeout 1",
        "10.72.1.13",
        "counter",
        &[
            "quic.1.forward.intact",
            "quic.2.forward.intact",
            "quic.3.forward.intact",
            "quic.4.forward.intact",
        ],
    ),
    (
        "udpopt --timeout 1",
        "fd72:1::14",
        "counter",
        &[
            "udpopt.bare.forward.intact",
            "udpopt.options.forward.intact",
            "udpopt.wrong.forward.intact",
        ],
    ),
    (
        "flowlabel --timeout 1",
        "fd72:1::15",
        "ip6 flowlabel set 0",
        &["flowlabel.none.forward.intact", "flowlabel.other.forward.changed:flowlabel:*:0"],
    ),
];

/// A vantage point, a router that changes packets, and the targets.
fn behind_a_router() -> [Namespace; 3] {
    let hops = ["near", "router", "far"].map(|name| Namespace::new(name).unwrap());
    for at in 0..2 {
        let (there, link) = (hops[at + 1].path(), at * 10);
        let near = format!(
            "link add out0 type veth peer name in0 netns {there}\n\
             addr add 10.72.{link}.1/24 dev out0\naddr add fd72:{link}::1/64 dev out0 nodad\n\
             link set out0 up\n"
        );
        net::ip(&hops[at], &near).unwrap();
        let far = format!(
            "addr add 10.72.{link}.2/24 dev in0\naddr add fd72:{link}::2/64 dev in0 nodad\n\
             link set in0 up\nlink set lo up\n"
        );
        net::ip(&hops[at + 1], &far).unwrap();
    }
    let routes = [
        "route add default via 10.72.0.2\nroute add default via fd72:0::2\n",
        "route add 10.72.1.0/24 via 10.72.10.2\nroute add fd72:1::/64 via fd72:10::2\n",
        "route add local 10.72.1.0/24 dev lo\n\
         route add default via 10.72.10.1\nroute add default via fd72:10::1\n",
    ];
    for (hop, routes) in hops.iter().zip(routes) {
        for line in routes.lines() {
            let version = if line.contains(':') { "-6" } else { "-4" };
            let mut command = Command::new("ip");
            command.arg(version).args(line.split(' '));
            hop.place(&mut command);
            assert!(command.status().unwrap().success(), "{line}");
        }
        hop.sysctls(&[
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv6.conf.all.forwarding", "1"),
            // A machine that measures itself is quick to say that a port is closed.
            ("net.ipv4.icmp_ratelimit", "0"),
        ])
        .unwrap();
    }
    for to in SAID.iter().map(|(_, to, ..)| to).chain([&"fd72:1::1"]).filter(|to| to.contains(':'))
    {
        net::ip(&hops[2], &format!("addr add {to}/128 dev lo nodad\n")).unwrap();
    }
    let rule = |(_, to, what, _): &(&str, &str, &str, &[&str])| {
        let version = if to.contains(':') { "ip6" } else { "ip" };
        format!("{version} daddr {to} {what}\n")
    };
    let rules: String = SAID.iter().map(rule).collect();
    let chain = "type filter hook forward priority 0;";
    let table = format!("table inet faults {{\nchain forward {{\n{chain}\n{rules}}}\n}}\n");
    net::nft(&hops[1], &table).unwrap();
    hops.iter().try_for_each(net::ready).unwrap();
    hops
}

#[test]
fn datagrams_of_both_versions_are_compared_whatever_they_carry() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let [near, _router, far] = &behind_a_router();
    let folder = temp_dir("responding-datagrams");
    let key = key_file(&folder, 0o600);
    let _responder = responder(far, &key, &["--rate-per-source", "1000"]);
    // The kernel brings new links up a moment after it is asked to.
    near.enter(|| {
        for address in ["10.72.1.1", "fd72:1::1"] {
            let to: IpAddr = address.parse().unwrap();
            let (socket, sought) = flow(to, b"are the links up?");
            let key = Key::read(&key, None).unwrap();
            wait_until("links carry packets", || {
                let question = Question::new(sought, now()).unwrap();
                let _ = socket.send_to(&question.written(&key), (to, PORT));
                socket.recv_from(&mut [0; LENGTH]).is_ok()
            });
        }
    })
    .unwrap();
    std::thread::scope(|scope| {
        for (words, target, _, expected) in SAID {
            let (folder, key) = (&folder, &key);
            scope.spawn(move || said(near, (folder, key), words, target, expected));
        }
        let (folder, key) = (&folder, &key);
        scope.spawn(move || {
            // At another port nobody answers, which the run says.
            let ended = asking(near, (folder, key), "--responder-port 7118 mss", SAID[0].1);
            ended.expect(0, &["1 of 1 targets that are said to respond gave no answer"]);
        });
    });
}

/// Measures a target, and compares what it says.
fn said(
    near: &Namespace,
    (folder, key): (&Path, &Path),
    words: &str,
    target: &str,
    expected: &[&str],
) {
    let ended = asking(near, (folder, key), words, target);
    ended.expect(0, &[]);
    assert!(!ended.stderr.contains("gave no answer"), "{}", ended.stderr);
    let record: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let conditions = record["conditions"].as_array().unwrap().iter();
    let conditions = conditions.map(|one| one.as_str().unwrap());
    let mut found: Vec<&str> = conditions.filter(|one| one.contains(".forward.")).collect();
    found.sort_unstable();
    assert!(are_alike(&found, expected), "{words}: {found:?}, not {expected:?}: {record}");
}

/// How a measurement ends that asks its target.
fn asking(near: &Namespace, (folder, key): (&Path, &Path), words: &str, target: &str) -> Ended {
    let input = folder.join(format!("{words}.ndjson"));
    fs::write(&input, format!("{{\"dip\":\"{target}\",\"responder\":true}}\n")).unwrap();
    let mut command = Command::new(built("pathspider"));
    command.args(plugin_waiver(&built("pathspider")));
    command.args(["measure", "-i", "out0", "--allow-special", "--responder-key"]).arg(key);
    command.arg("--input").arg(&input).args(words.split(' '));
    near.place(&mut command);
    Ended::from(command.output().unwrap())
}

/// Whether these conditions are those, where `*` stands for any value.
pub(crate) fn are_alike(found: &[&str], expected: &[&str]) -> bool {
    let is_like = |(one, like): (&&str, &&str)| match like.split_once('*') {
        Some((start, end)) => one.starts_with(start) && one.ends_with(end),
        None => one == like,
    };
    found.len() == expected.len() && found.iter().zip(expected).all(is_like)
}

/// Datagrams that are under way at a time.
const WINDOW: usize = 64;

/// How many of these come back in a second.
fn rate(from: &UdpSocket, to: SocketAddr, datagrams: &[[u8; LENGTH]]) -> f64 {
    let begun = Instant::now();
    let (mut sent, mut came, mut buffer) = (0, 0, [0; 2_048]);
    while came < datagrams.len() {
        while sent < datagrams.len() && sent < came + WINDOW {
            from.send_to(&datagrams[sent], to).unwrap();
            sent += 1;
        }
        // What is lost is not waited for.
        came = if from.recv_from(&mut buffer).is_ok() { came + 1 } else { sent };
    }
    datagrams.len() as f64 / begun.elapsed().as_secs_f64()
}

/// The speed of the responder beside the least that a program must do to answer: `recvfrom`, `sendto`.
#[test]
#[ignore = "it measures: cargo test --release -p pathspider-e2e --test main -- responding --ignored --nocapture"]
fn answers_a_second_beside_a_bare_loop() {
    if let Err(error) = net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let alone = Namespace::new("alone").unwrap();
    net::ip(&alone, "link set lo up\n").unwrap();
    let path = key_file(&temp_dir("responding-speed"), 0o600);
    let key = Key::read(&path, None).unwrap();
    let limits = ["--rate", "1e6", "--rate-per-source", "1e6", "-i", "lo"];
    let _responder = responder(&alone, &path, &limits);
    alone
        .enter(|| {
            let here: IpAddr = [127, 0, 0, 1].into();
            let bare = UdpSocket::bind((here, 0)).unwrap();
            let echo = bare.local_addr().unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2_048];
                while let Ok((length, from)) = bare.recv_from(&mut buffer) {
                    let _ = bare.send_to(&buffer[..length], from);
                }
            });
            for round in 0..5 {
                let (socket, sought) = flow(here, b"the flow that is asked for");
                socket.send_to(b"the flow that is asked for", (here, 5353)).unwrap();
                let ask = |_| Question::new(sought, now()).unwrap().written(&key);
                let datagrams: Vec<_> = (0..20_000).map(ask).collect();
                let loops = rate(&socket, echo, &datagrams);
                let answers = rate(&socket, (here, PORT).into(), &datagrams);
                let ratio = answers / loops;
                println!("{round}: {loops:.0} echoes/s, {answers:.0} answers/s, ratio {ratio:.2}");
            }
        })
        .unwrap();
}
