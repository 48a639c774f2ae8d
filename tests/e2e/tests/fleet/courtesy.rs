//! How fast all places are together, seen on the wire, and how soon they stop.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use pathspider_e2e::wait_until;

use super::rig::{Fleet, Nats, records};

/// When the first packet of each connection was captured, in order, with its target.
fn starts(output: &Path, places: &[&str]) -> Vec<(f64, String)> {
    let mut starts = Vec::new();
    for place in places {
        for record in records(&output.join(place).join("0001/1-dscp")) {
            for flow in record["flow_results"].as_array().unwrap() {
                let target = flow["dip"].as_str().unwrap().to_owned();
                starts.push((flow["pkt_first"].as_f64().unwrap(), target));
            }
        }
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
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
    let times: Vec<f64> = starts(&output, &["a", "b"]).into_iter().map(|(at, _)| at).collect();
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
    fleet.campaign(&["pause", "slow"]).expect(0, &["slow is paused"]);
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
    fleet.campaign(&["blocklist", "slow", "--file", &list]).expect(0, &["another blocklist"]);
    let resumed = now();
    fleet.campaign(&["resume", "slow"]).expect(0, &["slow goes on"]);
    let output = fleet.folder.join("out");
    let shown = output.display().to_string();
    fleet
        .campaign(&["collect", "slow", "--wait", "--output", &shown])
        .expect(0, &["all there are"]);
    let starts = starts(&output, &["a"]);
    let in_pause = starts.iter().filter(|(at, _)| (paused..resumed).contains(at)).count();
    assert_eq!(in_pause, 0, "asked at {asked}, paused at {paused}: {starts:?}");
    let after = |target: &str| starts.iter().any(|(at, of)| *at >= resumed && of == target);
    assert!(blocked.iter().all(|target| !after(target)), "{starts:?}");
    assert!(
        targets[..30].iter().all(|target| starts.iter().any(|(_, of)| *of == target.to_string()))
    );
    agent.end();
}
