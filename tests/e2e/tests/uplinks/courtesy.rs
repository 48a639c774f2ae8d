//! Courtesy where packets leave: a plugin asks for connections to others than its targets.

use std::process::Command;

use pathspider_e2e::temp_dir;
use pathspider_lab::net::{ip, nft};

use super::{Uplinks, flows, uplinks};

/// A target that is no special-purpose address.
const TARGET: &str = "8.8.8.8";

/// An ordinary address that asked not to be measured.
const BLOCKED: &str = "8.8.4.4";

/// What sends to this address: over a socket, and a forged packet.
fn plugins(to: &str) -> [Vec<&str>; 2] {
    [vec!["connector", "--connect", "tcp", "--to", to], vec!["forger", "--to", to]]
}

/// A run in which nothing leaves, for what goes to `to` is refused.
fn refused(uplinks: &Uplinks, arguments: &[&str], to: &str, reason: &str) {
    for plugin in plugins(to) {
        let what = format!("{plugin:?} {arguments:?}");
        let ended = uplinks.measure_with(arguments, &plugin, &[TARGET]);
        let counted = match reason {
            "blocklisted" => "1 not sent for the blocklist",
            _ => "1 not sent for their special-purpose address",
        };
        ended.expect(0, &["1 target in", counted]);
        let conditions = ["pathspider.not_sent:0", &format!("pathspider.refused:{to}")];
        assert_eq!(ended.records()[0].conditions, conditions, "{what}");
        for (address, flow) in flows(&ended, &what) {
            assert_eq!(address.to_string(), to, "{what}");
            assert_eq!((flow.spdr_state, &flow.rest["spdr_error"]), (1, &reason.into()), "{what}");
        }
        let mut counters = Command::new("nft");
        counters.args(["list", "table", "inet", "sent"]);
        let sent = uplinks.run(counters, "").stdout;
        assert!(sent.contains("counter packets 0 "), "{what}: {sent}");
    }
}

#[test]
fn nothing_goes_to_whom_courtesy_refuses() {
    let Some(uplinks) = uplinks("courtesy") else { return };
    ip(&uplinks.there, "addr add 8.8.8.8/32 dev lo\naddr add 8.8.4.4/32 dev lo\n").unwrap();
    // The machine's own network is no special-purpose one.
    uplinks.ip("addr add 9.9.9.9/26 dev first\n");
    let rules = "add table inet sent\n\
                 add chain inet sent out { type filter hook output priority 0; }\n\
                 add rule inet sent out meta l4proto tcp counter\n";
    nft(&uplinks.here, rules).unwrap();
    let list = temp_dir("courtesy-lists").join("blocklist");
    std::fs::write(&list, "8.8.4.0/24\n").unwrap();
    let by = ["-i", "first"];
    let blocklist = [&by[..], &["--blocklist", list.to_str().unwrap()]].concat();
    let special = [&by[..], &["--allow-special"]].concat();
    refused(&uplinks, &blocklist, BLOCKED, "blocklisted");
    refused(&uplinks, &blocklist, "64:ff9b::808:404", "blocklisted");
    for to in
        ["10.9.1.2", "127.0.0.1", "224.0.0.1", "255.255.255.255", "9.9.9.63", "9.9.9.0", "::1"]
    {
        refused(&uplinks, &by, to, "special_address");
    }
    for to in ["0.0.0.0", "::"] {
        refused(&uplinks, &special, to, "special_address");
    }
    // A target that is everybody's is none.
    let ended = uplinks.measure_with(&by, &plugins(TARGET)[0], &["9.9.9.63", "9.9.9.0"]);
    ended.expect(0, &["0 targets in", "2 skipped for their special-purpose address"]);
    // Nobody refuses these.
    for (arguments, to) in [(&by[..], BLOCKED), (&special[..], "10.9.1.2")] {
        for plugin in plugins(to) {
            let ended = uplinks.measure_with(arguments, &plugin, &[TARGET]);
            for (_, flow) in flows(&ended, to) {
                assert!(flow.spdr_state == 0 && flow.observed, "{plugin:?}: {flow:?}");
            }
        }
    }
}
