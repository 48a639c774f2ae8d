use super::*;

const PACKET: [u8; 2] = [0x45, 0];

fn frame(header: &[u8]) -> Vec<u8> {
    [header, &PACKET].concat()
}

fn found(link: Link, header: &[u8]) -> bool {
    link.ip_packet(&frame(header)) == Ok(Some(&PACKET[..]))
}

/// An Ethernet header with this after the addresses.
fn ethernet(rest: &[u8]) -> Vec<u8> {
    [&[0x66; 12][..], rest].concat()
}

#[test]
fn ethernet_with_tags_of_every_kind() {
    let tags = [0x81, 0, 0, 1, 0x88, 0xa8, 0, 2, 0x91, 0, 0, 3, 0x08, 0];
    let header = ethernet(&tags);
    assert!(found(Link::Ethernet, &header));
    assert_eq!(Link::Ethernet.ip_packet(&header[..20]), Err(Malformed::Link));
    let arp = frame(&ethernet(&[0x08, 0x06]));
    assert_eq!(Link::Ethernet.ip_packet(&arp), Ok(None));
}

#[test]
fn labels_of_any_depth() {
    let two = [0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64];
    assert!(found(Link::Ethernet, &ethernet(&two)));
    assert!(found(Link::Ethernet, &ethernet(&[&[0x81, 0, 0, 7][..], &two].concat())));
    assert!(found(Link::Mpls, &two[2..]));
    assert!(found(Link::Ppp, &[&[0x02, 0x81][..], &two[2..]].concat()));
    assert_eq!(Link::Ethernet.ip_packet(&ethernet(&two[..6])), Err(Malformed::Link));
}

#[test]
fn ethernet_over_labels() {
    let label = [0x88, 0x47, 0, 1, 1, 64];
    let inner = ethernet(&[0x08, 0]);
    let with_control_word = [&label[..], &[0, 0, 0, 9], &inner].concat();
    assert!(found(Link::Ethernet, &ethernet(&with_control_word)));
    // The address begins with the digit of IPv6, and is no IPv6 header all the same.
    let without = [&label[..], &[0x40; 12], &[0x08, 0]].concat();
    assert!(found(Link::Ethernet, &ethernet(&without)));
    let other = frame(&ethernet(&[&label[..], &[0x10; 12]].concat()));
    assert_eq!(Link::Ethernet.ip_packet(&other), Ok(None));
}

#[test]
fn frames_within_frames_end_soon() {
    // Both readings of what follows a label, with a control word and without one, find a label next.
    let level = [&[0; 12][..], &[0x88, 0x47], &[0, 0, 0x88, 0x47], &[0, 1, 1, 64]].concat();
    let whole = [&ethernet(&[0x88, 0x47, 0, 1, 1, 64])[..], &level.repeat(60)].concat();
    for end in [&ethernet(&[0x08, 0, 0x45, 0])[..], &[0; 30]] {
        let started = [&whole[..], &[0; 4], end].concat();
        assert_eq!(Link::Ethernet.ip_packet(&started), Ok(None));
    }
    let pseudowires = [&[0x88, 0x47, 0, 1, 1, 64][..], &[0; 4], &[0x66; 12]].concat();
    let nested = [&[0x66; 12][..], &pseudowires.repeat(60), &[0x08, 0, 0x45, 0]].concat();
    assert_eq!(Link::Ethernet.ip_packet(&nested), Ok(None));
    // No more than the stack holds.
    let tags = [&[0, 30, 0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0, 0, 5][..]].concat().repeat(20_000);
    assert_eq!(Link::Ethernet.ip_packet(&ethernet(&tags)), Err(Malformed::Link));
    let session = [&[0x88, 0x47, 0, 1, 1, 64][..], &[0; 4], &[0x66; 12]].concat();
    let session = [&session[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0, 0x21]].concat();
    assert!(found(Link::Ethernet, &ethernet(&session)), "PPPoE over labels");
}

