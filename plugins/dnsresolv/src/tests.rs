//! Names looked up of servers that play a part.

mod server;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::hosts::Hosts;
use crate::lookup::{Failed, Family, Found, Lookup};
use crate::reason::Reason;
use crate::servers::Servers;
use server::{Asked, Reply, Server};

/// Enough for whatever answers; a test waits that long only where nothing does.
const LIMIT: Duration = Duration::from_secs(20);

/// So long where nothing is to answer.
const SHORT: Duration = Duration::from_millis(300);

fn lookup(servers: &[&Server], family: Family, limit: Duration) -> Lookup {
    let servers = Servers::new(servers.iter().map(|server| server.address));
    Lookup::new(servers, Hosts::default(), family, limit).unwrap()
}

fn ipv4(servers: &[&Server]) -> Lookup {
    lookup(servers, Family::Ipv4, LIMIT)
}

/// What a name has, or why it has nothing.
fn found(lookup: &Lookup, name: &str) -> String {
    match lookup.addresses(name) {
        Ok(Found { addresses, .. }) => {
            addresses.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(" ")
        }
        Err(failed) => failed.words(),
    }
}

/// The answer of a server that knows every name.
fn good(asked: &Asked) -> Reply {
    match asked.kind {
        RecordType::A => asked.addresses(&["192.0.2.7"]),
        _ => asked.addresses(&["2001:db8::7"]),
    }
}

fn silent(_: &Asked) -> Reply {
    Reply::Nothing
}

/// Cut off over UDP, as `tcp` says over TCP.
fn by_tcp(asked: &Asked, tcp: impl Fn(&Asked) -> Reply) -> Reply {
    if asked.over_tcp { tcp(asked) } else { asked.truncated() }
}

#[test]
fn both_families_are_found_of_servers_of_both() {
    for address in ["127.0.0.1", "::1"] {
        let server = Server::on(address, good);
        let lookup = lookup(&[&server], Family::Both, LIMIT);
        assert_eq!(found(&lookup, "a.example"), "192.0.2.7 2001:db8::7");
        assert_eq!(found(&lookup, "A.Example."), "192.0.2.7 2001:db8::7");
    }
}

