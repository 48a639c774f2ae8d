//! Recorded captures in every format, and what is said of damaged ones.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::io::{Cursor, Write};

use crate::wire::*;
use pathspider_observer::{Link, Settings, Source, SourceError, SourceOptions};

fn capture() -> Capture {
    Capture::raw()
        .at(0, tcp(There, SYN, &[], &[]))
        .at(1, tcp(Back, SYN | ACK, &[], &[]))
        .at(2, tcp(There, ACK, &[], b"x"))
}

fn open(file: Vec<u8>) -> Result<Source, SourceError> {
    Source::from_reader(Cursor::new(file), "x.pcap", &SourceOptions::default())
}

/// Reads a file; all of them hold the same packets.
fn check(what: &str, file: Vec<u8>) {
    let seen = see(open(file).unwrap(), &["basic"], &Settings::default());
    assert_eq!(seen.source, Ok(()), "{what}");
    let flow = seen.flow();
    assert_eq!((flow["pkt_fwd"].as_u64(), flow["pkt_rev"].as_u64()), (Some(2), Some(1)), "{what}");
    assert_eq!(flow["pkt_first"].as_f64(), Some(1_700_000_000.0), "{what}");
    assert_eq!(flow["pkt_last"].as_f64(), Some(1_700_000_000.002), "{what}");
}

#[test]
fn pcap_of_either_byte_order_and_precision() {
    let capture = capture();
    check("µs, little", capture.classic(0xa1b2_c3d4, 1_000, u32::to_le_bytes));
    check("µs, big", capture.classic(0xa1b2_c3d4, 1_000, u32::to_be_bytes));
    check("ns, little", capture.classic(0xa1b2_3c4d, 1, u32::to_le_bytes));
    check("ns, big", capture.classic(0xa1b2_3c4d, 1, u32::to_be_bytes));
}

/// A pcapng block.
fn block(kind: u32, body: &[u8], order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = order(padded as u32 + 12);
    let mut block = [order(kind), length].concat();
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

fn pcapng(order: fn(u32) -> [u8; 4], resolution: Option<u8>, units: i64) -> Vec<u8> {
    let word = |fields: &[u32]| fields.iter().flat_map(|&field| order(field)).collect::<Vec<u8>>();
    let pair = |high: u16, low: u16| {
        let both = if order(1) == [1, 0, 0, 0] { (low, high) } else { (high, low) };
        order(u32::from(both.0) << 16 | u32::from(both.1))
    };
    let mut file = block(0x0a0d_0d0a, &word(&[0x1a2b_3c4d, 1 << 16, !0, !0]), order);
    let mut interface = pair(RAW as u16, 0).to_vec();
    interface.extend(order(0));
    if let Some(resolution) = resolution {
        interface.extend(pair(9, 1));
        interface.extend([resolution, 0, 0, 0]);
    }
    // A block that nobody knows must be skipped.
    file.extend(block(0x0bad, &[1, 2, 3, 4, 5], order));
    file.extend(block(1, &interface, order));
    for (time, packet) in capture().packets {
        let ticks = (i128::from(time) * i128::from(units) / i128::from(SECOND)) as u64;
        let length = packet.len() as u32;
        let mut body = word(&[0, (ticks >> 32) as u32, ticks as u32, length, length]);
        body.extend(packet);
        file.extend(block(6, &body, order));
    }
    file
}

#[test]
fn pcapng_of_either_byte_order_and_any_resolution() {
    for order in [u32::to_le_bytes, u32::to_be_bytes] {
        check("µs", pcapng(order, None, 1_000_000));
        check("ns", pcapng(order, Some(9), 1_000_000_000));
        check("ms", pcapng(order, Some(3), 1_000));
    }
    let seen = see(
        open(pcapng(u32::to_le_bytes, Some(0x80 | 20), 1 << 20)).unwrap(),
        &["basic"],
        &Settings::default(),
    );
    assert_eq!(seen.flow()["pkt_first"].as_f64(), Some(1_700_000_000.0));
    for finest in [20, 0xff] {
        let file = pcapng(u32::to_le_bytes, Some(finest), 1);
        let seen = see(open(file).unwrap(), &["basic"], &Settings::default());
        assert_eq!((seen.flow()["pkt_fwd"].as_u64(), seen.source), (Some(2), Ok(())), "{finest}");
    }
}

#[test]
fn a_block_whose_length_leaves_the_padding_out_is_read() {
    let mut file = pcapng(u32::to_le_bytes, None, 1_000_000);
    // The block that nobody knows has five octets.
    let at = 28;
    assert_eq!(file[at..at + 8], [0xad, 0x0b, 0, 0, 20, 0, 0, 0]);
    (file[at + 4], file[at + 16]) = (17, 17);
    check("padding", file);
}

/// A section of two interfaces, of these link types, with clocks of microseconds. Packets are of an
/// interface, have a time in microseconds, and octets.
fn of_two_interfaces(links: [u32; 2], packets: &[(u32, i64, &[u8])]) -> Vec<u8> {
    let order = u32::to_le_bytes;
    let words = |fields: &[u32]| fields.iter().flat_map(|&f| order(f)).collect::<Vec<u8>>();
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, !0, !0]), order);
    for link in links {
        file.extend(block(1, &words(&[link, 0]), order));
    }
    for &(interface, time, packet) in packets {
        let length = packet.len() as u32;
        let fields = [interface, (time as u64 >> 32) as u32, time as u32, length, length];
        file.extend(block(6, &[&words(&fields)[..], packet].concat(), order));
    }
    file
}

