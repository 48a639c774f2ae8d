//! How fast connections begin, seen on the wire. A machine that stalls makes them late, and those
//! after them closer: that the schedule itself is exact is shown with a clock of its own in `pace`.

use std::collections::HashMap;

use pathspider_e2e::{Ended, network};

use super::measure;

/// When the first packet of each connection was captured, in order, with its target.
fn starts(ended: &Ended) -> Vec<(f64, String)> {
    let flows = |record: pathspider_e2e::Record| record.flow_results.unwrap();
    let start = |flow: pathspider_e2e::FlowResult| {
        assert!(flow.observed, "{flow:?}");
        (flow.rest["pkt_first"].as_f64().unwrap(), flow.rest["dip"].as_str().unwrap().to_owned())
    };
    let mut starts: Vec<_> = ended.records().into_iter().flat_map(flows).map(start).collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts
}

#[test]
fn the_rate_on_the_wire_is_no_more_than_asked_for() {
    let Some(network) = network(250, 0) else { return };
    for rate in [100usize, 2000] {
        let mut jobs = network.jobs("clean");
        if rate > 100 {
            let more = [81, 82, 83].map(|port| jobs.replace(":80", &format!(":{port}")));
            jobs = [jobs, network.jobs("ecn-syn-reset"), more.concat()].concat();
        }
        let arguments = ["--rate", &rate.to_string(), "-w", "2000", "--output-flows"];
        let end = measure(&network, &arguments, &jobs);
        end.expect(0, &[]);
        let times: Vec<f64> = starts(&end).into_iter().map(|(at, _)| at).collect();
        for (at, first) in times.iter().enumerate() {
            let within = times[at..].partition_point(|time| time - first < 1.0);
            assert!(within as f64 <= rate as f64 * 1.2, "{within} in a second at {rate}/s");
        }
        // What a stall takes is not made up for in a burst.
        let mean = (times.len() - 1) as f64 / (times[times.len() - 1] - times[0]);
        assert!(mean / rate as f64 <= 1.02, "{mean}/s for {rate}/s");
    }
}

#[test]
fn a_prefix_keeps_its_distance_on_the_wire() {
    let Some(network) = network(6, 3) else { return };
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-reset");
    let prefix = |ip: &str| {
        if ip.contains(':') {
            ip.split(':').take(3).collect::<Vec<_>>().join(":")
        } else {
            ip.rsplit_once('.').unwrap().0.to_owned()
        }
    };
    // Two jobs at once would do for one prefix only: those that wait are not counted.
    let arguments = ["--prefix-spacing", "200ms", "-w", "2", "--output-flows"];
    let end = measure(&network, &arguments, &jobs);
    end.expect(0, &["18 targets"]);
    let starts = starts(&end);
    assert_eq!(starts.len(), 36);
    let mut prefixes: HashMap<String, Vec<f64>> = HashMap::new();
    for (at, ip) in &starts {
        prefixes.entry(prefix(ip)).or_default().push(*at);
    }
    assert!(prefixes.len() >= 2, "{prefixes:?}");
    for (prefix, times) in &prefixes {
        let (first, last) = (times[0], times[times.len() - 1]);
        // A late first one makes it shorter; no distance is made up for.
        let least = 0.2 * (times.len() - 2) as f64;
        assert!(last - first >= least, "{prefix}: {} for {}", last - first, times.len());
    }
    // As long as it would take were one prefix in the other's way.
    let together = 0.2 * (starts.len() - 1) as f64;
    let lasted = starts[starts.len() - 1].0 - starts[0].0;
    assert!(lasted < 0.8 * together, "{lasted} of {together}");
}

#[test]
fn an_address_keeps_its_rate_on_the_wire() {
    let Some(network) = network(3, 0) else { return };
    let arguments = ["--per-target-rate", "1", "--output-flows"];
    let end = measure(&network, &arguments, &network.jobs("clean"));
    end.expect(0, &["3 targets"]);
    let starts = starts(&end);
    for ip in network.targets("clean") {
        let times: Vec<f64> =
            starts.iter().filter(|(_, dip)| *dip == ip.to_string()).map(|(at, _)| *at).collect();
        assert!(times.len() == 2 && times[1] - times[0] >= 0.8, "{times:?}");
    }
}

#[test]
fn a_run_that_stops_leaves_what_only_waits() {
    let Some(network) = network(20, 0) else { return };
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special --rate 1 --max-runtime 3 ecn",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("clean"));
    end.expect(10, &["read and not begun"]);
    assert!((1..=4).contains(&end.records().len()), "{}", end.stdout);
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special --prefix-spacing 8 --max-runtime 3 ecn",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("clean"));
    end.expect(10, &["1 target in", "19 read and not begun"]);
    assert_eq!(end.records()[0].conditions[0], "ecn.connectivity.works");
    // Those that wait for their turn in a random order are more than the engine was given.
    let script = format!(
        "$PATHSPIDER measure -i {} --allow-special -w 1 --shuffle --duplicates --rate 4 \
         --max-runtime 3 ecn",
        network.interface()
    );
    let end = network.script(&script, &network.jobs("clean").repeat(15));
    let left = 300 - end.records().len();
    end.expect(10, &[&format!("{left} read and not begun")]);
}
