//! Fragments in any order, repeated, overlapping, too many: what becomes of their packets, in both
//! versions of IP.

use proptest::prelude::*;

use super::*;
use crate::dissect::dissect;

const SECOND: i64 = 1_000_000_000;

/// A datagram of this many octets of payload.
fn datagram(payload: usize) -> Vec<u8> {
    let length = (8 + payload) as u16;
    let mut datagram = [&[0, 53, 0x9c, 0x40][..], &length.to_be_bytes(), &[0, 0]].concat();
    datagram.extend((0..payload).map(|at| at as u8));
    datagram
}

/// The octets of a datagram from `at` on, as a fragment.
fn fragment(is_v6: bool, id: u16, at: usize, data: &[u8], more: bool) -> Vec<u8> {
    let place = at as u16 | u16::from(more);
    let mut packet = if is_v6 {
        let length = (8 + 8 + data.len()) as u16;
        let mut packet = [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[60, 60]].concat();
        packet.extend([0x20; 32]);
        // Destination options, then the fragment header.
        packet.extend([44, 0, 1, 4, 0, 0, 0, 0, 17, 0]);
        packet.extend([place.to_be_bytes(), [0, 0], id.to_be_bytes()].concat());
        packet
    } else {
        let unit = at as u16 / 8;
        let place = unit | u16::from(more) << 13;
        let length = (20 + data.len()) as u16;
        let mut packet = [&[0x45, 0x48][..], &length.to_be_bytes()].concat();
        packet.extend([id.to_be_bytes(), place.to_be_bytes(), [60, 17], [0, 0]].concat());
        packet.extend([198, 51, 100, 7, 192, 0, 2, 1]);
        packet
    };
    packet.extend(data);
    packet
}

/// A datagram's fragments, of this many octets each.
fn fragments(is_v6: bool, id: u16, datagram: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = datagram.len().div_ceil(size) - 1;
    let pieces = datagram.chunks(size).enumerate();
    pieces.map(|(n, data)| fragment(is_v6, id, n * size, data, n < last)).collect()
}

/// The packet that a fragment makes whole; how many were given up stays in `lost`.
fn add(
    parts: &mut Parts,
    packet: &[u8],
    captured: usize,
    time_ns: i64,
    lost: &mut u64,
) -> Option<Whole> {
    let mut dissected = Dissected::NONE;
    let _ = dissect(&packet[..captured], packet.len() as u32, &mut dissected);
    assert_ne!(dissected.fragment, Fragment::None);
    let (added, given_up) = parts.add(&dissected, time_ns);
    *lost += given_up;
    match added {
        Added::Whole(whole) => Some(whole),
        Added::Waits => None,
    }
}

/// What came of these fragments.
fn put_together(packets: &[Vec<u8>]) -> Vec<Whole> {
    let mut parts = Parts::default();
    let whole = packets.iter().filter_map(|one| add(&mut parts, one, one.len(), 0, &mut 0));
    let whole = whole.collect();
    assert!(parts.size <= ROOM);
    whole
}

/// Checks that a packet is this datagram.
fn is_whole(whole: &Whole, is_v6: bool, datagram: &[u8]) {
    let mut dissected = Dissected::NONE;
    dissect(&whole.octets, whole.length, &mut dissected).unwrap();
    assert_eq!([dissected.transport, dissected.payload].concat(), datagram);
    assert_eq!((dissected.fragment, dissected.tuple.is_v6), (Fragment::None, is_v6));
    assert_eq!((dissected.tuple.source_port, dissected.tuple.destination_port), (53, 40_000));
    assert_eq!(dissected.ip.len(), if is_v6 { 48 } else { 20 });
    assert_eq!(dissected.payload_length as usize, datagram.len() - 8);
}

proptest! {
    #[test]
    fn any_order_with_repeats_makes_the_packet_whole_once(
        is_v6 in any::<bool>(),
        payload in 1usize..200,
        size in prop::sample::select(vec![8usize, 16, 24, 104]),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let datagram = datagram(payload);
        prop_assume!(datagram.len() > size);
        let all = fragments(is_v6, 7, &datagram, size);
        let mut packets: Vec<Vec<u8>> = order.iter().map(|at| at.get(&all).clone()).collect();
        let random = put_together(&packets).len();
        // Whatever is missing still comes; the last of them makes it whole, or a repeat begins anew.
        packets.extend(all.iter().rev().cloned());
        let whole = put_together(&packets);
        prop_assert!(!whole.is_empty() && whole.len() <= random + 1);
        whole.iter().for_each(|whole| is_whole(whole, is_v6, &datagram));
    }

    #[test]
    fn any_octets_are_taken_without_harm(
        packets in prop::collection::vec(
            (any::<bool>(), 0u16..3, 0usize..100, 0usize..80, any::<bool>(), any::<u8>(), any::<prop::sample::Index>()),
            0..50,
        ),
    ) {
        let mut parts = Parts::default();
        for (is_v6, id, place, length, more, octet, at) in packets {
            let mut packet = fragment(is_v6, id, place * 8, &vec![octet; length], more);
            let at = at.index(packet.len());
            packet[at] ^= octet;
            let mut dissected = Dissected::NONE;
            let _ = dissect(&packet, packet.len() as u32, &mut dissected);
            if let (Added::Whole(whole), _) = parts.add(&dissected, 0) {
                let mut again = Dissected::NONE;
                let _ = dissect(&whole.octets, whole.length, &mut again);
            }
        }
        let size: usize = parts.waiting.values().map(Waiting::size).sum();
        prop_assert_eq!(parts.size, size);
    }
}

