//! How fast connections begin, seen on the wire.

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
fn the_rate_on_the_wire_is_the_one_asked_for() {
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
            assert!(within as f64 <= rate as f64 * 1.02, "{within} in a second at {rate}/s");
        }
        // The second connections of the last targets come late: without them. A busy machine may
        // stall, and what is lost then is not made up for in a burst.
        let times = &times[..times.len() * 3 / 4];
        let mean = (times.len() - 1) as f64 / (times[times.len() - 1] - times[0]);
        eprintln!("{mean:.1} connections/s for --rate {rate}");
        assert!((0.9..=1.02).contains(&(mean / rate as f64)), "{mean}/s for {rate}/s");
    }
}

#[test]
fn a_prefix_keeps_its_distance_on_the_wire() {
    let Some(network) = network(6, 3) else { return };
    let jobs = network.jobs("clean") + &network.jobs("ecn-syn-reset");
    let prefix = |ip: &str| match ip.contains(':') {
        true => ip.split(':').take(3).collect::<Vec<_>>().join(":"),
        false => ip.rsplit_once('.').unwrap().0.to_owned(),
    };
    // Two jobs at once would do for one prefix only: those that wait are not counted.
    let arguments = ["--prefix-spacing", "200ms", "-w", "2", "--output-flows"];
    let end = measure(&network, &arguments, &jobs);
    end.expect(0, &["18 targets"]);
    let starts = starts(&end);
    assert_eq!(starts.len(), 36);
    let mut last = std::collections::HashMap::new();
    for (at, ip) in &starts {
        if let Some(before) = last.insert(prefix(ip), *at) {
            // The capture's stamps are taken a little after the start.
            assert!(at - before >= 0.199, "{ip}: {}", at - before);
        }
    }
    assert!(last.len() >= 2, "{last:?}");
    // Each prefix on its own would take as long as all together, were one in the other's way.
    let mut most = std::collections::HashMap::new();
    starts.iter().for_each(|(_, ip)| *most.entry(prefix(ip)).or_insert(0u32) += 1);
    let alone = 0.2 * f64::from(*most.values().max().unwrap() - 1);
    let lasted = starts[35].0 - starts[0].0;
    assert!(lasted < 1.5 * alone, "{lasted} for {alone}");
}

#[test]
fn an_address_keeps_its_rate_on_the_wire() {
    let Some(network) = network(3, 0) else { return };
    let arguments = ["--per-target-rate", "4", "--output-flows"];
    let end = measure(&network, &arguments, &network.jobs("clean"));
    end.expect(0, &["3 targets"]);
    let starts = starts(&end);
    for ip in network.targets("clean") {
        let times: Vec<f64> =
            starts.iter().filter(|(_, dip)| *dip == ip.to_string()).map(|(at, _)| *at).collect();
        assert!(times.len() == 2 && times[1] - times[0] >= 0.249, "{times:?}");
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
        "$PATHSPIDER measure -i {} --allow-special --prefix-spacing 20 --max-runtime 3 ecn",
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
