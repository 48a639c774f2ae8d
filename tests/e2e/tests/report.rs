//! `pathspider report` and `diff`: what they make of records that runs wrote, and of anything else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pathspider_e2e::{Ended, Network, Program, built, network, records, temp_dir};
use pathspider_records::{Class, Parts, Remark};
use serde_json::{Value, json};

mod export;
mod page;
mod queries;

/// Runs a command that is a program of its own, by the program that people call.
fn run(arguments: &[&str]) -> Ended {
    let end = Program::command(arguments).stdin(Stdio::null()).output();
    end.unwrap().into()
}

fn figures(arguments: &[&str]) -> Value {
    let end = run(&[arguments, &["--json"]].concat());
    assert!([0, 9].contains(&end.status), "{}", end.stderr);
    serde_json::from_str(&end.stdout).unwrap()
}

/// The aspect of this name of the only measurement.
fn aspect<'v>(report: &'v Value, name: &str) -> &'v Value {
    let all = report["measurements"][0]["aspects"].as_array().unwrap();
    all.iter().find(|aspect| aspect["aspect"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn cases(aspect: &Value) -> BTreeMap<String, u64> {
    let all = aspect["conditions"].as_array().unwrap().iter();
    all.map(|of| (of["condition"].as_str().unwrap().to_owned(), of["cases"].as_u64().unwrap()))
        .collect()
}

/// The keys `AS` are those of an input that an address has been looked up for.
fn jobs(network: &Network, paths: &[(&str, u32)]) -> String {
    let of = |&(path, asn): &(&str, u32)| {
        network
            .jobs(path)
            .replace("\"lab_path\"", &format!("\"info\":{{\"ASN\":{asn}}},\"lab_path\""))
    };
    paths.iter().map(of).collect()
}

/// Measures `ecn` into a file of this folder.
fn measure(network: &Network, folder: &Path, name: &str, options: &[&str], input: &str) -> String {
    let output = folder.join(name).display().to_string();
    let arguments = ["--output", &output, "--output-flows"];
    let plugin = ["ecn", "--connect", "tcp", "--timeout", "2"];
    network.measure(&[&arguments[..], options, &plugin].concat(), input).expect(0, &[]);
    output
}

fn record(dip: &str, more: &Value, conditions: &[&str]) -> String {
    let mut record = json!({"dip": dip, "dp": 80, "conditions": conditions,
        "time": {"from": "2026-11-22T02:00:17Z", "to": "2026-11-22T02:00:18Z"}});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{record}\n")
}

#[test]
fn figures_are_those_of_the_records_of_a_run() {
    let Some(network) = network(20, 10) else { return };
    let folder = temp_dir("report-run");
    let paths = [("clean", 64500), ("ecn-syn-dropped", 64501), ("dead", 64502)];
    // Each target comes twice, and its second line is left out.
    let input = jobs(&network, &paths).repeat(2) + "no target\n";
    let output = folder.join("a.ndjson.zst").display().to_string();
    let arguments =
        ["--output", &output, "--output-flows", "ecn", "--connect", "tcp", "--timeout", "2"];
    network.measure(&arguments, &input).expect(9, &[]);

    let report = figures(&["report", &output, "--min", "1"]);
    let measured = &report["measurements"][0];
    assert_eq!((&measured["name"], &measured["records"]), (&json!("ecn"), &json!(90)));
    let connectivity = aspect(&report, "ecn.connectivity");
    let expected = [
        ("ecn.connectivity.broken", 30),
        ("ecn.connectivity.offline", 30),
        ("ecn.connectivity.works", 30),
    ];
    assert_eq!(cases(connectivity), expected.map(|(of, n)| (of.to_owned(), n)).into());
    assert_eq!(connectivity["impaired"]["of"], 60, "offline says nothing of the path");
    assert_eq!(connectivity["impaired"]["share"], 0.5);
    let funnel: Vec<(&str, u64)> = measured["funnel"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| (stage["stage"].as_str().unwrap(), stage["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        funnel,
        [
            ("read", 181),
            ("measured", 90),
            ("resolved", 90),
            ("A answered", 60),
            ("B as it was sent", 60),
            ("verdict", 60)
        ]
    );
    assert_eq!(
        measured["funnel"][1]["left"],
        json!({"duplicates": 90, "lines that are no targets": 1})
    );
    // By network, the worst first.
    let groups = measured["groups"].as_array().unwrap().iter();
    let by = |key: &str| {
        let is = |of: &&Value| of["key"] == key && of["aspect"] == "ecn.connectivity";
        groups.clone().find(is).unwrap_or_else(|| panic!("nothing by {key}"))
    };
    let networks: Vec<&Value> =
        by("info.ASN")["rows"].as_array().unwrap().iter().map(|row| &row["value"]).collect();
    assert_eq!(networks, ["64501", "64500", "64502"]);
    let versions = by("ip_version")["rows"].as_array().unwrap();
    let verdicts = |version: &str| {
        versions.iter().find(|row| row["value"] == version).map(|row| row["verdicts"].clone())
    };
    assert_eq!((verdicts("4"), verdicts("6")), (Some(json!(60)), Some(json!(30))));
    // The connections, the baseline first.
    let failures = measured["failures"].as_array().unwrap();
    let failed: Vec<&Value> = failures.iter().map(|of| &of["failed"]["cases"]).collect();
    assert_eq!(failed, [30, 60]);
    assert_eq!(failures[1]["reasons"], json!([{"reason": "timeout", "connections": 60}]));
    assert!(failures.iter().all(|of| of["label"].is_string()), "{failures:?}");
    assert_eq!(
        (&report["runs"]["runs"], &report["runs"]["dropped_by_kernel"]),
        (&json!(1), &json!(0))
    );
    assert!(report["runs"]["packets"].as_u64().unwrap() > 90);

    // People see the same.
    let text = run(&["report", &output]);
    text.expect(0, &[]);
    for words in [
        "90 records of 90 targets",
        "impaired: 30 of the 60 that say something, 50.00 %",
        "ecn.connectivity by info.ASN",
        "left out: 90 duplicates, 1 lines that are no targets",
    ] {
        assert!(text.stdout.contains(words), "no {words:?} in {}", text.stdout);
    }
    // The metadata are no need: what is in the records is the same.
    fs::remove_file(format!("{output}.meta.json")).unwrap();
    let without = figures(&["report", &output, "--min", "1"]);
    assert_eq!(without["measurements"][0]["aspects"], measured["aspects"]);
}

#[test]
fn a_folder_has_rounds_and_vantage_points() {
    let Some(network) = network(3, 1) else { return };
    let folder = temp_dir("report-folder");
    fs::create_dir(folder.join("b")).unwrap();
    let paths = [("clean", 64500), ("ecn-syn-dropped", 64501)];
    let first = measure(&network, &folder, "a.ndjson", &[], &jobs(&network, &paths));
    let text = fs::read_to_string(&first).unwrap();
    // The same targets once more, and from two places where one sees all of them work.
    let from = |text: &str, vantage: &str| {
        text.replace("{\"dip\"", &format!("{{\"vantage\":\"{vantage}\",\"dip\""))
    };
    let works = text.replace("connectivity.broken", "connectivity.works");
    assert_ne!(works, text);
    fs::write(folder.join("a.ndjson"), from(&text, "zurich") + &from(&text, "zurich")).unwrap();
    fs::write(folder.join("b/b.ndjson"), from(&works, "aberdeen")).unwrap();
    let report = figures(&["report", &folder.display().to_string(), "--min", "1"]);
    let measured = &report["measurements"][0];
    assert_eq!((&measured["records"], &measured["targets"]), (&json!(24), &json!(8)));
    let of = |key: &str| {
        let all = measured[key].as_array().unwrap().iter();
        all.clone().find(|of| of["aspect"] == "ecn.connectivity").unwrap()["conditions"].clone()
    };
    assert_eq!(
        of("stability"),
        json!({"ecn.stable.connectivity.broken": 4, "ecn.stable.connectivity.works": 4})
    );
    assert_eq!(
        of("multipoint"),
        json!({"ecn.multipoint.connectivity.path_dependent": 4,
            "ecn.multipoint.connectivity.works": 4})
    );
    let text = run(&["report", &folder.display().to_string(), "--by", "vantage", "--min", "1"]);
    text.expect(0, &[]);
    assert!(text.stdout.contains("aberdeen") && text.stdout.contains("zurich"), "{}", text.stdout);
}

#[test]
fn what_changed_between_two_runs() {
    let Some(network) = network(10, 5) else { return };
    let folder = temp_dir("diff");
    let paths = [("clean", 64500), ("ecn-syn-dropped", 64501)];
    let a = measure(&network, &folder, "a.ndjson", &[], &jobs(&network, &paths));
    // One network has mended it, and one target is new.
    let mended =
        fs::read_to_string(&a).unwrap().replace("connectivity.broken", "connectivity.works");
    let b = folder.join("b.ndjson").display().to_string();
    fs::write(&b, mended + &record("198.51.100.9", &json!({}), &["ecn.connectivity.works"]))
        .unwrap();
    let diff = figures(&["diff", &a, &b]);
    let compared = &diff["measurements"][0];
    assert_eq!((&compared["both"], &compared["only"]), (&json!(30), &json!([0, 1])));
    let all = compared["aspects"].as_array().unwrap();
    let of = all.iter().find(|of| of["aspect"] == "ecn.connectivity").unwrap();
    assert_eq!((&of["pairs"], &of["changed"]), (&json!(30), &json!(15)));
    assert_eq!(of["transitions"], json!([{"from": "broken", "to": "works", "targets": 15}]));
    let broken = of["conditions"].as_array().unwrap().iter();
    let broken = broken.clone().find(|of| of["condition"] == "ecn.connectivity.broken").unwrap();
    assert_eq!(
        (&broken["lost"], &broken["gained"], &broken["test"]),
        (&json!(15), &json!(0), &json!("exact"))
    );
    // Fifteen coins, all heads or all tails.
    let p = broken["p"].as_f64().unwrap();
    assert!((p - 2.0_f64.powi(-14)).abs() < 1e-9, "{p}");
    let networks: Vec<(&Value, &Value)> = of["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (&group["value"], &group["changed"]))
        .collect();
    assert_eq!(networks, [(&json!("64501"), &json!(15)), (&json!("64500"), &json!(0))]);
    let text = run(&["diff", &a, &b]);
    text.expect(0, &[]);
    assert!(
        text.stdout.contains("30 targets in both, 0 only in A, 1 only in B"),
        "{}",
        text.stdout
    );
    let same = run(&["diff", &a, &a]);
    same.expect(0, &[]);
    assert!(same.stdout.contains(": 0 changed"), "{}", same.stdout);
}

#[test]
fn networks_are_looked_up_where_records_do_not_have_them() {
    let folder = temp_dir("report-networks");
    let path = |name: &str| folder.join(name).display().to_string();
    let of = |n: u8, more: &Value, word: &str| {
        record(&format!("192.0.2.{n}"), more, &[&format!("ecn.connectivity.{word}")])
    };
    let own = json!({"dip_asn": 64511});
    let text: String = (0..20)
        .map(|n| of(n, &json!({}), "works"))
        .chain((128..148).map(|n| of(n, &json!({}), "broken")))
        .chain((20..40).map(|n| of(n, &own, "works")))
        .collect();
    fs::write(path("a.ndjson"), text).unwrap();
    fs::write(path("routes"), "192.0.2.0\t25\t64500\n192.0.2.128\t25\t64501_64502\n").unwrap();
    let report = figures(&["report", &path("a.ndjson"), "--asn-db", &path("routes")]);
    let groups = report["measurements"][0]["groups"].as_array().unwrap();
    let by_system = groups.iter().find(|group| group["key"] == "dip_asn").unwrap();
    let rows: Vec<(&Value, &Value)> = by_system["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["value"], &row["impaired"]["cases"]))
        .collect();
    let expected =
        [(json!("64501"), json!(20)), (json!("64500"), json!(0)), (json!("64511"), json!(0))];
    assert_eq!(rows, expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    let arguments =
        ["export", &path("a.ndjson"), "--csv", &path("csv"), "--asn-db", &path("routes")];
    run(&arguments).expect(0, &[]);
    let table = fs::read_to_string(folder.join("csv/targets.csv")).unwrap();
    assert_eq!(table.matches(",64501,192.0.2.128/25,").count(), 20, "{table}");
    assert_eq!(table.matches(",64500,192.0.2.0/25,").count(), 20, "{table}");
    assert_eq!(table.matches(",64511,").count(), 20, "{table}");
    fs::write(path("odd"), "no database").unwrap();
    run(&["report", &path("a.ndjson"), "--asn-db", &path("odd")]).expect(7, &["odd"]);
}

#[test]
fn monitoring_has_a_status_of_its_own() {
    let folder = temp_dir("report-limits");
    let file = folder.join("a.ndjson").display().to_string();
    let of = |number: u8, word: &str| {
        record(&format!("192.0.2.{number}"), &json!({}), &[&format!("ecn.connectivity.{word}")])
    };
    let text: String =
        (0..90).map(|n| of(n, "works")).chain((90..100).map(|n| of(n, "broken"))).collect();
    fs::write(&file, text).unwrap();
    let limit = |limit: &str| run(&["report", &file, "--fail-if", limit]);
    limit("ecn.connectivity.broken > 10%").expect(0, &[]);
    limit("ecn.connectivity.broken > 5%").expect(11, &["10.00%", "10 of 100"]);
    limit("ecn.connectivity.works<95%").expect(11, &["90 of 100"]);
    limit("tfo.connectivity.broken > 5%").expect(11, &["no record has a verdict"]);
    limit("nonsense").expect(2, &["no limit"]);
    // A pipe, as monitoring has it.
    let both = run(&["report", &file, "--json", "--fail-if", "ecn.connectivity.broken > 9"]);
    both.expect(11, &[]);
    assert!(serde_json::from_str::<Value>(&both.stdout).is_ok());
}

#[test]
fn what_is_no_record_is_counted_and_named() {
    let folder = temp_dir("report-bad");
    let path = |name: &str| folder.join(name).display().to_string();
    let good: String = (0..5)
        .map(|n| record(&format!("192.0.2.{n}"), &json!({}), &["ecn.connectivity.works"]))
        .collect();
    fs::write(path("a.ndjson"), good.clone() + "{\"dip\":\"192.0.2.9\"}\nno json\n{\"torn")
        .unwrap();
    fs::write(path("b.ndjson"), good.replace("{\"", "{\"schema\":7,\"")).unwrap();
    fs::write(path("a.ndjson.meta.json"), "torn").unwrap();
    fs::write(path("c.pcap"), "x").unwrap();
    fs::write(path("d.ndjson.gz"), b"\x1f\x8b\x08\x00nonsense").unwrap();
    let folder = folder.display().to_string();
    let end = run(&["report", &folder, &path("none")]);
    end.expect(
        9,
        &[
            "a.ndjson:7: line is no record",
            "a.ndjson:6: line is an object",
            "last line is torn",
            "schema is 7",
            "file of metadata cannot be read",
            "d.ndjson.gz: file cannot be read",
            "none: file cannot be opened",
        ],
    );
    assert!(
        end.stdout.contains("5 records in 3 files, 1 other file passed over"),
        "{}",
        end.stdout
    );
    run(&["report", &path("c.pcap")]).expect(7, &["no record was read"]);
    run(&["report", &path("none")]).expect(7, &["cannot be opened"]);
    run(&["diff", &path("a.ndjson")]).expect(2, &["<B>"]);
    run(&["report", "--by", "flow_results.config", &path("a.ndjson")]).expect(2, &["flow_results"]);
}

#[test]
fn hostile_texts_stay_texts() {
    let folder = temp_dir("report-hostile");
    let file = folder.join("a.ndjson").display().to_string();
    let hostile = "\u{1b}[2J\u{202e}\n<script>alert(1)</script>=cmd|' /C calc'!A0";
    let conditions = [&*format!("ecn.connectivity.{hostile}"), &format!("{hostile}.x:{hostile}")];
    let more = json!({"vantage": hostile, "info": {"ASN": hostile}, "plugin": hostile});
    let text: String =
        (0..20).map(|n| record(&format!("192.0.2.{n}"), &more, &conditions)).collect();
    fs::write(&file, text).unwrap();
    for arguments in [&["report", &file, "--by", "info.ASN"][..], &["diff", &file, &file]] {
        let end = run(arguments);
        end.expect(0, &[]);
        let is_harmful = |c: char| c == '\u{1b}' || c == '\u{202e}';
        assert!(!end.stdout.contains(is_harmful), "{:?}", end.stdout);
        let json = run(&[arguments, &["--json"]].concat());
        assert!(!json.stdout.contains(is_harmful), "{:?}", json.stdout);
        let report: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(report["measurements"][0]["name"], hostile, "the figures keep what was there");
    }
}

#[test]
fn programs_of_their_own_are_found_beside_the_program() {
    for command in ["report", "diff", "export"] {
        for arguments in [&["help", command][..], &[command, "--help"]] {
            let end = Program::run(arguments);
            end.expect(0, &[]);
            assert!(end.stdout.contains(&format!("Usage: pathspider {command}")), "{}", end.stdout);
            let option = if command == "export" { "--parquet <DIR>" } else { "--min <N>" };
            assert!(end.stdout.contains(option), "{}", end.stdout);
        }
        assert!(Program::run(&["--help"]).stdout.contains(command));
    }
    // Through a link, too; and where it is not there, it is said what is missing.
    let folder = temp_dir("beside");
    let link = folder.join("pspdr");
    std::os::unix::fs::symlink(built("pathspider"), &link).unwrap();
    let end: Ended = Command::new(&link).args(["report", "--help"]).output().unwrap().into();
    end.expect(0, &[]);
    let alone = folder.join("pathspider");
    fs::copy(built("pathspider"), &alone).unwrap();
    let end: Ended = Command::new(&alone).args(["report", "x"]).output().unwrap().into();
    end.expect(1, &["pathspider-report is missing"]);
    // What it writes for nobody is said, as by any command.
    let script = format!("{} report x >&-", built("pathspider").display());
    let end: Ended = Command::new("sh").args(["-c", &script]).output().unwrap().into();
    end.expect(7, &["cannot be opened"]);
}

#[test]
fn records_are_read_from_a_pipe() {
    let Some(network) = network(2, 0) else { return };
    let script = "$PATHSPIDER measure --allow-special --quiet ecn --connect tcp | tee /dev/stderr | \
                  $PATHSPIDER report --json";
    let ended = network.script(script, &network.jobs("clean"));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["inputs"]["records"], 2);
    let written: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(records(&(written.join("\n") + "\n")).len(), 2);
    assert_eq!(cases(aspect(&report, "ecn.connectivity"))["ecn.connectivity.works"], 2);
}

#[test]
fn words_have_the_classes_that_measurements_declare() {
    let list = Program::run(&["--list-plugins", "--json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let mut seen = 0;
    for plugin in list["plugins"].as_array().unwrap() {
        let name = plugin["name"].as_str().unwrap();
        let info = Program::run(&["--plugin-info", name, "--json"]);
        let info: Value = serde_json::from_str(&info.stdout).unwrap();
        for declared in info["conditions"].as_array().unwrap() {
            let condition = declared["name"].as_str().unwrap();
            if Remark::of(condition).is_some() {
                continue;
            }
            seen += 1;
            let class = declared["class"].as_str().and_then(Class::from_name);
            assert_eq!(Some(Parts::of(condition).class()), class, "{condition}");
        }
    }
    assert!(seen > 40, "{seen}");
}
