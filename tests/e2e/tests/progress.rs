//! What can be seen of a run while it goes.

use std::fs;

use pathspider_e2e::{network, temp_dir};

#[test]
fn the_status_file_has_a_row_each_second_and_the_end() {
    let Some(network) = network(4, 0) else { return };
    let file = temp_dir("status").join("status.csv");
    let arguments = ["--status-file", file.to_str().unwrap(), "-w", "1"];
    let plugin = ["ecn", "--connect", "tcp", "--timeout", "0.4"];
    let ended = network.measure(&[&arguments[..], &plugin].concat(), &network.jobs("dead"));
    ended.expect(0, &["4 targets"]);
    let text = fs::read_to_string(&file).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!(
        rows[0].join(","),
        "time,elapsed,done,total,rate,in_flight,missed,dropped,errors,conditions"
    );
    // Four dead targets one after the other, twice 0.4 s each.
    assert!(rows.len() >= 4, "{text}");
    let done: Vec<u64> = rows[1..].iter().map(|row| row[2].parse().unwrap()).collect();
    assert!(done.is_sorted() && done[0] < 4, "{text}");
    let last = rows.last().unwrap();
    assert_eq!(last[2..4], ["4", "4"], "{text}");
    assert_eq!(last[5..], ["0", "0", "0", "0", "ecn.connectivity.offline=4"], "{text}");
}

#[test]
fn a_status_file_that_cannot_be_made_is_told_before_any_packet() {
    let Some(network) = network(1, 0) else { return };
    let arguments = ["--status-file", "/nowhere/status.csv", "ecn"];
    let ended = network.measure(&arguments, &network.jobs("clean"));
    ended.expect(8, &["/nowhere/status.csv", "No such file"]);
    assert_eq!(ended.stdout, "");
}