#[test]
fn a_first_fragment_without_a_whole_header_is_one() {
    // A TCP header needs three fragments of eight octets.
    for is_v6 in [false, true] {
        let datagram = datagram(30);
        let all = fragments(is_v6, 1, &datagram, 8);
        let whole = put_together(&all);
        assert_eq!(whole.len(), 1);
        is_whole(&whole[0], is_v6, &datagram);
        let wire: usize = all.iter().map(Vec::len).sum();
        assert_eq!(whole[0].wire as usize, wire);
    }
}

#[test]
fn in_version_6_the_first_fragment_has_the_transport_header() {
    // The header of TCP, and data.
    let mut segment = [0; 40];
    segment[12] = 0x50;
    for (size, is_v6, expected) in [(8, false, 1), (16, true, 0), (24, true, 1)] {
        let mut all = fragments(is_v6, 1, &segment, size);
        let at = if is_v6 { 48 } else { 9 };
        all.iter_mut().for_each(|fragment| fragment[at] = protocol::TCP);
        assert_eq!(put_together(&all).len(), expected, "{size} {is_v6}");
    }
}

#[test]
fn what_overlaps_or_ends_twice_is_no_packet() {
    for is_v6 in [false, true] {
        let datagram = datagram(40);
        let all = fragments(is_v6, 1, &datagram, 16);
        let others = [
            fragment(is_v6, 1, 8, &datagram[8..24], true),
            fragment(is_v6, 1, 0, &datagram[..24], true),
            fragment(is_v6, 1, 32, &datagram[32..40], false),
            fragment(is_v6, 1, 64, b"beyond", false),
        ];
        for other in others {
            let packets = [&all[0], &all[2], &other, &all[1]].map(Clone::clone);
            assert!(put_together(&packets).is_empty(), "{other:?}");
        }
        // What is all there is passed over, as Linux does.
        let mut repeated = all.clone();
        repeated.insert(2, fragment(is_v6, 1, 8, &datagram[8..24], true));
        assert_eq!(put_together(&repeated).len(), 1);
        // Another packet's fragments do not mix with it.
        let mut mixed = all.clone();
        mixed.insert(1, fragment(is_v6, 2, 8, &datagram[8..24], true));
        assert_eq!(put_together(&mixed).len(), 1);
    }
}

#[test]
fn what_the_snap_length_cut_off_is_missing_and_nothing_else() {
    let datagram = datagram(200);
    let all = fragments(false, 1, &datagram, 80);
    let mut parts = Parts::default();
    let cut = |packet: &Vec<u8>| packet.len().min(20 + 40);
    let mut whole = all.iter().filter_map(|one| add(&mut parts, one, cut(one), 0, &mut 0));
    let whole = whole.next().unwrap();
    let mut dissected = Dissected::NONE;
    dissect(&whole.octets, whole.length, &mut dissected).unwrap();
    assert_eq!(dissected.payload, &datagram[8..40]);
    assert_eq!(dissected.payload_length, 200);
}

#[test]
fn congestion_on_the_way_marks_the_whole() {
    for is_v6 in [false, true] {
        let datagram = datagram(40);
        let mut all = fragments(is_v6, 1, &datagram, 16);
        if is_v6 {
            all[1][1] |= 3 << 4
        } else {
            all[1][1] |= 3
        }
        let whole = put_together(&all);
        assert_eq!(traffic_class(&whole[0].octets) & 3, 3);
        is_whole(&whole[0], is_v6, &datagram);
    }
}

#[test]
fn the_rest_is_waited_for_as_long_as_the_kernel_does() {
    let datagram = datagram(40);
    for (is_v6, seconds) in [(false, 30), (true, 60)] {
        let all = fragments(is_v6, 1, &datagram, 32);
        for (late, expected) in [(0, true), (1, false)] {
            let (mut parts, mut lost) = (Parts::default(), 0);
            assert!(add(&mut parts, &all[0], all[0].len(), 0, &mut lost).is_none());
            let time_ns = seconds * SECOND + late;
            let whole = add(&mut parts, &all[1], all[1].len(), time_ns, &mut lost);
            assert_eq!((whole.is_some(), lost), (expected, late as u64));
        }
    }
}

#[test]
fn memory_is_bounded_and_what_is_given_up_is_counted() {
    let (mut parts, mut lost) = (Parts::default(), 0);
    let many = 3 * LIMIT as u64;
    for number in 0..many {
        let is_v6 = number % 2 == 0;
        let packet = fragment(is_v6, number as u16, 1_024, &[1; 1_024], true);
        assert!(add(&mut parts, &packet, packet.len(), number as i64, &mut lost).is_none());
        assert!(parts.size <= ROOM && parts.waiting.len() <= LIMIT);
    }
    assert_eq!(lost + parts.waiting.len() as u64, many);
    assert_eq!(parts.order.len(), parts.waiting.len());
    // One at the end of the longest packet.
    let packet = fragment(false, 9, 65_528, &[1; 8], false);
    assert!(add(&mut parts, &packet, packet.len(), 0, &mut lost).is_none());
}
