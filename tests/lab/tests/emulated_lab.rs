//! The emulated lab with real sockets on both ends: what only a kernel can show of the emulator,
//! and that nothing of a lab outlives it.
#![allow(clippy::unwrap_used)] // Helpers outside the test functions fail the test too.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::net;
use pathspider_lab::scenario::{self, Scenario};

const LAB: &str = env!("CARGO_BIN_EXE_pathspider-lab");

/// The lab, or `None` after saying that it cannot be made here; in CI that is a failure.
fn lab(scenarios: Vec<Scenario>, targets: u16) -> Option<EmulatedLab> {
    match net::prepare().and_then(|()| EmulatedLab::new(scenarios, targets)) {
        Ok(lab) => Some(lab),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

fn written(rules: &str) -> Vec<Scenario> {
    vec![scenario::read("test", "test", &format!("summary = 'is a test'\n{rules}")).unwrap()]
}

/// Both ends of the targets of the first path: the first and the last of each version.
fn some_targets(lab: &EmulatedLab) -> Vec<IpAddr> {
    let targets = &lab.paths()[0].targets;
    let middle = targets.len() / 2;
    vec![targets[0], targets[middle - 1], targets[middle], targets[targets.len() - 1]]
}

fn connect(lab: &EmulatedLab, target: IpAddr, port: u16) -> Result<TcpStream, ErrorKind> {
    let address = SocketAddr::from((target, port));
    let stream = lab
        .vantage()
        .enter(|| TcpStream::connect_timeout(&address, Duration::from_millis(900)))
        .unwrap();
    let stream = stream.map_err(|error| error.kind())?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    Ok(stream)
}

fn get(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
    let mut answer = [0; 1000];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn thousands_of_targets_answer_in_both_versions() {
    let Some(lab) = lab(written(""), 2000) else { return };
    assert_eq!(lab.paths()[0].targets.len(), 4000);
    for target in some_targets(&lab) {
        let answer = get(&mut connect(&lab, target, 80).unwrap());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{target}: {answer}");

        let mut echo = connect(&lab, target, 7).unwrap();
        echo.write_all(b"hello").unwrap();
        let mut heard = [0; 5];
        echo.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[test]
fn dns_answers_from_the_address_that_was_asked() {
    let Some(lab) = lab(written(""), 10) else { return };
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03lab\x07example\0\0\x1c\0\x01";
    for target in some_targets(&lab) {
        let any = if target.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        // A connected socket hears only the address it asked.
        let socket = lab.vantage().enter(|| UdpSocket::bind(any)).unwrap().unwrap();
        socket.connect((target, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        socket.send(query).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..4], *b"\x12\x34\x85\x80", "{target}");
        assert_eq!(answer[length - 1], 1, "the last byte of 2001:db8::1");
    }
}

#[test]
fn a_silent_target_a_refusing_one_and_a_slow_one() {
    let Some(dead) = lab(written("[[rule]]\nhop = 1\naction = 'drop'"), 1) else { return };
    let Some(refusing) = lab(written("server = { listening = false }"), 1) else { return };
    let Some(slow) = lab(written("server = { slow-millis = 300 }"), 1) else { return };
    let first = |lab: &EmulatedLab| lab.paths()[0].targets[0];
    assert_eq!(connect(&dead, first(&dead), 80).unwrap_err(), ErrorKind::TimedOut);
    let refused = connect(&refusing, first(&refusing), 80).unwrap_err();
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let mut stream = connect(&slow, first(&slow), 80).unwrap();
    let began = Instant::now();
    assert!(get(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn an_icmp_error_reaches_the_socket_it_is_about() {
    let rule = "[[rule]]\nhop = 2\naction = { icmp = { error = 'host-unreachable' } }";
    let Some(lab) = lab(written(rule), 1) else { return };
    for &target in &lab.paths()[0].targets {
        assert_eq!(connect(&lab, target, 80).unwrap_err(), ErrorKind::HostUnreachable, "{target}");
    }
}

#[test]
fn data_survives_a_bad_path() {
    let rules = "seed = 3\n[[rule]]\nhop = 1\ndirection = 'both'\nprobability = 0.02\naction = 'drop'\n\
                 [[rule]]\nhop = 2\ndirection = 'both'\naction = { duplicate = 1 }\n\
                 [[rule]]\nhop = 2\ndirection = 'both'\naction = { reorder = { behind = 1, at-most-millis = 5 } }\n\
                 [[rule]]\nhop = 3\naction = { clamp-mss = 500 }\n\
                 [[rule]]\nhop = 3\naction = { nat = { sources = ['192.0.2.1', '2001:db8::1'], ports = true } }";
    let Some(lab) = lab(written(rules), 1) else { return };
    for &target in &lab.paths()[0].targets {
        // The handshake too may lose packets, so it has several tries.
        let stream = (0..5).find_map(|_| connect(&lab, target, 7).ok()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let mut heard = vec![0; sent.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(&sent).unwrap());
            (&stream).read_exact(&mut heard).unwrap();
        });
        assert!(heard == sent, "what came back from {target} differs");
    }
}

#[test]
fn all_shipped_scenarios_stand_side_by_side() {
    let Some(lab) = lab(scenario::builtin().unwrap(), 1) else { return };
    let clean = lab.paths().iter().find(|path| path.truth.name == "ecn-clean").unwrap();
    for &target in &clean.targets {
        assert!(connect(&lab, target, 80).is_ok());
    }
}

/// Starts the program at a scenario's vantage point; `None` where the lab cannot be made.
fn program(command: &[&str]) -> Option<Child> {
    drop(lab(written(""), 1)?);
    let mut lab = Command::new(LAB);
    lab.args(["run", "ecn-clean", "--"]).args(command);
    Some(lab.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn a_command_is_told_where_it_is_and_its_status_is_handed_on() {
    let script = "test -d /sys/class/net/$LAB_INTERFACE && cat $LAB_JOBS && exit 7";
    let Some(child) = program(&["sh", "-c", script]) else { return };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let jobs = String::from_utf8(output.stdout).unwrap();
    assert!(jobs.starts_with("{\"dip\":\"10.64.0.1\",\"lab_path\":\"ecn-clean\"}\n"), "{jobs}");
}

/// A process of the lab's command, watched from outside.
struct Watched(String);

impl Watched {
    fn is_gone(&self) -> bool {
        // Whoever adopts it may be slow to reap it; dead it is all the same.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0));
        status.map_or(true, |status| status.contains("State:\tZ"))
    }

    fn assert_gone_soon(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.is_gone() {
            assert!(Instant::now() < deadline, "{what} outlived the lab");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_killed_lab_takes_its_command_along_and_the_next_one_the_rest() {
    let script = "sleep 60 & echo $!; echo $$; exec sleep 60";
    let Some(mut child) = program(&["sh", "-c", script]) else { return };
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut watched = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        Watched(line.trim().to_string())
    };
    let (grandchild, command) = (watched(), watched());
    assert!(!command.is_gone() && !grandchild.is_gone());
    child.kill().unwrap();
    child.wait().unwrap();
    command.assert_gone_soon("the command");
    net::prepare().unwrap();
    grandchild.assert_gone_soon("what the command started");
}

#[test]
fn each_vantage_point_has_its_own_faults_and_names_are_targets() {
    let dropped =
        "[[rule]]\nhop = 2\nmatch = { vantage = 2, address = '10.64.0.1' }\naction = 'drop'\n";
    let Some(lab) = lab(written(dropped), 2) else { return };
    let fetch = |number: usize, name: &str| {
        let mut getent = Command::new("getent");
        lab.vantages()[number - 1].place(getent.args(["ahostsv4", name]));
        let found = String::from_utf8(getent.output().unwrap().stdout).unwrap();
        let address: IpAddr = found.split_whitespace().next().unwrap().parse().unwrap();
        let stream = lab.vantages()[number - 1]
            .enter(|| TcpStream::connect_timeout(&(address, 80).into(), Duration::from_millis(900)))
            .unwrap();
        (address.to_string(), stream.is_ok())
    };
    assert_eq!(lab.vantages().len(), 2);
    let (first, second) = ("10.64.0.1".to_owned(), "10.64.0.2".to_owned());
    assert_eq!(fetch(1, "test.lab"), (first.clone(), true));
    assert_eq!(fetch(2, "test.lab"), (first.clone(), false), "its packets are dropped");
    assert_eq!(fetch(2, "2.test.lab"), (second.clone(), true), "another address");
    let (anywhere, _) = fetch(1, "www.example.org");
    assert!([first, second].contains(&anywhere), "{anywhere}");
}
