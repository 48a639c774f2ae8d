//! How fast all places are together, seen on the wire, and how soon they stop.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use pathspider_e2e::wait_until;

use super::rig::{Fleet, Nats, records};

/// A connection, as the capture shows it.
#[derive(Debug, Clone)]
struct Start {
    /// When its first packet was seen.
    at: f64,
    place: String,
    target: String,
}

/// All connections of these places, in the order of their first packets.
fn starts(output: &Path, places: &[&str]) -> Vec<Start> {
    let mut starts = Vec::new();
    for place in places {
        for time in fs::read_dir(output.join(place)).unwrap() {
            for record in records(&time.unwrap().path().join("1-dscp")) {
                for flow in record["flow_results"].as_array().unwrap() {
                    // Nothing was sent to whom the blocklist has.
                    let Some(at) = flow["pkt_first"].as_f64() else { continue };
                    let target = flow["dip"].as_str().unwrap().to_owned();
                    starts.push(Start { at, place: (*place).to_owned(), target });
                }
            }
        }
    }
    starts.sort_by(|a, b| a.at.total_cmp(&b.at));
    starts
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn campaign(rate: u32) -> String {
    format!(
        "name = 'slow'\ntargets = 'targets.ndjson'\nallow_special = true\nrate = {rate}\n\
         [[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\nflows = true\n"
    )
}

#[test]
fn all_places_together_keep_the_rate_when_they_come_and_go() {
    let Some(fleet) = Fleet::new("fleet-rate", 80, Nats::Current, &[]) else { return };
    let rate = 60;
    fleet.submit(&campaign(rate), "20");
    let first = fleet.agent("a", &[]);
    wait_until("a result is there", || fleet.results("slow") >= 1);
    let second = fleet.agent("b", &[]);
    // The place joins: from then on the rate is shared out, whoever is killed.
    second.wait_for("campaign slow");
    first.kill();
    let first = fleet.agent("a", &[]);
    let output = fleet.collect("slow", &["a", "b"], &["0001/1-dscp"]);
    let times: Vec<f64> = starts(&output, &["a", "b"]).iter().map(|start| start.at).collect();
    assert_eq!(times.len(), 2 * 2 * 80);
    for (at, first) in times.iter().enumerate() {
        let within = times[at..].partition_point(|time| time - first < 1.0);
        assert!(f64::from(within as u32) <= f64::from(rate) * 1.2, "{within} in a second");
    }
    first.end();
    second.end();
}

#[test]
fn a_pause_and_another_blocklist_are_obeyed_in_mid_run() {
    let Some(fleet) = Fleet::new("fleet-pause", 60, Nats::Debian, &[]) else { return };
    fleet.submit(&campaign(30), "10");
    let agent = fleet.agent("a", &[]);
    wait_until("a result is there", || fleet.results("slow") >= 1);
    fleet.patiently(&["pause", "slow"]).expect(0, &["slow is paused"]);
    let asked = now();
    wait_until("nothing is measured", || fleet.status("slow")["places"][0]["measuring"].is_null());
    let paused = now();
    // So long that somebody who went on would be seen.
    sleep(Duration::from_millis(500));
    // Those that come last are blocked meanwhile.
    let targets = fleet.network.targets("clean");
    let blocked: BTreeSet<String> = targets[30..].iter().map(ToString::to_string).collect();
    let list = fleet.folder.join("blocklist");
    fs::write(&list, blocked.iter().cloned().collect::<Vec<_>>().join("\n")).unwrap();
    let list = list.display().to_string();
    fleet.patiently(&["blocklist", "slow", "--file", &list]).expect(0, &["another blocklist"]);
    let resumed = now();
    fleet.patiently(&["resume", "slow"]).expect(0, &["slow goes on"]);
    let output = fleet.folder.join("out");
    let shown = output.display().to_string();
    fleet
        .patiently(&["collect", "slow", "--wait", "--output", &shown])
        .expect(0, &["all there are"]);
    let starts = starts(&output, &["a"]);
    let in_pause = starts.iter().filter(|start| (paused..resumed).contains(&start.at)).count();
    assert_eq!(in_pause, 0, "asked at {asked}, paused at {paused}: {starts:?}");
    let last = starts.iter().rfind(|start| start.at < resumed).unwrap();
    assert!(
        last.at - asked < 5.0,
        "a pause is obeyed within five seconds: {last:?}, asked {asked}"
    );
    let after = |target: &str| starts.iter().any(|of| of.at >= resumed && of.target == target);
    assert!(blocked.iter().all(|target| !after(target)), "{starts:?}");
    assert!(
        targets[..30].iter().all(|target| starts.iter().any(|of| of.target == target.to_string()))
    );
    agent.end();
}

#[test]
fn a_blocklist_that_comes_while_all_goes_on_is_obeyed_within_ten_seconds() {
    let Some(fleet) = Fleet::new("fleet-blocklist", 10, Nats::Current, &[]) else { return };
    let text = campaign(40) + "[schedule]\nevery = 0.1\ntimes = 12\n";
    fleet.submit(&text, "10");
    let agent = fleet.agent("a", &[]);
    wait_until("a result is there", || fleet.results("slow") >= 1);
    let targets = fleet.network.targets("clean");
    let blocked: BTreeSet<String> = targets[5..].iter().map(ToString::to_string).collect();
    let list = fleet.folder.join("blocklist");
    fs::write(&list, blocked.iter().cloned().collect::<Vec<_>>().join("\n")).unwrap();
    fleet
        .patiently(&["blocklist", "slow", "--file", &list.display().to_string()])
        .expect(0, &["another blocklist"]);
    let asked = now();
    let output = fleet.folder.join("out");
    let words = ["collect", "slow", "--wait", "--output", &output.display().to_string()];
    fleet.patiently(&words).expect(0, &["all there are"]);
    let starts = starts(&output, &["a"]);
    let (to_blocked, others): (Vec<&Start>, Vec<&Start>) =
        starts.iter().partition(|start| blocked.contains(&start.target));
    let last = to_blocked.last().unwrap();
    assert!(last.at - asked < 10.0, "{last:?}, asked {asked}");
    // It was obeyed, not only over: the others went on.
    let went_on = others.iter().filter(|start| start.at > last.at).count();
    assert!(went_on >= 20, "{went_on} connections after {last:?}");
    agent.end();
}

/// Checks that two places keep a distance in time at each of these targets, or at all of them together.
fn keep_apart(starts: &[Start], distance: f64, key: impl Fn(&Start) -> String) {
    let keys: BTreeSet<String> = starts.iter().map(&key).collect();
    for one in keys {
        let of_key: Vec<&Start> = starts.iter().filter(|start| key(start) == one).collect();
        let pairs = of_key.windows(2).filter(|pair| pair[0].place != pair[1].place);
        let mut changes = 0;
        for pair in pairs {
            changes += 1;
            let between = pair[1].at - pair[0].at;
            assert!(between >= distance, "{between} s between {:?} and {:?}", pair[0], pair[1]);
        }
        assert!(changes > 0, "{one} was measured from one place");
    }
}

#[test]
fn two_places_never_meet_at_a_target_or_a_prefix() {
    let Some(fleet) = Fleet::new("fleet-turns", 4, Nats::Current, &[]) else { return };
    let agents = ["a", "b"].map(|name| fleet.agent(name, &[]));
    agents.iter().for_each(|agent| agent.wait_for("the agent is ready"));
    // All targets are in one prefix, and the places are known before.
    let measure = "[[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\nflows = true\n";
    let text = |name: &str, more: &str| {
        format!(
            "name = '{name}'\ntargets = 'targets.ndjson'\nallow_special = true\n{more}{measure}"
        )
    };
    fleet.submit(&text("prefix", "prefix_spacing = 0.05\nvantages = ['a', 'b']\n"), "4");
    let output = fleet.collect("prefix", &["a", "b"], &["0001/1-dscp"]);
    keep_apart(&starts(&output, &["a", "b"]), 0.05, |_| "all".to_owned());
    // Here each target is for itself, and the places find out about each other. The second time begins for both
    // at the same moment.
    let twice = "[schedule]\nevery = 3\ntimes = 2\n";
    fleet.submit(&(text("target", "per_target_rate = 5\n") + twice), "4");
    let output = fleet.collect("target", &["a", "b"], &["0001/1-dscp", "0002/1-dscp"]);
    let starts = starts(&output, &["a", "b"]);
    keep_apart(&starts, 0.2, |start| start.target.clone());
    agents.into_iter().for_each(super::rig::Agent::end);
}
