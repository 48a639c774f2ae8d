//! What counts as an answer, over real paths: forged answers, sprayed ones, what is sent back. The
//! lab's scenarios have one of each kind; here is what they cannot show.

use pathspider_e2e::{Ended, Record, path};

/// Every record's conditions are these.
fn all_are(ended: &Ended, expected: &[&str]) -> Vec<Record> {
    ended.expect(0, &[]);
    let records = ended.records();
    assert!(!records.is_empty());
    for record in &records {
        let mut found: Vec<&str> = record.conditions.iter().map(String::as_str).collect();
        found.retain(|condition| !condition.starts_with("ecn.ipmark"));
        assert_eq!(found, expected, "{record:?}");
    }
    records
}

/// The baseline's SYN has answers sprayed at all ports, those of later connections too.
#[test]
fn answers_sprayed_before_anything_was_sent_decide_nothing() {
    let scenario = "server = { ecn = false }\n\
        [[rule]]\nhop = 2\nmatch = { protocol = 'tcp', flags = 'SYN !ACK !ECE' }\n\
        action = { forge-segment = { flags = 'SYN ACK ECE', acknowledgment-off = 99, \
        ports = '40000..40031' } }";
    let Some(path) = path(scenario, 2) else { return };
    let ended = path.script(
        "sysctl -qw net.ipv4.ip_local_port_range='40000 40031' && exec $PATHSPIDER measure \
         -i lab0 --allow-special --output-flows ecn",
        &path.jobs(),
    );
    all_are(&ended, &["ecn.connectivity.works", "ecn.negotiation.failed"]);
    ended.expect(0, &["answered nothing that was sent", "unasked"]);
}

#[test]
fn what_is_sent_back_is_not_what_was_sent() {
    let scenario = "[[rule]]\nhop = 2\nmatch = { protocol = 'tcp' }\n\
        action = { reflect = { dscp = 9 } }";
    let Some(path) = path(scenario, 2) else { return };
    let ended = path.script(
        "exec $PATHSPIDER measure -i lab0 --allow-special --output-flows dscp",
        &path.jobs(),
    );
    let works = ["dscp.0.replymark:0", "dscp.48.connectivity.works", "dscp.48.replymark:0"];
    for record in all_are(&ended, &works) {
        for (flow, mark) in record.flow_results.unwrap().iter().zip([0, 48]) {
            assert_eq!(flow.rest["dscp_mark_syn_fwd"], mark);
        }
    }
    ended.expect(0, &["reflected"]);
}

#[test]
fn what_answered_nothing_is_counted_in_the_metadata_and_saved() {
    let scenario = "server = { ecn = false }\n\
        [[rule]]\nhop = 2\nmatch = { protocol = 'tcp', flags = 'SYN !ACK' }\n\
        action = { forge-segment = { flags = 'SYN ACK ECE', acknowledgment-off = 99 } }";
    let Some(path) = path(scenario, 1) else { return };
    let folder = pathspider_e2e::temp_dir("answers");
    let folder = folder.display();
    let script = format!(
        "$PATHSPIDER measure -i lab0 --allow-special --output {folder}/o.ndjson \
         --save-pcap {folder}/o.pcap ecn && cat {folder}/o.ndjson.meta.json && \
         $PATHSPIDER observe -i {folder}/o.pcap tcp >&2"
    );
    let ended = path.script(&script, &path.jobs());
    ended.expect(0, &["acknowledgment"]);
    let metadata: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let counted = &metadata["runs"][0]["counts"]["capture"]["unanswering"];
    // Two targets, two connections each; the kernel resets each forged answer.
    assert_eq!((&counted["acknowledgment"], &counted["our_reset"]), (&4.into(), &4.into()));
    // They are in the capture: whoever merely observes it takes the first for the answer.
    assert!(ended.stderr.contains("\"tcp_synflags_rev\":82"), "{}", ended.stderr);
}