#[test]
fn a_server_that_ends_connections_loses_no_name() {
    // It ends the connection after each answer; or the first two of each name without an answer.
    let after = Server::new(|asked| by_tcp(asked, |asked| good(asked).and_close()));
    let before = Server::new(|asked| {
        by_tcp(asked, |asked| if asked.times_over_tcp > 2 { good(asked) } else { Reply::Close })
    });
    for server in [after, before] {
        let lookup = ipv4(&[&server]);
        let wrong = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for thread in 0..4 {
                let (lookup, wrong) = (&lookup, &wrong);
                scope.spawn(move || {
                    for number in 0..20 {
                        let name = format!("n{number}.t{thread}.example");
                        let found = found(lookup, &name);
                        if found != "192.0.2.7" {
                            wrong.lock().unwrap().push((name, found));
                        }
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn connections_that_always_end_are_the_reason() {
    let server = Server::new(|asked| by_tcp(asked, |_| Reply::Close));
    assert_eq!(found(&ipv4(&[&server]), "a.example"), "truncated");
    let mut servers = Servers::new([server.address].into_iter());
    servers.over_tcp = true;
    let over_tcp = Lookup::new(servers, Hosts::default(), Family::Ipv4, LIMIT).unwrap();
    assert_eq!(found(&over_tcp, "a.example"), "connection closed");
}

#[test]
fn a_torn_answer_is_asked_for_over_tcp_and_else_is_the_reason() {
    let torn = |asked: &Asked| good(asked).cut(8);
    let udp_only = Server::new(move |asked| if asked.over_tcp { good(asked) } else { torn(asked) });
    assert_eq!(found(&ipv4(&[&udp_only]), "a.example"), "192.0.2.7");
    for length in [8, 20, 40] {
        let both = Server::new(move |asked| good(asked).cut(length));
        assert_eq!(found(&ipv4(&[&both]), "a.example"), "bad answer", "{length}");
    }
    // A message that ends within its length.
    let half = Server::new(|asked| by_tcp(asked, |asked| good(asked).announced(200).and_close()));
    assert_eq!(found(&ipv4(&[&half]), "a.example"), "truncated");
}

#[test]
fn of_two_servers_one_may_be_dead() {
    let alive = Server::new(good);
    for is_first in [false, true] {
        let dead = Server::new(silent);
        let servers = if is_first { [&dead, &alive] } else { [&alive, &dead] };
        let lookup = lookup(&servers, Family::Both, Duration::from_secs(3));
        for number in 0..20 {
            let name = format!("n{number}.example");
            assert_eq!(found(&lookup, &name), "192.0.2.7 2001:db8::7", "{name}");
        }
        // Only the first name has waited for it, for each family.
        assert_eq!(dead.asked().len(), if is_first { 2 } else { 0 }, "{:?}", dead.asked());
    }
}

#[test]
fn of_two_servers_one_may_not_listen() {
    let gone = Server::closed();
    let alive = Server::new(good);
    assert_eq!(found(&ipv4(&[&gone, &alive]), "a.example"), "192.0.2.7");
    assert_eq!(found(&ipv4(&[&gone, &gone]), "a.example"), "unreachable");
}

#[test]
fn a_truncated_answer_without_tcp_has_the_other_server_asked() {
    let refusing = Server::without_tcp(Asked::truncated);
    let alive = Server::new(good);
    assert_eq!(found(&ipv4(&[&refusing, &alive]), "a.example"), "192.0.2.7");
    assert_eq!(found(&ipv4(&[&refusing]), "a.example"), "truncated");
    // TCP that nothing comes of.
    let silent = Server::new(|asked| by_tcp(asked, silent));
    let both = lookup(&[&silent, &alive], Family::Ipv4, Duration::from_secs(3));
    assert_eq!(found(&both, "a.example"), "192.0.2.7");
    assert_eq!(found(&lookup(&[&silent], Family::Ipv4, SHORT), "a.example"), "truncated");
}

#[test]
fn errors_of_a_server_have_the_other_one_asked_and_fixed_words() {
    let alive = Server::new(good);
    for (code, words) in [
        (ResponseCode::ServFail, "server failure"),
        (ResponseCode::Refused, "server refused"),
        (ResponseCode::FormErr, "server error"),
        (ResponseCode::NotImp, "server error"),
    ] {
        let failing = Server::new(move |asked| asked.error(code));
        assert_eq!(found(&ipv4(&[&failing, &alive]), "a.example"), "192.0.2.7", "{code}");
        assert_eq!(found(&ipv4(&[&failing]), "b.example"), words);
        assert_eq!(failing.asked().len(), 3, "once, and twice");
        let dead = Server::new(silent);
        let both = lookup(&[&dead, &failing], Family::Ipv4, SHORT);
        assert_eq!(found(&both, "c.example"), words, "beside a dead one");
    }
    // It answers nothing, and asks nobody else.
    let lame = Server::new(Asked::lame);
    assert_eq!(found(&ipv4(&[&lame, &alive]), "a.example"), "192.0.2.7");
}

#[test]
fn what_is_known_of_a_name_is_asked_for_once() {
    let server = Server::new(|asked| match &*asked.name {
        "nobody.example." => asked.error(ResponseCode::NXDomain),
        _ => asked.addresses(&[]),
    });
    let other = Server::new(good);
    let lookup = lookup(&[&server, &other], Family::Both, LIMIT);
    assert_eq!(found(&lookup, "nobody.example"), "no such name");
    assert_eq!(found(&lookup, "empty.example"), "no address");
    assert_eq!((server.asked().len(), other.asked().len()), (4, 0));
}

#[test]
fn silence_is_a_time_out_and_a_lost_datagram_is_none() {
    let dead = Server::new(silent);
    assert_eq!(found(&lookup(&[&dead], Family::Both, SHORT), "a.example"), "time-out");
    assert!(dead.asked().len() <= 6, "{:?}", dead.asked());
    let lossy = Server::new(|asked| if asked.number == 0 { Reply::Nothing } else { good(asked) });
    let lookup = lookup(&[&lossy], Family::Ipv4, Duration::from_secs(3));
    assert_eq!(found(&lookup, "a.example"), "192.0.2.7");
}

#[test]
fn an_answer_counts_that_comes_after_another_server_was_asked() {
    let dead = Server::new(silent);
    let other = dead.names();
    let slow = Server::new(move |asked| match asked.number {
        0 => {
            // The other one does not answer.
            while other.lock().unwrap().is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
            good(asked)
        }
        _ => Reply::Nothing,
    });
    let lookup = lookup(&[&slow, &dead], Family::Ipv4, Duration::from_secs(3));
    assert_eq!(found(&lookup, "a.example"), "192.0.2.7");
}

#[test]
fn datagrams_that_answer_something_else_are_passed_over() {
    let server = Server::new(|asked| {
        Reply::Several(vec![
            asked.addresses(&["203.0.113.66"]).with_id(asked.id.wrapping_add(1)),
            asked.about("b.example.", &["203.0.113.66"]),
            asked.echo(),
            good(asked),
        ])
    });
    assert_eq!(found(&ipv4(&[&server]), "a.example"), "192.0.2.7");
}

#[test]
fn an_address_comes_once_and_only_if_a_host_may_have_it() {
    let server = Server::new(|asked| match &*asked.name {
        "twice.example." => asked.addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.1"]),
        "some.example." => asked.addresses(&["0.0.0.0", "192.0.2.1", "224.0.0.1"]),
        _ => asked.addresses(&["0.0.0.0", "255.255.255.255"]),
    });
    let lookup = ipv4(&[&server]);
    assert_eq!(found(&lookup, "twice.example"), "192.0.2.1 192.0.2.2");
    assert_eq!(found(&lookup, "some.example"), "192.0.2.1");
    assert_eq!(found(&lookup, "blocked.example"), "no usable address");
}

#[test]
fn an_address_of_version_4_that_is_written_as_one_of_version_6_comes_as_the_former() {
    let found = ["::ffff:192.0.2.1", "2001:db8::1", "192.0.2.1"].map(|text| text.parse().unwrap());
    let usable = crate::answer::usable(found.to_vec()).unwrap_or_default();
    let usable: Vec<String> = usable.iter().map(ToString::to_string).collect();
    assert_eq!(usable, ["192.0.2.1", "2001:db8::1"]);
}

#[test]
fn aliases_are_followed_in_any_order_and_asked_for() {
    let server = Server::new(|asked| match &*asked.name {
        "chain.example." => asked.records(&[
            ("b.example.", "192.0.2.1"),
            ("stranger.example.", "203.0.113.66"),
            ("a.example.", "b.example."),
            ("chain.example.", "A.example."),
        ]),
        "begun.example." => asked.records(&[("begun.example.", "rest.example.")]),
        "rest.example." => asked.addresses(&["192.0.2.2"]),
        "circle.example." => {
            asked.records(&[("circle.example.", "a.example."), ("a.example.", "circle.example.")])
        }
        "endless.example." => asked.records(&[("endless.example.", "endless2.example.")]),
        "endless2.example." => asked.records(&[("endless2.example.", "endless.example.")]),
        "stranger.example." => asked.records(&[("other.example.", "203.0.113.66")]),
        _ => asked.error(ResponseCode::NXDomain),
    });
    let lookup = ipv4(&[&server]);
    assert_eq!(found(&lookup, "chain.example"), "192.0.2.1");
    assert_eq!(found(&lookup, "begun.example"), "192.0.2.2");
    for none in ["circle.example", "endless.example", "stranger.example"] {
        assert_eq!(found(&lookup, none), "no address", "{none}");
    }
    assert!(server.asked().len() < 30, "{:?}", server.asked());
}

#[test]
fn the_reason_of_one_family_is_kept_beside_the_others_addresses() {
    let server = Server::new(|asked| match asked.kind {
        RecordType::A => good(asked),
        _ => asked.error(ResponseCode::ServFail),
    });
    let whole = lookup(&[&server], Family::Both, LIMIT).addresses("a.example").unwrap();
    assert_eq!((whole.addresses.len(), whole.missing), (1, Some(Reason::ServerFailure)));
    let server = Server::new(|asked| match asked.kind {
        RecordType::A => asked.addresses(&[]),
        _ => asked.error(ResponseCode::ServFail),
    });
    let failed = lookup(&[&server], Family::Both, LIMIT).addresses("a.example").unwrap_err();
    assert_eq!(failed, Failed(vec![Reason::NoAddress, Reason::ServerFailure]));
    assert_eq!(failed.words(), "no address; server failure");
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    let server =
        Server::new(
            |asked| if asked.has_edns { asked.error(ResponseCode::FormErr) } else { good(asked) },
        );
    let mut servers = Servers::new([server.address].into_iter());
    servers.edns = true;
    let lookup = Lookup::new(servers, Hosts::default(), Family::Ipv4, LIMIT).unwrap();
    assert_eq!(found(&lookup, "a.example"), "192.0.2.7");
}

#[test]
fn some_names_are_no_servers_business() {
    let server = Server::new(good);
    let hosts = "192.0.2.1 filed.example\n0.0.0.0 blocked.example\n";
    let servers = Servers::new([server.address].into_iter());
    let lookup = Lookup::new(servers, Hosts::read(hosts), Family::Both, LIMIT).unwrap();
    for (name, expected) in [
        ("filed.example", "192.0.2.1"),
        ("blocked.example", "no usable address"),
        ("localhost", "127.0.0.1 ::1"),
        ("a.localhost", "127.0.0.1 ::1"),
        ("nobody.invalid", "no such name"),
        ("hidden.onion", "no such name"),
        ("", "not a name"),
        ("an..empty", "not a name"),
        (&"x".repeat(64), "not a name"),
    ] {
        assert_eq!(found(&lookup, name), expected, "{name:?}");
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

#[test]
fn names_in_other_scripts_are_asked_for_in_their_form_for_dns() {
    let server = Server::new(good);
    assert_eq!(found(&ipv4(&[&server]), "bücher.example"), "192.0.2.7");
    assert_eq!(server.asked(), ["xn--bcher-kva.example."]);
}

#[test]
fn names_that_are_no_host_names_are_asked_for() {
    let server = Server::new(good);
    let lookup = ipv4(&[&server]);
    for name in ["x_y.example", "-x.example", "a-.b--c.example", "*.example", "_a._b.Example"] {
        assert_eq!(found(&lookup, name), "192.0.2.7", "{name}");
    }
    for name in ["a b.example", "a\t.example"] {
        assert_eq!(found(&lookup, name), "not a name", "{name:?}");
    }
}