#[test]
fn packets_of_interfaces_that_cannot_be_read_are_passed_over() {
    let (there, back) = (udp(There, b"q"), udp(Back, b"a"));
    let usb = 220;
    for foreign in [1, 82] {
        let packets = [(0, 1, &there[..]), (foreign, 2, &[1, 2, 3][..]), (0, 3, &back[..])];
        let options = SourceOptions { filter: Some("udp".into()), ..SourceOptions::default() };
        for options in [SourceOptions::default(), options] {
            let file = Cursor::new(of_two_interfaces([RAW, usb], &packets));
            let source = Source::from_reader(file, "x", &options).unwrap();
            let seen = see(source, &["basic"], &Settings::default());
            assert_eq!((seen.counters.packets, seen.counters.foreign), (3, 1));
            assert_eq!((&seen.flow()["pkt_fwd"], &seen.flow()["pkt_rev"]), (&1.into(), &1.into()));
            seen.source.unwrap();
        }
    }
}

#[test]
fn a_file_of_nothing_but_such_packets_is_refused() {
    let of = |interface| {
        let file = of_two_interfaces([220, 220], &[(interface, 1, &[1, 2, 3])]);
        see(open(file).unwrap(), &["basic"], &Settings::default()).source.unwrap_err().to_string()
    };
    assert_eq!(of(0), format!("x.pcap: frames of link type {} cannot be read", Link::name(220)));
    assert_eq!(of(82), "x.pcap describes no interface of any of its 1 packets");
}

#[test]
fn interfaces_whose_clocks_differ_cut_no_flow() {
    let (there, back) = (udp(There, b"q"), udp(Back, b"a"));
    let hour = 3_600_000_000;
    let packets: Vec<_> = (1..=10)
        .map(|k| if k % 2 == 1 { (0, k, &there[..]) } else { (1, hour + k, &back[..]) })
        .collect();
    let file = of_two_interfaces([RAW, RAW], &packets);
    let seen = see(open(file).unwrap(), &["basic"], &Settings::default());
    assert_eq!((&seen.flow()["pkt_fwd"], &seen.flow()["pkt_rev"]), (&5.into(), &5.into()));
    assert_eq!(seen.counters.clock_jumps, 1);
    assert!(seen.counters.to_string().contains("1 jump of the capture's clocks"));
}

#[test]
fn tunnels_are_looked_into_where_it_is_asked_for() {
    let inner = udp(There, b"q");
    let mut outer = vec![0x45, 0, 0, 24 + inner.len() as u8, 0, 0, 0, 0, 60, 47, 0, 0];
    outer.extend([192, 0, 2, 7, 192, 0, 2, 8, 0, 0, 8, 0]);
    outer.extend(inner);
    let file = of_two_interfaces([RAW, RAW], &[(0, 1, &outer)]);
    for (inside, protocol) in [(false, 47), (true, 17)] {
        let settings = Settings { inside, ..Settings::default() };
        let seen = see(open(file.clone()).unwrap(), &["basic"], &settings);
        assert_eq!(seen.flow()["proto"], protocol);
    }
}

#[test]
fn a_packet_that_a_converter_cut_is_used_as_far_as_it_goes() {
    let mut packet = tcp(There, SYN, &[], &[7; 100]);
    packet.truncate(44);
    let file = of_two_interfaces([RAW, RAW], &[(0, 1, &packet)]);
    let seen = see(open(file).unwrap(), &["basic", "tcp"], &Settings::default());
    assert_eq!(seen.flow()["sp"], OUR_PORT);
    assert_eq!(seen.counters.malformed_total(), 0);
}

