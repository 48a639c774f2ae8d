//! The benchmark: that it still runs, that every verdict is right and no flow is missed. How fast
//! anything is, a test cannot say.

use std::process::{Command, Stdio};

use pathspider_e2e::{built, network, temp_dir};
use serde_json::Value;

/// Runs it on few targets, and gives its report.
fn bench(cases: &[&str], arguments: &[&str]) -> Value {
    let mut command = Command::new(built("pathspider-lab"));
    command.args(["bench", "--targets", "40", "--rounds", "1", "--no-others", "--json"]);
    let output = command.args(cases).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}{report}");
    serde_json::from_str(&report).unwrap()
}

#[test]
fn every_kind_of_connection_is_measured_rightly_beside_its_loop() {
    let Some(_) = network(1, 0) else { return };
    let cases = ["connect", "syn", "http", "https", "http3", "dnsudp", "forged"];
    let report = bench(&cases, &["-w", "10"]);
    for (name, case) in cases.iter().zip(report["cases"].as_array().unwrap()) {
        assert_eq!(case["case"], *name);
        let runs = case["runs"].as_array().unwrap();
        let programs: Vec<&Value> = runs.iter().map(|run| &run["program"]).collect();
        assert_eq!(programs, ["bare loop", "pathspider"], "{name}");
        for run in runs {
            assert_eq!((&run["targets"], &run["wrong"]), (&40.into(), &0.into()), "{name}");
        }
        assert_eq!((&runs[1]["flows_missed"], &runs[1]["answered"]), (&0.into(), &40.into()));
    }
}

#[test]
fn a_page_gets_the_tables_and_keeps_the_rest() {
    let Some(_) = network(1, 0) else { return };
    let page = temp_dir("bench").join("page.md");
    std::fs::write(&page, "Before.\n\n<!-- bench:begin -->\n<!-- bench:end -->\n\nAfter.\n")
        .unwrap();
    let report = bench(&["blocking", "one-address"], &["--write", &page.display().to_string()]);
    assert_eq!(report["cases"].as_array().unwrap().len(), 2);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("Before.\n\n<!-- bench:begin -->\n"), "{text}");
    assert!(text.ends_with("<!-- bench:end -->\n\nAfter.\n"), "{text}");
    for row in ["| pathspider -w 50 ", "| pathspider -w 500 ", "### One address\n"] {
        assert!(text.contains(row), "no {row:?} in {text}");
    }
}
