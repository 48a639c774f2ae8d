//! Every kind of connection, against servers that behave and servers that do not.

mod carriage;
mod course;
mod fast_open;
mod place;
mod quic;

use std::io::Write;

use pathspider_e2e::FlowResult;
use pathspider_lab::scenario::Server;
use serde_json::{Value, json};

use place::{flow, forever, place, request};

/// State, reason and phase of a connection that failed.
fn failure(result: &FlowResult) -> (u64, &str, &str) {
    let word = |key| result.rest.get(key).and_then(Value::as_str).unwrap_or("none");
    (result.spdr_state, word("spdr_error"), word("spdr_phase"))
}

/// Whether the path carried a connection, where that is said.
fn carried(result: &FlowResult) -> Option<bool> {
    result.rest.get("spdr_carried").and_then(Value::as_bool)
}

#[test]
fn every_kind_has_its_answer() {
    let Some(place) = place("answers", &Server::default()) else { return };
    for (kind, port) in
        [("tcp", 80), ("http", 80), ("https", 443), ("dnstcp", 53), ("dnsudp", 53), ("quic", 443)]
    {
        let result = place.result(kind, port, &[]);
        assert_eq!(failure(&result), (0, "none", "none"), "{kind}: {result:?}");
        assert!(result.observed, "{kind}");
        assert_eq!((&result.rest["spdr_kind"], carried(&result)), (&json!(kind), Some(true)));
        assert_eq!(result.rest["dp"], port);
        let keys = ["http_response_code", "tls_info", "dns_info"].map(|k| result.rest.get(k));
        assert_eq!(keys[0].is_some(), kind.starts_with("http") || kind == "quic", "{kind}");
        assert_eq!(keys[1].is_some(), ["https", "quic"].contains(&kind), "{kind}");
        assert_eq!(keys[2].is_some(), kind.starts_with("dns"), "{kind}");
        if let Some(info) = keys[2] {
            let expected = json!({"query": "lab.example", "rcode": 0, "answers": 1,
                                  "truncated": false});
            assert_eq!(*info, expected);
            assert_eq!(result.rest["dns_response_valid"], true);
        }
    }
}