#[test]
fn two_sections_of_different_byte_order_in_one_file() {
    let mut file = pcapng(u32::to_le_bytes, None, 1_000_000);
    file.extend(pcapng(u32::to_be_bytes, Some(9), 1_000_000_000));
    let seen = see(open(file).unwrap(), &["basic"], &Settings::default());
    assert_eq!(seen.flow()["pkt_fwd"], 4);
}

#[test]
fn compressed_files_are_known_by_content() {
    for file in [capture().file(), pcapng(u32::to_le_bytes, None, 1_000_000)] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&file).unwrap();
        check("gzip", gzip.finish().unwrap());
        check("zstd", zstd::encode_all(&file[..], 1).unwrap());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&file).unwrap();
        check("xz", xz.finish().unwrap());
    }
}

#[test]
fn a_truncated_file_says_where_after_everything_before_it() {
    let file = capture().file();
    for cut in [1, 40, 41 + 10] {
        let seen =
            see(open(file[..file.len() - cut].to_vec()).unwrap(), &["basic"], &Settings::default());
        assert_eq!(seen.counters.packets, 2);
        assert_eq!(seen.flows.len(), 1);
        let error = seen.source.unwrap_err();
        assert!(matches!(error, SourceError::Truncated { packet: 3, offset: 136, .. }), "{error}");
    }
    let whole = pcapng(u32::to_le_bytes, None, 1_000_000);
    let seen =
        see(open(whole[..whole.len() - 5].to_vec()).unwrap(), &["basic"], &Settings::default());
    assert_eq!(seen.counters.packets, 2);
    assert!(matches!(seen.source, Err(SourceError::Truncated { packet: 3, .. })));
}

#[test]
fn a_damaged_file_says_where_after_everything_before_it() {
    let mut file = capture().file();
    file[136 + 8..136 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let seen = see(open(file).unwrap(), &["basic"], &Settings::default());
    assert_eq!(seen.counters.packets, 2);
    assert_eq!(
        seen.source.unwrap_err().to_string(),
        "x.pcap is damaged at octet 136, packet 3: a packet of 4294967295 octets"
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(&capture().file()).unwrap();
    let mut file = gzip.finish().unwrap();
    let middle = file.len() - 12;
    file.truncate(middle);
    let seen = see(open(file).unwrap(), &["basic"], &Settings::default());
    assert!(seen.source.is_err());
}

#[test]
fn what_is_no_capture_is_refused() {
    let refused = |file: Vec<u8>| open(file).err().unwrap();
    assert!(matches!(refused(Vec::new()), SourceError::NotACapture { .. }));
    assert!(matches!(refused(b"#!/bin/sh".to_vec()), SourceError::NotACapture { .. }));
    let mut file = capture();
    file.link = 147;
    assert!(matches!(refused(file.file()), SourceError::LinkType { number: 147, .. }));
    let short = capture().file()[..20].to_vec();
    assert!(matches!(refused(short), SourceError::Truncated { what: "file header", .. }));
}

#[test]
fn every_link_type_leads_to_the_packet() {
    let ethernet = |types: &[u8]| [&[0; 12][..], types].concat();
    let cases: [(u32, Vec<u8>); 9] = [
        (1, ethernet(&[8, 0])),
        (1, ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 8, 0])),
        (113, [&[0; 14][..], &[8, 0]].concat()),
        (276, [&[8, 0][..], &[0; 18]].concat()),
        (228, Vec::new()),
        (0, vec![2, 0, 0, 0]),
        (108, vec![0, 0, 0, 2]),
        (9, vec![0xff, 3, 0, 0x21]),
        (50, vec![0x21]),
    ];
    for (link, header) in cases {
        let mut capture = capture();
        capture.link = link;
        for (_, packet) in &mut capture.packets {
            packet.splice(..0, header.iter().copied());
        }
        check(&format!("link type {link}"), capture.file());
    }
}

#[test]
fn a_filter_chooses_packets() {
    let options = SourceOptions {
        filter: Some("tcp[tcpflags] & tcp-syn != 0".into()),
        ..SourceOptions::default()
    };
    let source = Source::from_reader(Cursor::new(capture().file()), "x", &options).unwrap();
    assert_eq!(see(source, &["basic"], &Settings::default()).counters.packets, 2);
    let options = SourceOptions { filter: Some("no such".into()), ..options };
    let error = Source::from_reader(Cursor::new(capture().file()), "x", &options).err().unwrap();
    assert!(matches!(error, SourceError::Filter { .. }));
}
