//! Servers that answer in odd ways, over paths that harm nothing: what reached us proves that the
//! path carried it, whatever became of the connection.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::thread;
use std::time::Duration;

use pathspider_e2e::{Program, Record};
use pathspider_lab::scenario::Server;
use serde_json::{Value, json};

use super::place::{Place, forever, place, request};
use super::{carried, failure};

/// Targets of each IP version: enough to meet each order of events on a socket.
const TARGETS: usize = 150;

/// A place whose servers are reached at many addresses of both IP versions.
fn roomy(test: &str) -> Option<Place> {
    let place = place(test, &Server::default())?;
    place.script(
        "ip -6 route add local fd00:99::/64 dev lo
         echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind",
    );
    Some(place)
}

/// The first so many addresses of each IP version.
fn addresses(each: usize) -> Vec<IpAddr> {
    let address = |n: usize| {
        let [high, low] = [n / 250, 1 + n % 250].map(|octet| octet as u8);
        let v6 = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, n as u16 + 1);
        [Ipv4Addr::new(127, 1, high, low).into(), v6.into()]
    };
    (0..each).flat_map(address).collect()
}

/// Measures that many targets at this port, half of them over IPv6, with a plugin that compares;
/// each condition of connectivity must be `works`.
fn all_work(place: &Place, port: u16, each: usize, plugin: &[&str]) -> Vec<Record> {
    all_work_by(200, place, port, each, plugin)
}

/// The same with this many targets at a time.
fn all_work_by(
    workers: usize,
    place: &Place,
    port: u16,
    each: usize,
    plugin: &[&str],
) -> Vec<Record> {
    let line = |address| format!("{{\"dip\":\"{address}\",\"dp\":{port}}}\n");
    let input: String = addresses(each).into_iter().map(line).collect();
    let workers = workers.to_string();
    let measure = ["measure", "-i", "lo", "--output-flows", "--allow-special", "-w", &workers];
    let ended = place.run(Program::command(&[&measure, plugin].concat()), &input);
    ended.expect(0, &[]);
    let records = ended.records();
    assert_eq!(records.len(), 2 * each);
    for record in &records {
        let is_connectivity = |condition: &&String| condition.contains(".connectivity.");
        let found: Vec<_> = record.conditions.iter().filter(is_connectivity).collect();
        let works = found.len() == 1 && found[0].ends_with(".works");
        assert!(works, "{plugin:?} {} {:?}", record.dip, record.flow_results);
    }
    records
}

/// Closes with a reset.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

#[test]
fn whoever_has_seen_the_handshake_has_connected() {
    let Some(place) = roomy("handshakes") else { return };
    for pause in [0, 2] {
        let port = place.any_tcp(move |stream| {
            // The time that a box on the path may take: the reset races what the client does.
            thread::sleep(Duration::from_millis(pause));
            reset(&stream);
        });
        for record in all_work(&place, port, TARGETS, &["ecn", "--connect", "tcp"]) {
            for flow in record.flow_results.unwrap() {
                assert_eq!((failure(&flow), carried(&flow)), ((0, "none", "none"), Some(true)));
                assert_eq!(flow.rest["tcp_connected"], true);
            }
        }
    }
    // What it was asked, the path did not carry back.
    let port = place.any_tcp(|stream| reset(&stream));
    let result = place.result("http", port, &[]);
    assert_eq!((failure(&result), carried(&result)), ((1, "reset", "request"), Some(false)));
}

#[test]
fn a_server_that_speaks_before_it_is_asked_has_answered() {
    let Some(place) = roomy("unasked") else { return };
    let answer = b"HTTP/1.1 503 Later\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let waits = place.any_tcp(move |mut stream| {
        let _ = stream.write_all(answer);
        request(&mut stream);
    });
    let closes = place.any_tcp(move |mut stream| {
        // With the request unread or still to come, this resets.
        let _ = stream.write_all(answer);
    });
    for port in [waits, closes] {
        for record in
            all_work(&place, port, TARGETS, &["ecn", "--connect", "http", "--timeout", "30"])
        {
            for flow in record.flow_results.unwrap() {
                assert_eq!((failure(&flow), carried(&flow)), ((0, "none", "none"), Some(true)));
                assert_eq!(flow.rest["http_response_code"], 503);
                assert_eq!(flow.rest["http_response_body"], "no");
            }
        }
    }
}