#[test]
fn the_certificate_and_the_version_of_http_are_recorded() {
    let Some(place) = place("certificate", &Server::default()) else { return };
    let plain = place.result("https", 443, &[]);
    let info = &plain.rest["tls_info"];
    assert_eq!((&info["sni"], &info["alpn"]), (&json!("lab.example"), &Value::Null));
    assert_eq!(info["version"], "TLSv1.3");
    assert!(info["cipher_suite"].as_str().unwrap().starts_with("TLS_"), "{info}");
    let certificate = &info["certificate"];
    assert_eq!(certificate["names"], json!(["lab.example"]));
    assert_eq!(certificate["subject"], certificate["issuer"]);
    assert!(certificate["not_before"].as_str() < certificate["not_after"].as_str());
    assert_eq!(certificate["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(plain.rest["http_info"]["version"], "HTTP/1.1");
    let h2 = place.result("https", 443, &["--alpn", "h2,http/1.1"]);
    assert_eq!(h2.rest["tls_info"]["alpn"], "h2");
    assert_eq!(h2.rest["http_info"]["version"], "HTTP/2.0");
    assert_eq!(h2.rest["http_response_body"], "pathspider lab, HTTP/2.0.\n");
    let unknown = place.result("https", 443, &["--alpn", "carrier-pigeon"]);
    assert_eq!(failure(&unknown), (1, "tls_alert", "tls"));
    assert_eq!(unknown.rest["tls_info"]["alert"], 120);
}

#[test]
fn tls_has_the_name_and_the_offer_that_a_measurement_asks_for() {
    let old = Server { tls13: false, ..Server::default() };
    let places = (place("tls", &Server::default()), place("tls-old", &old));
    let (Some(place), Some(old)) = places else { return };
    let tls = |arguments: &[&str]| {
        let result = place.result("https", 443, arguments);
        assert_eq!(failure(&result), (0, "none", "none"), "{result:?}");
        let info = &result.rest["tls_info"];
        assert_eq!(info["version"], "TLSv1.3");
        (info["sni"].clone(), info.get("ech").cloned())
    };
    assert_eq!(tls(&["--only-tls13"]), (json!("lab.example"), None));
    assert_eq!(tls(&["--ech-grease"]), (json!("lab.example"), Some(json!("grease"))));
    let other = tls(&["--ech-grease", "--server-name", "other.example", "--alpn", "h2"]);
    assert_eq!(other, (json!("other.example"), Some(json!("grease"))));
    // A server of TLS 1.2 alone has no version to choose.
    assert_eq!(failure(&old.result("https", 443, &[])), (0, "none", "none"));
    let refused = old.result("https", 443, &["--only-tls13"]);
    assert_eq!(failure(&refused), (1, "tls_alert", "tls"), "{refused:?}");
}

#[test]
fn an_upgrade_is_an_outcome() {
    let agrees = Server { h2c: true, alpn: vec!["http/1.1".into()], ..Server::default() };
    let Some(place) = place("upgrade", &agrees) else { return };
    let header = "Connection:Upgrade, HTTP2-Settings|Upgrade:h2c|HTTP2-Settings:AAMAAABk";
    let upgraded = place.result("http", 80, &["--header", header]);
    assert_eq!(failure(&upgraded), (0, "none", "none"), "{upgraded:?}");
    assert_eq!(upgraded.rest["http_response_code"], 101);
    let headers = upgraded.rest["http_response_header"].as_str().unwrap();
    assert!(headers.contains("upgrade: h2c\r\n"), "{headers}");
    assert_eq!(place.result("http", 80, &[]).rest["http_response_code"], 200);
    let old = place.result("https", 443, &["--alpn", "h2,http/1.1"]);
    assert_eq!(old.rest["tls_info"]["alpn"], "http/1.1");
    assert_eq!(old.rest["http_info"]["version"], "HTTP/1.1");
}

#[test]
fn requests_say_who_asks_whom() {
    let Some(place) = place("contact", &Server::default()) else { return };
    let port = place.tcp(|mut stream| {
        let asked = request(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", asked.len());
        let _ = stream.write_all(&asked);
    });
    let input = format!("{{\"dip\":\"127.0.0.1\",\"dp\":{port},\"domain\":\"www.example\"}}");
    let contact = "https://measure.example/about";
    let ended = place.connect(&["--contact", contact], &["--connect", "http"], &input);
    let result = flow(&ended);
    let asked = result.rest["http_response_body"].as_str().unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get / http/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nhost: www.example:{port}\r\n")), "{asked}");
    let agent = format!("\r\nuser-agent: pathspider/{} ({contact})\r\n", env!("CARGO_PKG_VERSION"));
    assert!(asked.contains(&agent), "{asked}");
    for bad in ["me\nX-Evil: 1", "", "(me)", "é"] {
        place.connect(&["--contact", bad], &[], "").expect(2, &["--contact", "ASCII"]);
    }
}

#[test]
fn bodies_are_capped_and_keep_every_octet() {
    let Some(place) = place("bodies", &Server::default()) else { return };
    let port = place.says(
        [&b"HTTP/1.0 404 No\r\nServer: caf\xe9\r\n\r\n"[..], &[0, 0xff, b'x'].repeat(10)].concat(),
    );
    let odd = place.result("http", port, &[]);
    assert_eq!(odd.rest["http_response_code"], 404);
    assert_eq!(odd.rest["http_info"], json!({"version": "HTTP/1.0", "body_truncated": false}));
    let body = json!({"base64": "AP94AP94AP94AP94AP94AP94AP94AP94AP94AP94"});
    assert_eq!(odd.rest["http_response_body"], body);
    // "server: caf", E9, CR, LF.
    assert_eq!(odd.rest["http_response_header"], json!({"base64": "c2VydmVyOiBjYWbpDQo="}));
    let long = place.tcp(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Without end: it is the client that has had enough.
        while stream.write_all(b"a\r\n0123456789\r\n").is_ok() {}
    });
    for (limit, kept) in [("25", 25), ("0", 0)] {
        let input = format!("{{\"dip\":\"127.0.0.1\",\"dp\":{long}}}");
        let ended = place.connect(&["--body-limit", limit], &["--connect", "http"], &input);
        let result = flow(&ended);
        assert_eq!(result.rest["http_info"]["body_truncated"], true);
        let body = result.rest["http_response_body"].as_str().unwrap();
        assert_eq!(*body, "0123456789".repeat(3)[..kept]);
    }
    assert_eq!(
        place.result("http", long, &[]).rest["http_response_body"].as_str().unwrap().len(),
        65_536
    );
}

#[test]
fn nobody_there_has_its_words() {
    let Some(place) = place("nobody", &Server::default()) else { return };
    for (kind, phase) in
        [("tcp", "connect"), ("http", "connect"), ("https", "connect"), ("dnstcp", "connect")]
    {
        let result = place.result(kind, 9, &[]);
        assert_eq!(failure(&result), (1, "refused", phase), "{kind}");
        assert!(result.observed, "{kind}");
    }
    assert_eq!(failure(&place.result("dnsudp", 9, &[])), (1, "port_unreachable", "request"));
    // Words come quickly; only the dead are waited for.
    place.script(
        "nft add table inet t; nft add chain inet t i '{ type filter hook input priority 0; }'; \
         nft add rule inet t i tcp dport 10 drop; nft add rule inet t i udp dport 10 drop; \
         nft add rule inet t i udp dport 11 reject with icmp host-unreachable; \
         nft add rule inet t i tcp dport 11 reject with icmp host-unreachable; \
         nft add chain inet t o '{ type filter hook output priority 0; }'; \
         nft add rule inet t o udp dport 12 drop",
    );
    for (kind, phase) in [("tcp", "connect"), ("https", "connect"), ("dnsudp", "request")] {
        let dead = place.result(kind, 10, &["--timeout", "0.3"]);
        assert_eq!(failure(&dead), (2, "timeout", phase), "{kind}");
        let unreachable = place.result(kind, 11, &[]);
        assert_eq!(failure(&unreachable), (1, "host_unreachable", phase), "{kind}");
    }
    assert_eq!(failure(&place.result("dnsudp", 12, &[])), (1, "prohibited", "connect"));
}

#[test]
fn a_query_that_is_lost_is_sent_again() {
    let Some(place) = place("again", &Server::default()) else { return };
    place.script(
        "nft add table inet t; nft add chain inet t i '{ type filter hook input priority 0; }'; \
         nft add rule inet t i udp dport 53 limit rate over 1/hour burst 1 packets accept; \
         nft add rule inet t i udp dport 53 drop",
    );
    let result = place.result("dnsudp", 53, &["--hold", "handshake"]);
    assert_eq!(failure(&result), (0, "none", "none"));
    assert_eq!(result.rest["pkt_fwd"], 2);
}

#[test]
fn servers_that_misbehave_have_their_words() {
    let Some(place) = place("misbehaving", &Server::default()) else { return };
    let resets = place.tcp(|mut stream| {
        request(&mut stream);
        // Closing with unread data resets.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let linger =
            rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO));
        linger.unwrap();
    });
    let closes = place.says(b"");
    let silent = place.tcp(|_stream| forever());
    let garbage = place.says(b"SSH-2.0-OpenSSH_9.9\r\n\x00\xff");
    let half = place.tcp(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    });
    let stalls = place.tcp(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        forever();
    });
    // protocol_version, as a fatal alert.
    let alerts = place.says([0x15, 3, 1, 0, 2, 2, 70]);
    // A ServerHello of TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA.
    let old = place
        .says([&[0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1][..], &[7; 32], &[0, 0, 0x2f, 0]].concat());
    for (kind, port, expected) in [
        ("http", resets, (1, "reset", "request")),
        ("https", resets, (1, "reset", "tls")),
        ("dnstcp", resets, (1, "reset", "request")),
        ("http", closes, (1, "closed", "request")),
        ("https", closes, (1, "closed", "tls")),
        ("dnstcp", closes, (1, "closed", "request")),
        ("http", silent, (2, "timeout", "request")),
        ("https", silent, (2, "timeout", "tls")),
        ("dnstcp", silent, (2, "timeout", "request")),
        ("http", garbage, (1, "bad_response", "request")),
        ("https", garbage, (1, "tls_error", "tls")),
        ("https", half, (1, "tls_error", "tls")),
        ("https", alerts, (1, "tls_alert", "tls")),
        ("https", old, (1, "tls_error", "tls")),
        ("http", half, (1, "closed", "request")),
        ("http", stalls, (2, "timeout", "request")),
    ] {
        let limit = if expected.0 == 2 { "0.5" } else { "60" };
        let result = place.result(kind, port, &["--timeout", limit]);
        assert_eq!(failure(&result), expected, "{kind} {result:?}");
        assert!(result.observed);
        // These sent nothing; whatever the others sent, it came.
        let is_silent = [resets, closes, silent].contains(&port);
        assert_eq!(carried(&result), Some(!is_silent), "{kind} {result:?}");
        if [half, stalls].contains(&port) && kind == "http" {
            assert_eq!(result.rest["http_response_code"], 200);
            assert_eq!(result.rest.get("http_response_body"), None);
        }
        if port == alerts {
            assert_eq!(result.rest["tls_info"]["alert"], 70);
        }
    }
}