#[test]
fn frames_with_a_length() {
    let snap = |kind: [u8; 2]| [&[0, 30, 0xaa, 0xaa, 3, 0, 0, 0][..], &kind].concat();
    assert!(found(Link::Ethernet, &ethernet(&snap([0x08, 0]))));
    let tagged = [&snap([0x81, 0])[..], &[0, 5, 0x86, 0xdd]].concat();
    assert!(found(Link::Ethernet, &ethernet(&tagged)));
    assert!(found(Link::Ethernet, &ethernet(&[0, 30, 6, 6, 3])));
    // A spanning tree's.
    let bridge = frame(&ethernet(&[0, 38, 0x42, 0x42, 3, 0, 0]));
    assert_eq!(Link::Ethernet.ip_packet(&bridge), Ok(None));
    let endless = frame(&ethernet(&snap([0, 8])));
    assert_eq!(Link::Ethernet.ip_packet(&endless), Ok(None));
    assert!(found(Link::Llc, &snap([0x08, 0])[2..]));
}

#[test]
fn other_mac_headers() {
    let backbone = [&[0x88, 0xe7, 0, 0, 0, 1][..], &[0x11; 12], &[0x08, 0]].concat();
    assert!(found(Link::Ethernet, &ethernet(&backbone)));
    let secured = |flags: u8, identifier: &[u8]| {
        [&[0x88, 0xe5, flags, 0, 0, 0, 0, 1][..], identifier, &[0x08, 0]].concat()
    };
    assert!(found(Link::Ethernet, &ethernet(&secured(0, &[]))));
    assert!(found(Link::Ethernet, &ethernet(&secured(0x20, &[1; 8]))));
    let hidden = frame(&ethernet(&secured(0x2c, &[1; 8])));
    assert_eq!(Link::Ethernet.ip_packet(&hidden), Ok(None));
    assert!(found(Link::Ethernet, &ethernet(&[0x89, 0x2f, 0, 1, 0, 2, 0x08, 0])));
}

#[test]
fn meshes_and_service_chains() {
    let inner = ethernet(&[0x81, 0, 0, 9, 0x08, 0]);
    for tag in [
        &[0x22, 0xf3, 0, 0, 0, 1, 0, 2][..],
        // With one word of options.
        &[0x22, 0xf3, 0, 0x40, 0, 1, 0, 2, 9, 9, 9, 9],
        &[0x89, 0x4f, 0x0f, 0xc2, 1, 3, 0, 0, 1, 255],
        &[0x43, 0x05, 0x40, 15, 50, 1, 2, 0, 0, 0, 0, 3],
        &[&[0x43, 0x05, 0x42, 15, 50, 1][..], &[2; 14]].concat(),
        &[&[0x43, 0x05, 0x01, 15, 50, 0][..], &[2; 10]].concat(),
        // Bridged by LLC.
        &[0, 90, 0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, 0, 0],
    ] {
        assert!(found(Link::Ethernet, &ethernet(&[tag, &inner].concat())), "{tag:x?}");
    }
    assert!(found(Link::Ethernet, &ethernet(&[0x89, 0x4f, 0, 3, 2, 1, 0, 0, 1, 255, 9, 9, 9, 9])));
    assert!(found(Link::Ethernet, &ethernet(&[0x89, 0x4f, 0, 2, 1, 5, 0, 0, 1, 255, 0, 1, 1, 64])));
    for other in [&[0x43, 0x05, 0, 15, 50, 1][..], &[0x89, 0x4f, 0, 2, 1, 9, 0, 0, 1, 255]] {
        assert_eq!(Link::Ethernet.ip_packet(&frame(&ethernet(other))), Ok(None), "{other:x?}");
    }
    // Each takes something off.
    let endless = [&[0x89, 0x4f][..], &[0, 0, 1, 4].repeat(40_000)].concat();
    assert!(Link::Ethernet.ip_packet(&ethernet(&endless)).is_err());
}

