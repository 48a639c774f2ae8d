//! The code in `docs/analysing.md`, run by the tools that it is for: it gives the numbers of `report`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use pathspider_e2e::{skipped, temp_dir};
use serde_json::json;

use super::export::python;
use super::{aspect, cases, figures, record, run};

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
        let flow = |config: u8| json!({"config": config, "spdr_state": 0, "rtt_us": 1000 + number});
        let asn = if number < 100 { 64500 } else { 64501 };
        let more = json!({"info": {"ASN": asn}, "flow_results": [flow(0), flow(1)]});
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

/// Runs a piece of SQL of the page in this folder, and gives its rows.
fn sql(python: &mut Command, folder: &Path, text: &str) -> Option<serde_json::Value> {
    let script = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))";
    let mut duckdb = Command::new(python.get_program());
    duckdb.args(["-c", script, text]);
    Some(serde_json::from_str(&output(folder, duckdb)?).unwrap())
}

#[test]
fn duckdb_and_pandas_give_the_numbers_of_report() {
    let folder = folder("duckdb");
    let file = folder.join("ecn.ndjson").display().to_string();
    let tables = |name: &str| folder.join(name).display().to_string();
    let arguments = ["export", &file, "--parquet", &tables("parquet"), "--csv", &tables("csv")];
    run(&arguments).expect(0, &[]);
    let report = figures(&["report", &file, "--by", "info.ASN"]);
    let groups = report["measurements"][0]["groups"][0]["rows"].as_array().unwrap();
    let row = |row: &serde_json::Value| {
        let of = |key: &str| row["impaired"][key].as_u64().unwrap();
        json!([row["value"].as_str().unwrap().parse::<u64>().unwrap(), of("of"), of("cases")])
    };
    let expected: serde_json::Value = groups.iter().map(row).collect();
    assert_eq!(expected[0][0], 64500);

    ranked_by_r(&folder, &expected);
    let Some(mut python) = python() else { return };
    for words in ["read_json", "FROM 'parquet/targets/measurement=ecn"] {
        let Some(rows) = sql(&mut python, &folder, &code("sql", words)) else { return };
        assert_eq!(rows, expected, "{words}");
    }
    let rows = sql(&mut python, &folder, &code("sql", "USING (source, line)")).unwrap();
    let rows = rows.as_array().unwrap();
    let connections: u64 = rows.iter().map(|row| row[2].as_u64().unwrap()).sum();
    assert_eq!((rows.len(), connections), (4, 400), "{rows:?}");
    let mut pandas = Command::new(python.get_program());
    pandas.args(["-c", &code("python", "pandas")]);
    let Some(said) = output(&folder, pandas) else { return };
    let said: BTreeMap<String, u64> = serde_json::from_str(&said).unwrap();
    assert_eq!(said, counted(&folder));
}

/// Holds the piece of R to these rows: network, answered, broken.
fn ranked_by_r(folder: &Path, expected: &serde_json::Value) {
    let mut r = Command::new("Rscript");
    r.args(["-e", &code("r", "read.csv")]);
    let Some(said) = output(folder, r) else { return };
    for row in expected.as_array().unwrap() {
        let [asn, answered, broken] = [&row[0], &row[1], &row[2]].map(|n| n.to_string());
        let is_row = |line: &str| line.split_whitespace().skip(1).eq([&*asn, &*answered, &*broken]);
        assert!(said.lines().any(is_row), "{asn} {answered} {broken} in {said}");
    }
}
