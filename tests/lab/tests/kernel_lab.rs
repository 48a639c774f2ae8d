//! The kernel lab, from the vantage point, with nothing but connections: each fault does what its
//! name says, in IPv4 and IPv6, and the machine's own network stays as it was.
#![allow(clippy::unwrap_used)] // Helpers outside the test functions fail the test too.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use pathspider_lab::kernel::{INTERFACE, KernelLab, standard_groups};
use pathspider_lab::net;

/// Whether the test can run; where it cannot it says so, and fails when nobody reads that.
fn privileged() -> bool {
    if let Err(error) = net::prepare() {
        assert!(std::env::var_os("CI").is_none(), "{error}");
        eprintln!("SKIPPED: {error}");
        return false;
    }
    true
}

fn connect(lab: &KernelLab, address: SocketAddr) -> Result<TcpStream, ErrorKind> {
    lab.vantage()
        .enter(|| TcpStream::connect_timeout(&address, Duration::from_millis(700)))
        .unwrap()
        .map_err(|error| error.kind())
}

#[test]
fn every_fault_does_what_its_name_says() {
    if !privileged() {
        return;
    }
    let lab = KernelLab::new(standard_groups(300, 300)).unwrap();
    lab.vantage()
        .sysctls(&[("net.ipv4.tcp_ecn", "1"), ("net.ipv4.tcp_ecn_fallback", "0")])
        .unwrap();
    for group in lab.groups() {
        for address in [group.addresses().next().unwrap(), group.addresses().last().unwrap()] {
            let outcome = connect(&lab, (address, group.port()).into()).map(drop);
            let expected = match group.truth.name.as_str() {
                "ecn-syn-dropped" | "dead" => Err(ErrorKind::TimedOut),
                "ecn-syn-reset" => Err(ErrorKind::ConnectionRefused),
                _ => Ok(()),
            };
            assert_eq!(outcome, expected, "{} at {address}", group.truth.name);
        }
    }
    lab.vantage().sysctl("net.ipv4.tcp_ecn", "0").unwrap();
    for group in lab.groups().iter().filter(|group| group.truth.name != "dead") {
        let address = group.addresses().next().unwrap();
        let outcome = connect(&lab, (address, group.port()).into()).map(drop);
        assert_eq!(outcome, Ok(()), "{} at {address} without ECN", group.truth.name);
    }
}

#[test]
fn a_target_answers_http() {
    if !privileged() {
        return;
    }
    let lab = KernelLab::new(standard_groups(1, 0)).unwrap();
    let group = &lab.groups()[0];
    let address = group.addresses().next().unwrap();
    let mut stream = connect(&lab, (address, group.port()).into()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
        // The answer is one segment: it is small and written at once.
        let mut answer = [0; 1000];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\npathspider lab.\n"), "{answer}");
    }
}

#[test]
fn a_command_sees_the_vantage_point_and_the_machine_stays_as_it_was() {
    if !privileged() {
        return;
    }
    let addresses = || {
        let output = Command::new("ip").args(["-o", "addr"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = addresses();
    let lab = KernelLab::new(standard_groups(1, 1)).unwrap();
    let finished =
        lab.run(Command::new("test").args(["-d", &format!("/sys/class/net/{INTERFACE}")])).unwrap();
    assert!(finished.status.success());
    let finished = lab.run(Command::new("false").stdout(Stdio::null())).unwrap();
    assert_eq!(finished.status.code(), Some(1));
    assert_eq!(addresses(), before);
    drop(lab);
    assert_eq!(addresses(), before);
}