#[test]
fn dns_responses_are_checked() {
    let Some(place) = place("dns", &Server::default()) else { return };
    let reply = |query: &[u8], flags: [u8; 2]| {
        let mut reply = query.to_vec();
        reply[2..4].copy_from_slice(&flags);
        reply
    };
    let refuses = place.udp(move |query| reply(query, [0x81, 0x85]));
    let bare = place.udp(|query| [&query[..2], &[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]].concat());
    let upper = place.udp(move |query| {
        let mut reply = reply(query, [0x83, 0x80]);
        reply[12..].make_ascii_uppercase();
        reply
    });
    for (port, rcode, truncated) in [(refuses, 5, false), (bare, 1, false)] {
        let info = &place.result("dnsudp", port, &[]).rest["dns_info"];
        assert_eq!((&info["rcode"], &info["truncated"]), (&json!(rcode), &json!(truncated)));
    }
    let seen = place.result("dnsudp", upper, &["--query", "www.example"]).rest.remove("dns_info");
    let info = json!({"query": "www.example", "rcode": 0, "answers": 0, "truncated": true});
    assert_eq!(seen, Some(info));
    let other_id = place.udp(move |query| {
        let mut reply = reply(query, [0x81, 0x80]);
        reply[0] ^= 1;
        reply
    });
    let other_name = place.udp(move |query| {
        let mut reply = reply(query, [0x81, 0x80]);
        reply[13] ^= 1;
        reply
    });
    let echo = place.udp(<[u8]>::to_vec);
    let short = place.udp(|query| query[..7].to_vec());
    let empty = place.udp(|_| Vec::new());
    for port in [other_id, other_name, echo, short, empty] {
        let result = place.result("dnsudp", port, &["--timeout", "0.5"]);
        assert_eq!((failure(&result), carried(&result)), ((2, "timeout", "request"), Some(false)));
        let info = json!({"query": "lab.example", "ignored": 1});
        assert_eq!(result.rest["dns_info"], info, "and no response");
    }
    let garbage = place.says(b"\0\x03abc");
    assert_eq!(failure(&place.result("dnstcp", garbage, &[])), (1, "bad_response", "request"));
    let cut = place.says(b"\0\x30abc");
    assert_eq!(failure(&place.result("dnstcp", cut, &[])), (1, "closed", "request"));
}

