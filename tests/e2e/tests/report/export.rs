//! `pathspider export`: its tables, read by the programs that they are for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Program, network, python_with, temp_dir};
use serde_json::{Value, json};

use super::{cases, figures, jobs, record, run};

/// What python has to have. It is installed once for all tests, beside what was built.
const PACKAGES: &str = "duckdb pandas pyarrow";

/// A python with packages of PyPI; `None`, after saying so, where they cannot be had.
pub(super) fn python() -> Option<Command> {
    python_with(Path::new(env!("CARGO_TARGET_TMPDIR")), "python", PACKAGES).map(Command::new)
}

/// What a script in python makes of these arguments, as JSON.
fn made(python: &mut Command, script: &str, arguments: &[&str]) -> Value {
    let output = python.args(["-c", script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// All files of a folder and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

const READ: &str = r#"
import duckdb, json, sys
import pandas as pd, pyarrow.dataset as ds
parquet, csv = sys.argv[1:]
rows = lambda text: duckdb.sql(text).fetchall()
found = {}
for table in ["targets", "flows", "runs"]:
    name = f"'{parquet}/{table}/**/*.parquet'"
    found[table] = {column[0]: column[1] for column in rows(f"DESCRIBE SELECT * FROM {name}")}
    found[table + "_rows"] = rows(f"SELECT count(*) FROM {name}")[0][0]
    found[table + "_csv"] = rows(f"SELECT count(*) FROM read_csv('{csv}/{table}.csv', all_varchar=true)")[0][0]
targets, flows = f"'{parquet}/targets/**/*.parquet'", f"'{parquet}/flows/**/*.parquet'"
found["conditions"] = dict(rows(f"SELECT c, count(*) FROM (SELECT unnest(conditions) AS c FROM {targets}) GROUP BY c"))
found["failed"] = rows(f"SELECT count(*) FILTER (spdr_state <> 0) FROM {flows} GROUP BY config ORDER BY config")
found["joined"] = rows(f'SELECT count(*) FROM {targets} t JOIN {flows} f USING (source, line) WHERE t.dip = f.dip AND t."jobId" = f."jobId"')[0][0]
found["syns"] = rows(f"SELECT count(*) FROM {flows} WHERE syn_count_fwd > 0 AND len(syn_options_all_fwd) > 0")[0][0]
found["when"] = rows(f'SELECT count(*) FROM {targets} WHERE "time.from" <= "time.to" AND "time.from" > now() - INTERVAL 1 DAY AND CAST("time.from" AT TIME ZONE \'UTC\' AS DATE) = date')[0][0]
frame = pd.read_parquet(parquet + "/targets")
found["pandas"] = frame.explode("conditions").conditions.value_counts().to_dict()
found["pandas_types"] = {column: str(kind) for column, kind in frame.dtypes.items()}
found["arrow"] = ds.dataset(parquet + "/flows", partitioning="hive").to_table().num_rows
flat = pd.read_csv(csv + "/targets.csv")
found["csv"] = flat.conditions.map(json.loads).explode().value_counts().to_dict()
print(json.dumps(found))
"#;

#[test]
fn tables_of_a_run_are_what_report_says() {
    let Some(network) = network(5, 2) else { return };
    let folder = temp_dir("export-run");
    let path = |name: &str| folder.join(name).display().to_string();
    let paths = [("clean", 64500), ("ecn-syn-dropped", 64501)];
    let output = path("a.ndjson.zst");
    let arguments = ["--output", &output, "--output-flows"];
    let plugin = ["ecn", "--connect", "tcp", "--timeout", "2"];
    network.measure(&[&arguments[..], &plugin].concat(), &jobs(&network, &paths)).expect(0, &[]);
    let (parquet, csv, pto) = (path("parquet"), path("csv"), path("pto"));
    let formats = ["--parquet", &parquet, "--csv", &csv, "--pto", &pto];
    run(&[&["export", &output][..], &formats].concat()).expect(0, &["14 records of 1 file"]);

    let report = figures(&["report", &output]);
    let expected: Value = report["measurements"][0]["aspects"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(cases)
        .map(|(condition, count)| (condition, json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into();

    // The Observatory's sets: each condition of each target.
    let set = fs::read_to_string(folder.join("pto/ecn.obs.ndjson")).unwrap();
    let lines: Vec<Value> = set.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (metadata, observations) = lines.split_last().unwrap();
    let all: u64 =
        expected.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(observations.len() as u64, all);
    assert!(observations.iter().all(|line| line.as_array().unwrap().len() == 5), "{set}");
    assert!(
        metadata["_conditions"].as_array().unwrap().contains(&json!("ecn.connectivity.broken"))
    );
    let paths: Vec<&str> = observations.iter().map(|line| line[3].as_str().unwrap()).collect();
    assert!(
        paths.iter().any(|path| path.contains(" [fd00:")),
        "IPv6 stands in brackets: {paths:?}"
    );

    let Some(mut python) = python() else { return };
    let found = made(&mut python, READ, &[&parquet, &csv]);
    assert_eq!((&found["targets_rows"], &found["flows_rows"]), (&json!(14), &json!(28)));
    assert_eq!((&found["runs_rows"], &found["arrow"]), (&json!(1), &json!(28)));
    for table in ["targets", "flows", "runs"] {
        assert_eq!(found[format!("{table}_rows")], found[format!("{table}_csv")], "{table}");
    }
    for of in ["conditions", "pandas", "csv"] {
        assert_eq!(found[of], expected, "{of}");
    }
    assert_eq!(found["failed"], json!([[0], [7]]));
    assert_eq!(
        (&found["joined"], &found["syns"], &found["when"]),
        (&json!(28), &json!(28), &json!(14))
    );
    // Types are those that records, chains and metadata declare.
    for (table, column, kind) in [
        ("targets", "dip", "VARCHAR"),
        ("targets", "dp", "BIGINT"),
        ("targets", "info.ASN", "BIGINT"),
        ("targets", "conditions", "VARCHAR[]"),
        ("targets", "time.from", "TIMESTAMP WITH TIME ZONE"),
        ("targets", "date", "DATE"),
        ("targets", "measurement", "VARCHAR"),
        ("flows", "ecn_ect0_syn_fwd", "BOOLEAN"),
        ("flows", "pkt_fwd", "BIGINT"),
        ("flows", "syn_options_all_rev", "BIGINT[]"),
        ("flows", "http_response_body", "BLOB"),
        ("flows", "pkt_first", "DOUBLE"),
        ("runs", "started", "TIMESTAMP WITH TIME ZONE"),
        ("runs", "counts.targets", "BIGINT"),
        ("runs", "command", "VARCHAR[]"),
    ] {
        assert_eq!(found[table][column], kind, "{table}.{column}: {}", found[table]);
    }
    assert_eq!(found["pandas_types"]["time.from"], "datetime64[us, UTC]");
}

const HOSTILE: &str = r#"
import duckdb, json, sys
rows = duckdb.sql(f"SELECT measurement, campaign, vantage, conditions, more, body, tags FROM '{sys.argv[1]}/targets/**/*.parquet'").fetchall()
print(json.dumps([[*row[:5], row[5].hex() if row[5] is not None else None, row[6]] for row in rows]))
"#;

#[test]
fn hostile_texts_are_texts_in_tables_too() {
    let folder = temp_dir("export-hostile");
    let path = |name: &str| folder.join(name).display().to_string();
    let hostile = "=cmd|' /C calc'!A0\n\u{1b}[2J\u{202e}";
    let more = json!({"campaign": "../../up", "vantage": "a/b=c", "plugin": "../x", "tags": ["@t", "-1"],
        hostile: hostile, "body": {"base64": "/wA="}, "n": -5});
    let text = record("192.0.2.1", &more, &["=x.y", "+a.b:=1"])
        + &record(
            "192.0.2.2",
            &json!({"plugin": "../x", "n": "now a text", "body": "text"}),
            &["=x.y"],
        )
        + "no json\n";
    fs::write(path("a.ndjson"), text).unwrap();
    let (parquet, csv, pto) = (path("parquet"), path("csv"), path("pto"));
    let formats = ["--parquet", &parquet, "--csv", &csv, "--pto", &pto];
    let end = run(&[&["export", &path("a.ndjson")][..], &formats].concat());
    end.expect(9, &["2 records", "a.ndjson:3"]);
    // Whatever names are, nothing is beside what was asked for.
    let names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(files(&folder.join("parquet/targets")).len(), 2);

    let table = fs::read_to_string(folder.join("csv/targets.csv")).unwrap();
    assert!(!table.contains(['\u{1b}', '\u{202e}']), "{table:?}");
    assert_eq!(table.lines().count(), 3, "a row is a line");
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let heads = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for cell in rows.iter().chain([&heads]).flatten() {
        let is_number = cell.parse::<f64>().is_ok();
        assert!(
            is_number || !cell.starts_with(['=', '+', '-', '@', '\t']),
            "{cell:?} is a formula"
        );
    }
    let column = |name: &str| heads.iter().position(|head| head == name).unwrap();
    assert_eq!(&rows[0][column("vantage")], "a/b=c");
    assert_eq!((&rows[0][column("n")], &rows[1][column("n")]), ("'-5", "\"now a text\""));

    let Some(mut python) = python() else { return };
    let found = made(&mut python, HOSTILE, &[&parquet]);
    let mut rows = found.as_array().unwrap().clone();
    rows.sort_by_key(|row| row[5].to_string());
    let names = &rows[1].as_array().unwrap()[..3];
    assert_eq!(names, [json!("../x"), json!("../../up"), json!("a/b=c")]);
    assert_eq!((&rows[1][3], &rows[1][5]), (&json!(["=x.y", "+a.b:=1"]), &json!("ff00")));
    assert_eq!((&rows[1][6], &rows[0][5]), (&json!(["@t", "-1"]), &json!("74657874")));
}

#[test]
fn what_is_published_names_nobody() {
    let folder = temp_dir("export-anonymous");
    let path = |name: &str| folder.join(name).display().to_string();
    let more = json!({"domain": "www.example.org", "info": {"ASN": 64500, "Prefix": "192.0.2.0/24"},
        "rank": 7, "sip": "198.51.100.7", "path": ["198.51.100.7", "*", "192.0.2.1"],
        "spdr_error": "timeout: www.example.org",
        "flow_results": [{"config": 0, "sip": "198.51.100.7", "dip": "192.0.2.1", "dp": 80, "sp": 4000,
            "tls_info": {"sni": "www.example.org", "version": "TLSv1.3"},
            "http_response_body": "www.example.org", "banner": "www.example.org",
            "icmp_errors": [{"type": 3, "from": "192.0.2.254"}]}]});
    let conditions = ["ecn.connectivity.works", "pathspider.refused:192.0.2.77"];
    let text =
        record("192.0.2.1", &more, &conditions) + &record("192.0.2.9", &json!({}), &conditions);
    fs::write(path("a.ndjson"), text).unwrap();
    fs::write(path("key"), "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef\n")
        .unwrap();
    let (csv, pto) = (path("csv"), path("pto"));
    let arguments = ["export", &path("a.ndjson"), "--csv", &csv, "--pto", &pto, "--anonymise"];
    let key = [&path("key"), "--keep", "info.ASN", "--keep", "info.Prefix"];
    run(&[&arguments[..], &key].concat()).expect(0, &[]);
    let mut all = String::new();
    for file in files(&folder.join("csv")).iter().chain(&files(&folder.join("pto"))) {
        all += &fs::read_to_string(file).unwrap();
    }
    for secret in ["192.0.2", "198.51.100", "example", "a.ndjson"] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
    assert!(all.contains("64500") && all.contains("TLSv1.3") && all.contains("timeout"), "{all}");
    let targets = fs::read_to_string(folder.join("csv/targets.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(targets.as_bytes());
    let heads = reader.headers().unwrap().clone();
    let column = |name: &str| heads.iter().position(|head| head == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let net = |row: usize| rows[row][column("dip")].rsplit_once('.').unwrap().0.to_owned();
    assert_eq!(net(0), net(1), "prefixes are kept");
    assert_eq!(rows[0][column("info.Prefix")], format!("{}.0/24", net(0)));
    assert!(rows[0][column("conditions")].contains(&format!("pathspider.refused:{}", net(0))));
    assert_eq!((&rows[0][column("rank")], &rows[0][column("domain")]), ("", ""));
    // The same key gives the same addresses, and none without one.
    fs::write(path("key"), "00").unwrap();
    let again = path("again");
    run(&["export", &path("a.ndjson"), "--csv", &again, "--anonymise", &path("key")])
        .expect(7, &["64 hexadecimal digits"]);
}

#[test]
fn an_export_is_there_as_a_whole_or_not_at_all() {
    let folder = temp_dir("export-folder");
    let path = |name: &str| folder.join(name).display().to_string();
    let file = path("a.ndjson");
    fs::write(&file, record("192.0.2.1", &json!({}), &["ecn.connectivity.works"])).unwrap();
    run(&["export", &file]).expect(2, &["--parquet"]);
    run(&["export", &file, "--csv", &path("a"), "--keep", "x"]).expect(2, &["--anonymise"]);
    run(&["export", &file, "--csv", &path("none/x")]).expect(8, &["cannot write"]);
    let there = path("there");
    run(&["export", &file, "--parquet", &there]).expect(0, &[]);
    run(&["export", &file, "--parquet", &there]).expect(8, &["something is in it already"]);
    fs::write(path("x.ndjson"), "no json\n").unwrap();
    let nothing = path("nothing");
    run(&["export", &path("x.ndjson"), "--parquet", &nothing]).expect(7, &["no record was read"]);
    assert!(!Path::new(&nothing).exists());
    // From a pipe; and each record is in it once.
    let of = |n: u32| {
        let place = ["aberdeen", "zurich"][n as usize & 1];
        let dip = format!("192.0.{}.{}", n / 250, n % 250);
        record(&dip, &json!({"vantage": place}), &["ecn.connectivity.works"])
    };
    let text: String = (0..3000).map(of).collect();
    fs::write(path("many.ndjson"), text.repeat(3)).unwrap();
    let piped = path("piped");
    let mut command = Program::command(&["export", "--csv", &piped]);
    let end = command.stdin(fs::File::open(path("many.ndjson")).unwrap()).output().unwrap();
    assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    let table = fs::read_to_string(folder.join("piped/targets.csv")).unwrap();
    assert_eq!(table.lines().count(), 9001);
    // In the order of the input, also where rows of several places take turns.
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let place = reader.headers().unwrap().iter().position(|head| head == "line").unwrap();
    let lines = reader.records().map(|row| row.unwrap()[place].parse::<u32>().unwrap());
    assert!(lines.eq(1..=9000));
    let leftovers = fs::read_dir(&folder).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().ends_with("unfinished")
    });
    assert_eq!(leftovers.count(), 0);
}
