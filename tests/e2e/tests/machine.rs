//! Faults that would hit everybody on this machine, in a virtual one: `make machine`. Its power is
//! cut, its clock is set. Its kernel is Debian's, which may be older or newer than the one here.

mod guest;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use guest::Machine;
use pathspider_e2e::{Record, ranks, records};

/// How many targets a run has, at fifty a second.
const TARGETS: u64 = 1000;

/// What was written this long before is on the disk.
const DURABLE: Duration = Duration::from_secs(2);

/// A script for the vantage point of a lab, which has the jobs in `jobs.ndjson`.
fn at_vantage_point(script: &str) -> String {
    format!(
        "cat >/tmp/prepare <<'END'\n\
         awk -v n={TARGETS} '{{ line[NR - 1] = substr($0, 1, length($0) - 1) }} \
             END {{ for (i = 0; i < n; i++) print line[i % NR] \",\\\"rank\\\":\" i \"}}\" }}' \
             \"$LAB_JOBS\" >jobs.ndjson\n\
         sync\n\
         END\n\
         cat >/tmp/script <<'END'\n\
         [ -e jobs.ndjson ] || . /tmp/prepare\n\
         cd /data\n\
         {script}\n\
         END\n\
         pathspider-lab run ecn-clean --targets 50 -- sh -c 'cd /data && . /tmp/script'\n"
    )
}

const MEASURE: &str = "pathspider measure -i lab0 --allow-special --duplicates --quiet \
                       --input jobs.ndjson";

/// What a machine tells of the files' sizes, in octets, and when.
fn sizes(line: &str) -> Vec<u64> {
    line.split(' ').skip(1).map(|word| word.parse().unwrap_or(0)).collect()
}

/// Lets a run write to `output` until the power is cut, and goes on with it.
fn cut(output: &str) {
    let machine = Machine::new(output);
    let measure = format!("{MEASURE} --resume --save-pcap saved.pcap --output {output}");
    let stat = |word: &str| format!("echo {word} $(stat -c %s {output} saved.pcap)");
    let script = format!(
        "{measure} --rate 100 ecn --connect tcp &\n\
         while sleep 0.2; do {}; done",
        stat("SIZES")
    );
    let mut guest = machine.start(&at_vantage_point(&script));
    let mut seen: Vec<(Instant, Vec<u64>)> = Vec::new();
    while seen.first().is_none_or(|(first, _)| first.elapsed() < Duration::from_secs(8)) {
        let now = sizes(&guest.line("SIZES "));
        // Both have more than they begin with.
        if now.iter().all(|size| *size > 1000) {
            seen.push((Instant::now(), now));
        }
    }
    guest.kill();
    let end = Instant::now();
    // The machine is slow to tell.
    let before = end - DURABLE - Duration::from_millis(500);
    let promised = seen.iter().rfind(|(when, _)| *when < before).unwrap();

    let script = format!("{measure} ecn --connect tcp; echo STATUS $?");
    let job = format!(
        "{}\ncp {output} cut\npathspider restore 2>&1\n{}",
        stat("FOUND"),
        at_vantage_point(&script)
    );
    let mut guest = machine.start(&job);
    let found = sizes(&guest.line("FOUND "));
    println!("{output}: cut at {:?}, {:?} promised, {found:?} found", seen.last(), promised.1);
    assert!(promised.1.iter().zip(&found).all(|(least, found)| least <= found));
    // The old boot's settings went with it.
    guest.line("the machine was started anew since, which ended it: net.ipv4.tcp_ecn");
    guest.line("STATUS 0");
    guest.end();

    let whole = records(&machine.text(output));
    assert!(ranks(&whole).into_iter().eq(0..TARGETS));
    assert!(whole.iter().all(|record| record.has("ecn.connectivity.works")));
}

#[test]
#[ignore = "wants a virtual machine: `make machine`"]
fn the_power_is_cut() {
    cut("out.ndjson");
}

#[test]
#[ignore = "wants a virtual machine: `make machine`"]
fn the_power_is_cut_and_the_output_is_compressed() {
    cut("out.ndjson.zst");
}

#[test]
#[ignore = "wants a virtual machine: `make machine`"]
fn the_clock_is_set_an_hour_ahead_and_back() {
    let machine = Machine::new("clock");
    let script = format!(
        "{MEASURE} --output out.ndjson --output-flows --rate 100 ecn --connect tcp &\n\
         sleep 7; date -s @$(($(date +%s) + 3600))\n\
         sleep 7; date -s @$(($(date +%s) - 3600))\n\
         wait $!; echo STATUS $?"
    );
    let mut guest = machine.start(&at_vantage_point(&script));
    guest.line("STATUS 0");
    guest.end();
    let records = records(&machine.text("out.ndjson"));
    assert!(ranks(&records).into_iter().eq(0..TARGETS));
    let hour = |record: &Record| record.time.as_ref().unwrap().from[..13].to_owned();
    let hours: BTreeSet<String> = records.iter().map(hour).collect();
    assert!(hours.len() > 1, "the clock was not set: {hours:?}");
    // No verdict but the right one, and no time-out from an hour that was none.
    let count = |begins: &str| {
        let says = |record: &&Record| record.conditions.iter().any(|c| c.starts_with(begins));
        records.iter().filter(says).count() as u64
    };
    let (works, unsure) = (count("ecn.connectivity.works"), count("pathspider.not_observed"));
    println!("{works} of {TARGETS} work, {unsure} were not observed, in {} hours", hours.len());
    assert_eq!(works, count("ecn.connectivity"));
    assert_eq!(works + unsure, TARGETS);
    assert!(unsure < TARGETS / 10);
    let mut flows = records.iter().flat_map(|record| record.flow_results.as_ref().unwrap());
    assert!(flows.all(|flow| !flow.rest.contains_key("spdr_error")));
}

#[test]
#[ignore = "wants a virtual machine: `make machine`"]
fn every_path_is_measured_as_it_is_with_debians_kernel() {
    let machine = Machine::new("check");
    // Few at a time, for it is slow.
    let mut guest = machine.start("uname -r; pathspider-lab check -w 8; echo STATUS $?");
    println!("Linux {}", guest.line("-amd64"));
    guest.line("STATUS 0");
    guest.end();
}