#[test]
fn cooked_captures() {
    assert!(found(Link::Sll, &[&[0; 14][..], &[0x86, 0xdd]].concat()));
    assert!(found(Link::Sll2, &[&[0x08, 0][..], &[0; 18]].concat()));
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0];
    assert!(found(Link::Sll, &[&[0; 14][..], &[0, 4], &snap].concat()));
    assert!(found(Link::Sll, &[&[0; 14][..], &[0x88, 0x47, 0, 1, 1, 64]].concat()));
}

#[test]
fn wireless_data_frames() {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0];
    let mac = |control: u8, flags: u8, octets: usize| {
        let mut header = vec![0; octets];
        (header[0], header[1]) = (control, flags);
        header
    };
    let whole = |mac: Vec<u8>| [mac, snap.to_vec()].concat();
    assert!(found(Link::Wireless, &whole(mac(0x08, 1, 24))));
    assert!(found(Link::Wireless, &whole(mac(0x88, 1, 26))), "with quality of service");
    assert!(found(Link::Wireless, &whole(mac(0x88, 0x83, 36))), "four addresses, a control field");
    let mesh = |flags: u8, addresses: usize| {
        let mut header = mac(0x88, 3, 32);
        header[31] = 1;
        [header, vec![flags, 31, 0, 0, 0, 7], vec![2; addresses * 6], snap.to_vec()].concat()
    };
    assert!(found(Link::Wireless, &mesh(0, 0)) && found(Link::Wireless, &mesh(2, 2)));
    let mut queued = mac(0x88, 3, 32);
    queued[31] = 1;
    assert!(found(Link::Wireless, &whole(queued)), "four addresses and no mesh");
    let radiotap = |fields: &[u8]| {
        let length = 4 + fields.len() as u8;
        [&[0, 0, length, 0][..], fields].concat()
    };
    let plain = radiotap(&[0, 0, 0, 0]);
    assert!(found(Link::Radiotap, &[plain.clone(), whole(mac(0x08, 1, 24))].concat()));
    let padded = radiotap(&[2, 0, 0, 0, 0x20]);
    assert!(found(Link::Radiotap, &[padded, whole(mac(0x88, 1, 28))].concat()));
    for (control, flags) in [(0x80, 0), (0x48, 1), (0x08, 0x41)] {
        let other = [plain.clone(), whole(mac(control, flags, 24)), PACKET.to_vec()].concat();
        assert_eq!(Link::Radiotap.ip_packet(&other), Ok(None), "{control:#x} {flags:#x}");
    }
    let ppi = [&[0, 0, 8, 0, 105, 0, 0, 0][..], &whole(mac(0x08, 1, 24))].concat();
    assert!(found(Link::Ppi, &ppi));
}

#[test]
fn firewall_logs() {
    // A prefix of three octets, padded, and the packet.
    let little = [2, 0, 0, 30, 7, 0, 10, 0, b'a', b'b', 0, 0, 6, 0, 9, 0];
    assert!(found(Link::Nflog, &little));
    let big = [10, 0, 0, 30, 0, 7, 0, 10, b'a', b'b', 0, 0, 0, 6, 0, 9];
    assert!(found(Link::Nflog, &big));
    assert_eq!(Link::Nflog.ip_packet(&little[..14]), Err(Malformed::Link));
    let bridge = [7, 0, 0, 30, 8, 0, 1, 0, 0x08, 0, 1, 0, 6, 0, 9, 0];
    assert!(found(Link::Nflog, &bridge));
    let tagged = [7, 0, 0, 30, 8, 0, 1, 0, 0x81, 0, 1, 0, 10, 0, 9, 0, 0, 5, 0x86, 0xdd];
    assert!(found(Link::Nflog, &tagged));
    assert_eq!(Link::Nflog.ip_packet(&frame(&[7, 0, 0, 30, 6, 0, 9, 0])), Ok(None));
    assert!(found(Link::Pflog, &[&[61, 2][..], &[0; 62]].concat()));
}

