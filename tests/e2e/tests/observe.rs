//! `pathspider observe`: sources, chains from plugins, signals, and exit statuses.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use pathspider_e2e::{Ended, Program, built, temp_dir, wait_for_handlers, wait_until};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::keeping::text;

/// A SYN and its answer, raw IPv4, in the classic capture format.
fn capture() -> Vec<u8> {
    flows(1)
}

/// As many of them as flows, from other ports.
fn flows(count: u16) -> Vec<u8> {
    let packet = |from: u8, to: u8, ports: [u8; 4], flags: u8, ttl: u8| {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, ttl, 6, 0, 0];
        packet.extend([192, 0, 2, from, 192, 0, 2, to]);
        packet.extend(ports);
        packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        packet
    };
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(field.to_le_bytes());
    }
    let packets = (9..9 + count).flat_map(|port| {
        let [high, low] = port.to_be_bytes();
        let (there, back) = ([high, low, 0, 80], [0, 80, high, low]);
        [packet(1, 2, there, 2, 64), packet(2, 1, back, 18, 57)]
    });
    for (time, packet) in packets.enumerate() {
        for field in [1_700_000_000, time as u32, 40, 40] {
            file.extend(field.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn saved(test: &str, file: &[u8]) -> PathBuf {
    let path = temp_dir(test).join("x.pcap");
    fs::write(&path, file).unwrap();
    path
}

fn observe(source: &Path, arguments: &[&str]) -> Ended {
    let plugins = source.parent().unwrap().join("plugins");
    let _ = fs::create_dir(&plugins);
    fs::copy(built("libchains.so"), plugins.join("acme.so")).unwrap();
    let mut command = Program::command(&["observe", "-i"]);
    command.arg(source).arg("--plugin-dir").arg(&plugins).args(arguments);
    command.output().unwrap().into()
}

fn only(end: &Ended) -> Value {
    assert_eq!(end.stdout.lines().count(), 1, "{}{}", end.stdout, end.stderr);
    serde_json::from_str(&end.stdout).unwrap()
}

#[test]
fn chains_of_a_plugin_work_like_the_librarys() {
    let source = saved("chains", &capture());
    let end = observe(&source, &["basic", "ttl"]);
    end.expect(0, &["2 packets", "1 flows"]);
    let flow = only(&end);
    assert_eq!((&flow["ttl_fwd"], &flow["ttl_rev"]), (&64.into(), &57.into()));
    assert_eq!(flow["sip"], "192.0.2.1");
    // The library has `tcp`; the plugin's takes its full name. Both go together.
    let flow = only(&observe(&source, &["tcp", "acme.tcp"]));
    assert_eq!((&flow["tcp_synflags_fwd"], &flow["segments"]), (&2.into(), &2.into()));
    let end = observe(&source, &["--list-chains"]);
    assert!(end.stdout.contains("acme.ttl: time to live"), "{}", end.stdout);
    observe(&source, &["nothing"]).expect(2, &["no chain \"nothing\"", "acme.tcp"]);
}

#[test]
fn a_chain_that_panics_spoils_no_other() {
    let source = saved("panics", &capture());
    let end = observe(&source, &["panics", "basic"]);
    end.expect(9, &["a chain failed on 1 flow: panicked: as asked"]);
    assert_eq!(only(&end)["pkt_rev"], 1);
}

#[test]
fn a_file_that_is_cut_short_gives_what_it_has() {
    let mut file = capture();
    file.pop();
    let source = saved("cut", &file);
    let end = observe(&source, &["basic"]);
    end.expect(7, &["is cut short: it ends within the packet at octet 80, packet 2"]);
    assert_eq!(only(&end)["pkt_fwd"], 1);
}

#[test]
fn an_interrupt_flushes_what_was_seen() {
    let mut command = Program::command(&["observe", "-i", "-", "basic"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The pipe stays open: only the signal ends it.
    let mut input = child.stdin.take().unwrap();
    input.write_all(&capture()).unwrap();
    wait_for_handlers(&child);
    wait_until("it has read all", || ioctl_fionread(&input).unwrap() == 0);
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::INT);
    let end: Ended = child.wait_with_output().unwrap().into();
    end.expect(10, &["2 packets"]);
    assert_eq!(only(&end)["pkt_fwd"], 1);
    drop(input);
}

#[test]
fn an_output_that_is_closed_has_its_own_status() {
    let source = saved("closed", &capture());
    let mut command = Program::command(&["observe", "basic", "-i"]);
    command.arg(&source).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command.stdout(writer).spawn().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8), "{stderr}");
    assert!(stderr.contains("cannot write to standard output"), "{stderr}");
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_second_signal_loses_no_flow() {
    for (name, signals) in [
        ("int.ndjson", &[Signal::INT, Signal::INT][..]),
        ("quit.ndjson", &[Signal::QUIT]),
        ("quit.ndjson.gz", &[Signal::QUIT]),
    ] {
        let path = temp_dir("observe-twice").join(name).display().to_string();
        let mut command = Program::command(&["observe", "-i", "-", "--output", &path, "basic"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The pipe stays open: only the signals end it.
        let mut input = child.stdin.take().unwrap();
        input.write_all(&flows(20_000)).unwrap();
        wait_for_handlers(&child);
        wait_until("it has read all", || ioctl_fionread(&input).unwrap() == 0);
        std::thread::sleep(Duration::from_millis(500));
        for &sent in signals {
            signal(&child, sent);
            std::thread::sleep(Duration::from_millis(3));
        }
        let end: Ended = child.wait_with_output().unwrap().into();
        let written = text(&path);
        let count = written.lines().count();
        assert!(count > 0 && written.ends_with('\n'), "{name}: {count} {}", end.stderr);
        assert!(written.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        end.expect(10, &[&format!(" {count} flows")]);
        drop(input);
    }
}

#[test]
fn a_reader_that_stalls_is_waited_for_until_a_second_signal() {
    let source = saved("observe-stalled", &flows(20_000));
    let mut command = Program::command(&["observe", "basic", "-i"]);
    command.arg(&source).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let held = || ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap();
    wait_until("the pipe is full", || held() > 60_000);
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_secs(4));
    assert!(child.try_wait().unwrap().is_none(), "it may be a pager");
    signal(&child, Signal::INT);
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    let end: Ended = child.wait_with_output().unwrap().into();
    end.expect(8, &["standard output took no more records; ", " finished ones are lost"]);
}
