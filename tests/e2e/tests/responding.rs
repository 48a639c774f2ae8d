//! The far end of a path that one owns: who learns which packets came (`docs/respond.md`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pathspider_arrivals::{Answer, Key, LENGTH, Mark, Match, PORT, Question, Sought};
use pathspider_e2e::{Ended, built, temp_dir, wait_until};
use pathspider_lab::net::{self, Namespace, Running};
use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass};

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
    let addresses = FAR.map(|address| match address.contains(':') {
        true => format!("addr add {address}/64 dev in0 nodad\n"),
        false => format!("addr add {address}/24 dev in0\n"),
    });
    net::ip(&far, &(addresses.concat() + "link set in0 up\nlink set lo up\n")).unwrap();
    (near, far)
}

/// A key's file, of this mode.
fn key_file(folder: &Path, mode: u32) -> std::path::PathBuf {
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
fn responder(far: &Namespace, key: &Path, options: &[&str]) -> Running {
    let mut command = Command::new(built("pathspider"));
    command.args(["respond", "--key"]).arg(key).args(options);
    far.place(&mut command);
    let mut started = Running::start(command.stderr(Stdio::piped())).unwrap();
    let mut said = BufReader::new(started.child().stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("answers at UDP port"), "{line}");
    // What it says later is not to hold it up.
    std::thread::spawn(move || for _ in said.lines() {});
    started
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
    let mut responder = responder(&far, &path, &["--rate-per-source", "1000"]);
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
            match to.is_ipv4() {
                true => set_ip_tos(&socket, 46 << 2 | 2).unwrap(),
                false => set_ipv6_tclass(&socket, 46 << 2 | 2).unwrap(),
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
    respond(&["--new-key", &file]).expect(8, &[&file]);
    fs::write(&path, "too short\n").unwrap();
    respond(&["--key", &file]).expect(7, &["has no key"]);
    respond(&["--key", "/dev/null"]).expect(7, &["is no file"]);
    respond(&["--key", "/nowhere/at/all"]).expect(7, &["/nowhere/at/all cannot be read"]);
    respond(&[]).expect(2, &["--key"]);
    fs::write(&path, Key::new_line().unwrap()).unwrap();
    respond(&["--key", &file, "-i", "nowhere0"]).expect(6, &["no interface \"nowhere0\""]);
    respond(&["--key", &file, "--rate", "0"]).expect(2, &["--rate"]);
}