#[test]
fn loopback_of_either_byte_order() {
    assert!(found(Link::Null, &[2, 0, 0, 0]));
    assert!(found(Link::Null, &[0, 0, 0, 30]));
    assert_eq!(Link::Null.ip_packet(&frame(&[7, 0, 0, 0])), Ok(None));
}

#[test]
fn ppp_with_and_without_its_framing() {
    assert!(found(Link::Ppp, &[0xff, 3, 0, 0x21]));
    assert!(found(Link::Ppp, &[0x57]));
    assert!(found(Link::Pppoe, &[0x11, 0, 0, 1, 0, 4, 0, 0x21]));
    assert!(found(Link::CiscoHdlc, &[0x0f, 0, 0x08, 0]));
    // Each is found behind the other's number.
    assert!(found(Link::Ppp, &[0x8f, 0, 0x86, 0xdd]) && found(Link::CiscoHdlc, &[0xff, 3, 0x21]));
    // Bridged, with a LAN's number and without; and all of it on one of several links.
    for bridged in [&[0, 0x31, 0, 1][..], &[0x31, 0x40, 1, 0, 0, 0, 7]] {
        assert!(found(Link::Ppp, &[bridged, &ethernet(&[0x08, 0])].concat()));
    }
    for whole in [&[0, 0x3d, 0xc0, 0, 0, 1, 0, 0x21][..], &[0x3d, 0xc0, 1, 0xff, 3, 0x57]] {
        assert!(found(Link::Ppp, whole), "{whole:x?}");
    }
    assert_eq!(Link::Ppp.ip_packet(&frame(&[0, 0x3d, 0x80, 0, 0, 1, 0, 0x21])), Ok(None));
    let endless = [0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1].repeat(8_000);
    assert_eq!(Link::Ppp.ip_packet(&endless), Ok(None));
    assert_eq!(Link::Ppp.ip_packet(&frame(&[0xc0, 0x21])), Ok(None));
    assert_eq!(Link::Ppp.ip_packet(&[]), Err(Malformed::Link));
}

#[test]
fn frame_relay_of_each_encapsulation() {
    // Addresses of two and of four octets, with and without padding.
    for header in [
        &[0x18, 0x41, 3, 0xcc][..],
        &[0x18, 0x41, 3, 0, 0x8e],
        &[0x18, 0x40, 0x40, 0x05, 3, 0xcc],
        &[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 0x08, 0],
        &[0x18, 0x41, 3, 0xcf, 0, 0x21],
        &[0x18, 0x41, 0x08, 0],
        &[0x18, 0x41, 0x88, 0x47, 0, 1, 1, 64],
        &[&[0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7][..], &[0x66; 12], &[8, 0]].concat(),
    ] {
        assert!(found(Link::FrameRelay, header), "{header:x?}");
        assert!(found(Link::FrameRelayWithDirection, &[&[1][..], header].concat()));
    }
    // What is said of the link itself, and what belongs to others.
    for other in [&[0x00, 0x01, 3, 0x08, 0][..], &[0x18, 0x41, 3, 0xb1], &[0x18, 0x41, 1, 2]] {
        assert_eq!(Link::FrameRelay.ip_packet(&frame(other)), Ok(None), "{other:x?}");
    }
    assert_eq!(Link::FrameRelay.ip_packet(&[0x18]), Err(Malformed::Link));
    assert_eq!(Link::FrameRelay.ip_packet(&frame(&[0x18, 0x40, 0x40, 0x40])), Ok(None));
}

