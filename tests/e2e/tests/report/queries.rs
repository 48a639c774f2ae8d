//! The code in `docs/analysing.md`, run by the tools that it is for: it gives the numbers of `report`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use pathspider_e2e::{skipped, temp_dir};
use serde_json::json;

use super::{aspect, cases, figures, record};

const PAGE: &str = include_str!("../../../../docs/analysing.md");

/// The first piece of code in this language that has these words.
fn code(language: &str, words: &str) -> String {
    let fence = format!("```{language}\n");
    let mut pieces = PAGE.split(&fence).skip(1);
    let piece = pieces.find(|piece| piece.contains(words)).unwrap_or_else(|| panic!("no {words}"));
    piece.split("\n```").next().unwrap().to_owned()
}

/// What a command writes in this folder; `None`, after saying so, where it cannot be run.
fn output(folder: &Path, mut command: Command) -> Option<String> {
    let output = match command.current_dir(folder).output() {
        Ok(output) => output,
        Err(error) => {
            skipped(format!("{command:?}: {error}"));
            return None;
        }
    };
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A folder with `ecn.ndjson`: a network that breaks a third, one that breaks nothing, and targets
/// that are offline.
fn folder(test: &str) -> std::path::PathBuf {
    let folder = temp_dir(test);
    let of = |number: u32| {
        let word = match number {
            n if n % 10 == 0 => "offline",
            n if n % 3 == 0 && n < 100 => "broken",
            _ => "works",
        };
        let more = json!({"info": {"ASN": if number < 100 { 64500 } else { 64501 }}});
        record(&format!("192.0.2.{number}"), &more, &[&format!("ecn.connectivity.{word}")])
    };
    fs::write(folder.join("ecn.ndjson"), (0..200).map(of).collect::<String>()).unwrap();
    folder
}

fn counted(folder: &Path) -> BTreeMap<String, u64> {
    let report = figures(&["report", &folder.join("ecn.ndjson").display().to_string()]);
    cases(aspect(&report, "ecn.connectivity"))
}

#[test]
fn jq_and_python_count_what_report_counts() {
    let folder = folder("queries");
    let expected = counted(&folder);
    assert_eq!(expected.values().sum::<u64>(), 200);
    let mut jq = Command::new("sh");
    if Command::new("jq").arg("--version").output().is_err() {
        return skipped("there is no jq");
    }
    jq.args(["-c", &code("sh", "jq")]);
    let Some(said) = output(&folder, jq) else { return };
    let line = |line: &str| {
        let (count, condition) = line.trim().split_once(' ').unwrap();
        (condition.to_owned(), count.parse().unwrap())
    };
    assert_eq!(said.lines().map(line).collect::<BTreeMap<String, u64>>(), expected);

    let mut python = Command::new("python3");
    python.args(["-c", &code("python", "Counter")]);
    let Some(said) = output(&folder, python) else { return };
    for (condition, count) in expected {
        assert!(said.contains(&format!("'{condition}': {count}")), "{said}");
    }
}

#[test]
fn duckdb_ranks_networks_as_report_does() {
    let folder = folder("duckdb");
    let python = folder.join("venv/bin/python");
    let install = "python3 -m venv venv && venv/bin/pip install --quiet duckdb";
    let installed = Command::new("sh").args(["-c", install]).current_dir(&folder).output().unwrap();
    if !installed.status.success() {
        return skipped(format!("pip: {}", String::from_utf8_lossy(&installed.stderr)));
    }
    let script = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))";
    let mut duckdb = Command::new(python);
    duckdb.args(["-c", script, &code("sql", "read_json")]);
    let Some(said) = output(&folder, duckdb) else { return };
    let rows: Vec<(u64, u64, u64)> = serde_json::from_str(&said).unwrap();

    let file = folder.join("ecn.ndjson").display().to_string();
    let report = figures(&["report", &file, "--by", "info.ASN"]);
    let groups = report["measurements"][0]["groups"][0]["rows"].as_array().unwrap();
    let row = |row: &serde_json::Value| {
        let of = |key: &str| row["impaired"][key].as_u64().unwrap();
        (row["value"].as_str().unwrap().parse().unwrap(), of("of"), of("cases"))
    };
    assert_eq!(rows, groups.iter().map(row).collect::<Vec<(u64, u64, u64)>>());
    assert_eq!(rows[0].0, 64500);
}
