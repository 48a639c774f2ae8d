//! `pathspider observe`: sources, chains from plugins, signals, and exit statuses.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pathspider_e2e::{Ended, Program, built, temp_dir, wait_for_handlers, wait_until};
use serde_json::Value;

/// A SYN and its answer, raw IPv4, in the classic capture format.
fn capture() -> Vec<u8> {
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
    let packets = [packet(1, 2, [0, 9, 0, 80], 2, 64), packet(2, 1, [0, 80, 0, 9], 18, 57)];
    for (time, packet) in packets.into_iter().enumerate() {
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
    let unread = || rustix::io::ioctl_fionread(&input).unwrap();
    wait_until("it has read all", || unread() == 0);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
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
