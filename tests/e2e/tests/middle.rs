//! Boxes on the way that keep state: proxies, translators, and tables of connections that are full.

use pathspider_e2e::{AnsweredFrom, Network, Record, names, network, path};

fn measured(network: &Network, arguments: &[&str], input: &str) -> Vec<Record> {
    let end = network.measure(arguments, input);
    end.expect(0, &[]);
    end.records()
}

/// The first lines of an input.
fn some(input: &str, count: usize) -> String {
    input.lines().take(count).map(|line| format!("{line}\n")).collect()
}

/// The router answers in the place of targets that are dead, and of those behind a translator.
#[test]
fn from_how_far_answers_came_hints_at_who_answered() {
    let Some(network) = network(2, 2) else { return };
    let from = |ttl: u8| {
        let hops = vec![64 - ttl];
        Some(AnsweredFrom { ttl: vec![ttl], hops, other_ttl: vec![ttl], prefix_hops: vec![] })
    };
    let dead = network.jobs("dead");
    for record in measured(&network, &["ecn", "--timeout", "1"], &some(&dead, 1)) {
        assert_eq!((record.answered_from, record.translated), (None, None));
    }
    let _proxy = network.serve_on_path(80);
    let targets: Vec<String> = network.targets("dead").iter().map(ToString::to_string).collect();
    let (two, six) = (targets[..2].join(", "), targets[2..].join(", "));
    network
        .script_on_path(&format!(
            "nft add table inet proxy && \
             nft add chain inet proxy to '{{ type nat hook prerouting priority dstnat; }}' && \
             nft add rule inet proxy to ip daddr '{{ {two} }}' tcp dport 80 redirect && \
             nft add rule inet proxy to ip6 daddr '{{ {six} }}' tcp dport 80 redirect && \
             ip -6 route add local 64:ff9b::/96 dev lo"
        ))
        .expect(0, &[]);
    for record in measured(&network, &["ecn"], &dead) {
        assert!(record.has("ecn.connectivity.works"), "{record:?}");
        assert_eq!(record.answered_from, from(64), "{}", record.dip);
    }
    for record in measured(&network, &["ecn"], &network.jobs("clean")) {
        assert_eq!((record.answered_from, record.translated), (from(63), None), "{}", record.dip);
    }
    // A refusal is an answer too.
    let closed = network.jobs("clean").replace("\"dp\":80", "\"dp\":81");
    for record in measured(&network, &["ecn", "--connect", "tcp"], &closed) {
        let answered = record.answered_from.unwrap();
        assert_eq!((answered.ttl, answered.other_ttl), (vec![63], vec![]), "{}", record.dip);
    }
    for record in measured(&network, &["ecn"], "{\"dip\":\"64:ff9b::198.51.100.7\",\"dp\":80}\n") {
        assert_eq!(record.translated.as_deref(), Some("64:ff9b::/96"));
        assert_eq!(record.answered_from, from(64));
    }
}

/// The network's own prefix is what its resolver makes of a name that has addresses of IPv4 alone.
#[test]
fn a_networks_own_translator_is_known_by_its_resolver() {
    let Some(network) = names("translated", 1) else { return };
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special ecn";
    let input = "{\"dip\":\"fd00:64::1\"}\n";
    let end = network.script(&network.targets(), script, input);
    end.expect(0, &["1 target "]);
    assert_eq!(end.records()[0].translated.as_deref(), Some("fd00:64::/96"), "{}", end.stdout);
    let input = format!("{{\"dip\":\"{}\"}}\n", network.targets()[0]);
    let end = network.script(&network.targets(), script, &input);
    assert_eq!(end.records()[0].translated, None);
}

const CHANCE: &str = "connections fail by chance";

/// A box on the way refuses the connections that find no place in its table, of A and of B alike.
#[test]
fn a_full_table_of_connections_on_the_way_is_named() {
    // Half of the connections find a place. How long they take decides which.
    let scenario = "[targets]\nversions = ['ipv4']\n\
        [[rule]]\nhop = 1\naction = { delay = { millis = 1, jitter-millis = 200 } }\n\
        [[rule]]\nhop = 2\naction = { table = { places = 50, millis = 500 } }";
    let Some(path) = path(scenario, 200) else { return };
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special --rate 200 ecn --connect tcp";
    let end = path.script(script, &path.jobs());
    end.expect(0, &["the other way round", CHANCE, "a box whose table of connections is full"]);
}

/// What is broken for some targets fails them each time: that is no chance.
#[test]
fn what_is_broken_for_some_targets_is_not_called_chance() {
    let Some(network) = network(20, 0) else { return };
    let paths = ["clean", "ecn-syn-reset", "server-without-ecn", "ecn-syn-dropped", "dead"];
    let mixed: String = paths.iter().map(|path| network.jobs(path)).collect();
    let end = network.measure(&["ecn", "--connect", "tcp", "--timeout", "1"], &mixed);
    end.expect(0, &["100 targets"]);
    assert!(end.records().iter().any(|record| record.has("ecn.connectivity.broken")));
    assert!(!end.stderr.contains(CHANCE), "{}", end.stderr);
}