#[test]
fn datagrams_carry_what_their_socket_was_told() {
    let Some(place) = place("datagrams", &Server::default()) else { return };
    let marked = place.result("dnsudp", 53, &["--ecn", "1"]);
    assert_eq!(failure(&marked), (0, "none", "none"));
    assert_eq!(marked.rest["ecn_ect1_data_fwd"], true, "{marked:?}");
    assert_eq!(marked.rest["ecn_ect0_data_fwd"], false);
}

#[test]
fn settings_of_other_kinds_are_refused_by_name() {
    let Some(place) = place("settings", &Server::default()) else { return };
    for (arguments, word) in [
        (["tcp", "--fast-open"].as_slice(), "fast_open"),
        (&["dnsudp", "--fast-open"], "fast_open"),
        (&["http", "--alpn", "h2"], "alpn"),
        (&["https", "--alpn", "h2,"], "alpn"),
        (&["http", "--ech-grease"], "ech_grease"),
        (&["https", "--server-name", "a..example"], "server_name"),
        (&["http", "--query", "a.example"], "query"),
        (&["dnstcp", "--header", "A:b"], "headers"),
        (&["https", "--ecn", "1"], "ecn"),
        (&["dnstcp", "--query", "a..example"], "a..example"),
    ] {
        let plugin = [&["--connect"], arguments].concat();
        let ended = place.connect(&[], &plugin, "{\"dip\":\"127.0.0.1\"}");
        let records = ended.records();
        let said = records[0].spdr_error.as_deref().unwrap_or("none");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn a_thousand_at_a_time_of_every_kind() {
    let Some(place) = place("thousands", &Server::default()) else { return };
    let input: String =
        (0..1000).map(|i| format!("{{\"dip\":\"127.1.{}.{}\"}}\n", i / 250, 1 + i % 250)).collect();
    for kind in ["http", "https", "dnstcp", "dnsudp", "quic"] {
        let arguments = ["--connect", kind, "--timeout", "60"];
        let ended = place.connect(&["-w", "1000"], &arguments, &input);
        ended.expect(0, &["1000 targets"]);
        for record in ended.records() {
            let flow = &record.flow_results.as_ref().unwrap()[0];
            assert_eq!(failure(flow), (0, "none", "none"), "{kind} {}", record.dip);
            assert!(flow.observed, "{kind} {}", record.dip);
        }
    }
}