#[test]
fn responses_that_browsers_take_are_read_and_what_is_odd_is_told() {
    let Some(place) = roomy("lenient") else { return };
    let with = |header: &str| format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 2\r\n\r\nok");
    let many: String = (0..150).map(|n| format!("X-{n}: a\r\n")).collect();
    let read = |odd: Value| (Some(200), (0, "none", "none"), odd);
    let other = (None, (1, "bad_response", "request"), json!(["no_http"]));
    for (answer, (code, expected, odd)) in [
        (with(""), read(Value::Null)),
        (with("X-A : b\r\n"), read(json!(["header"]))),
        (with("Set-Cookie: a=b\r\n c; path=/\r\n"), read(json!(["header"]))),
        (with(" X-A: b\r\n"), read(json!(["header"]))),
        (with("oops\r\n"), read(json!(["header"]))),
        (with("X A: b\r\n"), read(json!(["header"]))),
        (with("X-A: \u{1}\r\n"), read(json!(["header"]))),
        (with("Content-Length: 3\r\n"), (Some(200), (1, "closed", "request"), json!(["header"]))),
        (with(&many), read(Value::Null)),
        (with("").replace("HTTP/1.1", "HTTP/2.0"), read(json!(["status_line"]))),
        ("ICY 200 OK\r\n\r\nx".into(), read(json!(["status_line"]))),
        ("<html></html>\n".into(), other.clone()),
        ("SSH-2.0-x\r\n".into(), other),
    ] {
        let port = place.any_tcp({
            let answer = answer.clone();
            move |mut stream| {
                request(&mut stream);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        for record in all_work(&place, port, 1, &["ecn", "--connect", "http"]) {
            for flow in record.flow_results.unwrap() {
                assert_eq!((failure(&flow), carried(&flow)), (expected, Some(true)), "{answer}");
                let found = flow.rest.get("http_response_code").and_then(Value::as_u64);
                assert_eq!(found, code, "{answer}");
                assert_eq!(flow.rest["http_info"].get("odd").unwrap_or(&Value::Null), &odd);
            }
        }
    }
}

#[test]
fn a_body_that_never_ends_was_carried() {
    let Some(place) = roomy("endless") else { return };
    let port = place.any_tcp(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let silent = place.any_tcp(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 2");
        forever();
    });
    for (port, code) in [(port, Some(200)), (silent, None)] {
        let plugin = ["ecn", "--connect", "http", "--timeout", "2"];
        for flow in
            all_work(&place, port, 3, &plugin).into_iter().flat_map(|r| r.flow_results.unwrap())
        {
            assert_eq!((failure(&flow), carried(&flow)), ((2, "timeout", "request"), Some(true)));
            let found = flow.rest.get("http_response_code").and_then(Value::as_u64);
            assert_eq!(found, code);
        }
    }
}

#[test]
fn an_old_serverhello_or_an_alert_was_carried() {
    let Some(place) = roomy("old-tls") else { return };
    // TLS_RSA_WITH_AES_128_CBC_SHA, which nobody offered.
    let hello = |minor: u8| {
        [&[0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor][..], &[7; 32], &[0, 0, 0x2f, 0]].concat()
    };
    // handshake_failure, as of a server that knows but a curve that nobody offered.
    let alert = vec![0x15, 3, 3, 0, 2, 2, 40];
    for (answer, word) in [
        (hello(1), "tls_error"),
        (hello(2), "tls_error"),
        (hello(3), "tls_error"),
        (alert, "tls_alert"),
    ] {
        let port = place.any_tcp(move |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(&answer);
        });
        for record in all_work(&place, port, 3, &["ecn", "--connect", "https"]) {
            for flow in record.flow_results.unwrap() {
                assert_eq!((failure(&flow), carried(&flow)), ((1, word, "tls"), Some(true)));
            }
        }
    }
}

/// The response without a record to a query (RFC 1035, section 4.1.1).
fn response(query: &[u8]) -> Vec<u8> {
    let mut response = query.to_vec();
    response[2..4].copy_from_slice(&[0x81, 0x83]);
    response
}

#[test]
fn datagrams_that_answer_no_query_of_ours_are_passed_over() {
    let Some(place) = roomy("foreign") else { return };
    type Change = fn(&mut Vec<u8>);
    let changes: [Change; 6] = [
        |response| response[0] ^= 1,
        |response| response[13] ^= 1,
        |response| response[2] &= 0x7f,
        |response| response.truncate(7),
        Vec::clear,
        |response| *response = b"\0".repeat(600),
    ];
    for change in changes {
        let port = place.each_udp(&addresses(3), move |[socket, _], query, client| {
            let mut foreign = response(query);
            change(&mut foreign);
            let _ = socket.send_to(&foreign, client);
            let _ = socket.send_to(&response(query), client);
        });
        for record in all_work(&place, port, 3, &["dscp", "--connect", "dnsudp", "--timeout", "30"])
        {
            for flow in record.flow_results.unwrap() {
                assert_eq!((failure(&flow), carried(&flow)), ((0, "none", "none"), Some(true)));
                let info = &flow.rest["dns_info"];
                assert_eq!((&info["rcode"], &info["ignored"]), (&json!(3), &json!(1)));
            }
        }
    }
    // From another port, nothing reaches the socket at all.
    let port = place.each_udp(&addresses(3), |[socket, other], query, client| {
        let _ = other.send_to(&response(query), client);
        let _ = socket.send_to(&response(query), client);
    });
    all_work(&place, port, 3, &["dscp", "--connect", "dnsudp", "--timeout", "30"]);
}

/// Of four ports, the kernel often gives B the one that A had.
#[test]
fn the_next_query_to_a_target_leaves_from_another_port() {
    let Some(place) = roomy("ports-udp") else { return };
    let port = place.each_udp(&addresses(8), |[socket, _], query, client| {
        let _ = socket.send_to(&response(query), client);
    });
    // Now that the servers have theirs.
    place.script("echo 50000 50003 >/proc/sys/net/ipv4/ip_local_port_range");
    // One target at a time, so that nobody waits for a free port.
    let measurement = ["dscp", "--connect", "dnsudp", "--timeout", "30"];
    let mut soon = 0;
    for record in all_work_by(1, &place, port, 8, &measurement) {
        // After a second the same port may come again.
        let [from, to] = record.time.unwrap().ends();
        if to.duration_since(from).unwrap() < Duration::from_secs(1) {
            let flows = record.flow_results.unwrap();
            assert_ne!(flows[0].rest["sp"], flows[1].rest["sp"]);
            soon += 1;
        }
    }
    assert!(soon > 0, "every target took longer than a second");
}

#[test]
fn over_tcp_too_only_the_response_to_the_query_counts() {
    let Some(place) = roomy("foreign-tcp") else { return };
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let port = place.any_tcp(move |mut stream| {
        let query = request(&mut stream).split_off(2);
        let mut other = response(&query);
        other[0] ^= 1;
        let _ = stream.write_all(&[framed(&other), framed(&response(&query))].concat());
    });
    for record in all_work(&place, port, 3, &["ecn", "--connect", "dnstcp"]) {
        for flow in record.flow_results.unwrap() {
            assert_eq!((failure(&flow), carried(&flow)), ((0, "none", "none"), Some(true)));
            assert_eq!(flow.rest["dns_info"]["ignored"], 1);
        }
    }
}