#[test]
fn tags_of_switches() {
    let behind = |tag: &[u8]| ethernet(&[tag, &[0x08, 0]].concat());
    let number = |number| Link::from_number(number).unwrap();
    assert!(found(number(281), &behind(&[0x20, 0, 0, 1])));
    assert!(found(number(284), &behind(&[0xc0, 0x08, 0, 1])));
    assert!(found(number(285), &behind(&[0xda, 0xda, 0, 0, 0xc0, 0x08, 0, 1])));
    assert!(found(number(282), &[&[0x20, 0, 0, 1][..], &ethernet(&[0x08, 0])].concat()));
    // Linux may show such a frame as Ethernet.
    assert!(found(Link::Ethernet, &behind(&[0xda, 0xda, 0, 0, 0xc0, 0x08, 0, 1])));
    assert!(found(Link::Ethernet, &behind(&[0xda, 0xdb, 0, 1])));
    assert_eq!(number(285).ip_packet(&behind(&[0xda, 0xda])), Err(Malformed::Link));
}

#[test]
fn fabric_path() {
    let inner = ethernet(&[0x81, 0, 0, 9, 0x08, 0]);
    let outer = ethernet(&[&[0x89, 0x03, 0x04, 0x60][..], &inner].concat());
    assert!(found(Link::Ethernet, &outer));
}

#[test]
fn other_tags_of_data_centres() {
    for tag in [
        &[0x89, 0x26, 0x80, 0x01, 0, 2][..],
        &[0x89, 0x3f, 0, 0, 0, 1, 0, 0],
        &[0x89, 0x09, 1, 1, 0, 1, 0, 42],
    ] {
        assert!(found(Link::Ethernet, &ethernet(&[tag, &[0x08, 0]].concat())), "{tag:x?}");
        let tagged = [tag, &[0x81, 0, 0, 5, 0x86, 0xdd]].concat();
        assert!(found(Link::Ethernet, &ethernet(&tagged)), "{tag:x?} and a VLAN");
    }
    let isl = [0, 90, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0, 14, 0, 1, 0, 0];
    assert!(found(Link::Ethernet, &ethernet(&[&isl[..], &ethernet(&[0x08, 0])].concat())));
    let discovery = frame(&ethernet(&[0, 90, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2, 180, 0, 0]));
    assert_eq!(Link::Ethernet.ip_packet(&discovery), Ok(None));
}

