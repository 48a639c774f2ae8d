//! `trace`: where on the path packets are harmed.

use pathspider_e2e::{Ended, Path, path};
use serde_json::Value;

/// Traces this many targets of a path, which has one of each version.
fn trace(path: &Path, targets: usize, options: &str) -> (Ended, Vec<Value>) {
    let jobs = path.jobs();
    let targets = jobs.lines().take(targets).map(|line| {
        let job: Value = serde_json::from_str(line).unwrap();
        job["dip"].as_str().unwrap().to_owned()
    });
    let targets = targets.collect::<Vec<String>>().join(" ");
    let script =
        format!("exec $PATHSPIDER trace -i lab0 --allow-special --json {options} {targets}");
    let ended = path.script(&script, "");
    let said = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (ended, said)
}

/// The findings of each target, as conditions say them.
fn findings(said: &Value) -> Vec<&str> {
    let found = said["findings"].as_array().unwrap().iter();
    found.map(|one| one["finding"].as_str().unwrap()).collect()
}

#[test]
fn what_is_changed_is_found_where_it_is_changed() {
    let scenario = "hops = 5\n\
        [[rule]]\nhop = 2\nmatch = { dscp = 46 }\naction = { dscp = 10 }\n\
        [[rule]]\nhop = 3\nmatch = { ecn = ['ect0'] }\naction = { ecn = 'not-ect' }";
    let Some(path) = path(scenario, 1) else { return };
    let (ended, said) = trace(&path, 2, "");
    ended.expect(14, &[]);
    assert_eq!(said.len(), 2);
    for one in &said {
        assert_eq!(findings(one), ["changed:ecn:4", "changed:dscp:3"], "{one}");
        assert_eq!((&one["impaired"], &one["arrived"]), (&true.into(), &true.into()), "{one}");
        let hops = one["hops"].as_array().unwrap();
        assert_eq!(hops.len(), 6, "{one}");
        assert_eq!(hops[5]["router"], one["dip"], "{one}");
        assert_eq!(hops[3]["features"][0]["what"][0], "ecn 2→0", "{one}");
        assert_eq!(hops[3]["features"][2]["was"], "unchanged", "{one}");
    }
    // Of a measurement: the SYN that asks for ECN comes as it is, the marks of data do not.
    let (ended, said) = trace(&path, 2, "--with ecn:1");
    ended.expect(14, &[]);
    let of = |what: &'static str| {
        said.iter().filter(move |one| one["hops"][0]["features"][0]["feature"] == what)
    };
    assert_eq!((said.len(), of("ecn").count(), of("ecn on data").count()), (4, 2, 2), "{said:?}");
    assert!(of("ecn").all(|one| findings(one).is_empty()), "{said:?}");
    for one in of("ecn on data") {
        assert_eq!(findings(one), ["changed:ecn:4"], "{one}");
        let hops = one["hops"].as_array().unwrap();
        assert_eq!(hops.len(), 6, "every hop, and the target: {one}");
        assert_eq!(hops[3]["features"][0]["what"][0], "ecn 2→0", "{one}");
        let sentence = "The ECN field is cleared between hops 3 and 4 (3 of 3 flows).";
        assert_eq!(one["sentences"][0], sentence, "{one}");
    }
    // What is not harmed on this path.
    let (ended, said) = trace(&path, 2, "--tcp-option 253");
    ended.expect(0, &[]);
    assert!(said.iter().all(|one| findings(one).is_empty()), "{said:?}");
}

#[test]
fn what_is_dropped_is_told_from_what_is_not() {
    let scenario = "hops = 4\n[[rule]]\nhop = 2\n\
        match = { protocol = 'tcp', flags = 'SYN !ACK ECE CWR' }\naction = 'drop'";
    let Some(path) = path(scenario, 1) else { return };
    let (ended, said) = trace(&path, 1, "--ecn --dscp 46");
    ended.expect(14, &[]);
    for one in &said {
        assert_eq!(findings(one), ["dropped:3"], "{one}");
        assert_eq!(one["findings"][0]["features"], serde_json::json!(["ECN"]), "{one}");
    }
}

#[test]
fn what_cannot_be_traced_is_said_in_one_line() {
    let scenario = "[[rule]]\nhop = 2\nmatch = { protocol = 'tcp' }\naction = 'drop'";
    let Some(path) = path(scenario, 1) else { return };
    let (ended, said) = trace(&path, 1, "--ecn --max-hops 4");
    ended.expect(9, &[]);
    for one in &said {
        let sentences = one["sentences"].to_string();
        assert!(sentences.contains("The target answered nothing"), "{one}");
    }
    let run = |arguments: &str| {
        path.script(&format!("exec $PATHSPIDER trace --allow-special {arguments}"), "")
    };
    let one_line = |ended: &Ended, status: i32, words: &str| {
        ended.expect(status, &[words]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    };
    one_line(&run("http://x.example/"), 2, "\"http://x.example/\"");
    one_line(&run("nowhere.invalid"), 7, "it has no address");
    one_line(&run("-i nowhere0 10.64.0.1"), 6, "nowhere0");
    one_line(&run("-i nowhere0 --with ecn 10.64.0.1"), 6, "nowhere0");
    one_line(&run("-i lab0 --with ecn:0 10.64.0.1"), 2, "the number of a configuration");
    one_line(&run("-i lab0 --with nowhere 10.64.0.1"), 3, "nowhere");
    let unprivileged = "exec env -u PATHSPIDER_STATE_DIR HOME=/nonexistent setpriv --bounding-set=-all \
                        --inh-caps=-all $PATHSPIDER trace -i lab0 --allow-special 10.64.0.1";
    one_line(&path.script(unprivileged, ""), 5, "CAP_NET_RAW");
    let special = path.script("exec $PATHSPIDER trace -i lab0 10.64.0.1", "");
    one_line(&special, 7, "--allow-special");
}