#[test]
fn rings_and_other_headers() {
    let number = |number| Link::from_number(number).unwrap();
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0];
    let behind = |octets: usize, rest: &[u8]| [&vec![0; octets][..], rest].concat();
    assert!(found(number(6), &behind(14, &snap)));
    let mut routed = behind(14, &[&[0x06, 0x10, 1, 2, 3, 4][..], &snap].concat());
    routed[8] = 0x80;
    assert!(found(number(6), &routed));
    let mut ring = behind(13, &snap);
    ring[0] = 0x54;
    assert!(found(number(10), &ring));
    ring[0] = 0x4f;
    assert_eq!(number(10).ip_packet(&ring), Ok(None), "a beacon, say");
    for (link, octets) in [(8, 16), (102, 24), (109, 12), (226, 24)] {
        assert!(found(number(link), &vec![0; octets]), "{link}");
        assert_eq!(number(link).ip_packet(&vec![0; octets - 1]), Err(Malformed::Link));
    }
    assert!(found(number(122), &behind(16, &snap)));
    assert!(found(number(106), &snap) && found(number(106), &[]));
    assert!(found(number(123), &[&[2, 0, 0, 5][..], &snap].concat()));
    assert!(found(number(123), &[&[1, 0, 0, 5, 0, 9][..], &ethernet(&[0x08, 0])].concat()));
    assert!(
        found(number(129), &[1, 2, 0, 0, 240]) && found(number(129), &[1, 2, 0, 0, 212, 0, 0, 7])
    );
    assert_eq!(number(129).ip_packet(&frame(&[1, 2, 0, 0, 212, 1, 0, 7])), Ok(None), "a part");
    assert!(found(number(7), &[1, 2, 240]) && found(number(7), &[1, 2, 196, 0, 0, 7]));
    assert!(found(number(138), &behind(16, &[0x08, 0])));
    assert!(found(number(182), &[0xc0, 1, 0x18, 0x41, 3, 0xcc]));
    assert_eq!(number(182).ip_packet(&frame(&[0x80, 1, 0x18, 0x41, 3, 0xcc])), Ok(None));
    assert!(found(number(143), &[&[0, 0, 0, 18, 0, 0][..], &ethernet(&[0x08, 0])].concat()));
    let longer = [&[1, 2, 0, 20, 9, 9, 0, 0][..], &ethernet(&[0x08, 0])].concat();
    assert!(found(number(143), &longer));
    assert_eq!(number(143).ip_packet(&frame(&[0xc0, 0, 0, 18, 0, 0])), Ok(None));
    let endace = |kind: u8, rest: &[u8]| [&[0; 8][..], &[kind], &[0; 7], rest].concat();
    let record = [&[0, 0][..], &ethernet(&[0x08, 0])].concat();
    assert!(found(number(197), &endace(2, &record)));
    let more = [&[0x83, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0][..], &record].concat();
    assert!(found(number(197), &endace(0x82, &more)), "two more headers");
    assert!(
        found(number(197), &endace(1, &[0x0f, 0, 0x08, 0])) && found(number(197), &endace(22, &[]))
    );
    assert_eq!(number(197).ip_packet(&frame(&endace(21, &[]))), Ok(None));
    for preamble in [241, 259, 274] {
        let before = if preamble == 241 { 4 } else { 0 };
        let start = [&vec![0x55; before + 7][..], &[0xd5], &ethernet(&[0x08, 0])].concat();
        assert!(found(number(preamble), &start), "{preamble}");
    }
    assert_eq!(number(274).ip_packet(&frame(&[0x55; 8])), Ok(None), "a part");
    let juniper = |flags: u8, rest: &[u8]| [b"MGC", &[flags][..], rest].concat();
    assert!(found(number(178), &juniper(1, &ethernet(&[0x08, 0]))));
    assert!(found(number(179), &juniper(0x80, &[0, 2, 9, 9, 0xff, 3, 0, 0x21])));
    assert!(found(number(180), &juniper(2, &[0, 0, 0, 2])), "the frame was taken off");
    assert!(found(number(181), &juniper(0, &[0x0f, 0, 0x08, 0])));
    assert!(found(number(240), &behind(4, &ethernet(&[0x08, 0]))));
    assert!(found(number(242), &behind(40, &[0x08, 0, 0, 0])));
    assert!(found(number(205), &behind(1, &[0x0f, 0, 0x08, 0])));
    let apple = |link: u8| vec![16, 0, 0, 0, 1, 0, 0, 0, link, 0, 0, 0, 0, 0, 0, 0];
    assert!(found(number(258), &[apple(1), ethernet(&[0x08, 0])].concat()));
    assert!(found(number(258), &apple(12)));
    assert_eq!(number(258).ip_packet(&frame(&apple(192))), Ok(None), "a header of a header");
}

#[test]
fn link_types_have_names() {
    for (number, name) in
        [(8, "SLIP"), (102, "SLIP_BSDOS"), (103, "PPP_BSDOS"), (106, "ATM_CLIP"), (107, "FRELAY")]
    {
        let start = format!("{number} ({name}: ");
        assert!(Link::name(number).starts_with(&start), "{}", Link::name(number));
    }
    assert!(Link::name(127).starts_with("127 (IEEE802_11_RADIO: "), "{}", Link::name(127));
    assert_eq!(Link::name(149), "149 (USER2: for private use)");
    assert!(Link::name(252).starts_with("252 (WIRESHARK_UPPER_PDU: "), "{}", Link::name(252));
    assert_eq!(Link::name(70_000), "70000");
}
