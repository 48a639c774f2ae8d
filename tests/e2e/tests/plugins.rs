//! Plugins: finding them, refusing them, and surviving what they do.

use std::fs;
use std::path::Path;
use std::process::Command;

use pathspider_e2e::{Ended, Program, built, network, temp_dir};
use pathspider_ecn::Ecn;
use pathspider_plugin_api::abi::MeasurementHandle;

fn list(folders: &[&Path], variable: &Path) -> Ended {
    let mut command: Command = Program::command(&["--list-plugins"]);
    for folder in folders {
        command.arg("--plugin-dir").arg(folder);
    }
    command.env("PATHSPIDER_PLUGIN_PATH", variable).output().unwrap().into()
}

#[test]
fn the_first_of_a_name_wins_and_the_others_are_named() {
    let folder = temp_dir("shadowing");
    let (first, second) = (folder.join("first"), folder.join("second"));
    for place in [&first, &second] {
        fs::create_dir(place).unwrap();
        fs::copy(built("plugins/ecn.so"), place.join("ecn.so")).unwrap();
    }
    let end = list(&[&first], &second);
    end.expect(
        0,
        &[&format!(
            "ecn in {}/ecn.so is not used: {}/ecn.so comes first",
            second.display(),
            first.display()
        )],
    );
    let line = end.stdout.lines().find(|line| line.starts_with("ecn ")).unwrap();
    assert!(line.contains(env!("CARGO_PKG_VERSION")) && line.contains("Congestion"), "{line}");
    assert!(line.ends_with(&format!("{}/ecn.so", first.display())), "{line}");
    assert_eq!(end.stderr.matches("is not used").count(), 2, "{}", end.stderr);
}

#[test]
fn loaded_and_linked_describe_themselves_alike() {
    let (info, options) = MeasurementHandle::of::<Ecn>().describe().unwrap();
    let end = Program::run(&["--list-plugins"]);
    assert!(end.stdout.contains(&info.description), "{}", end.stdout);
    let help = Program::run(&["measure", "ecn", "--help"]).stdout;
    // Long lines are broken anywhere.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for option in options.iter() {
        let called = if option.placeholder.is_empty() {
            format!("--{} ", option.name)
        } else {
            format!("--{} <{}>", option.name, option.placeholder)
        };
        assert!(help.contains(&called), "{called}: {help}");
        assert!(help.contains(&option.help), "{help}");
    }
}

#[test]
fn a_plugin_that_connects_by_itself_is_observed() {
    let Some(network) = network(10, 5) else { return };
    let folder = built("").display().to_string();
    let measure = |jobs: &str| {
        let arguments = ["--plugin-dir", &folder, "-w", "8", "--output-flows", "misbehaving"];
        network.measure(&arguments, jobs)
    };
    let end = measure(&network.jobs("clean"));
    end.expect(0, &["15 targets"]);
    for record in end.records() {
        assert_eq!(record.conditions, ["misbehaving.connectivity.works"], "{record:?}");
        assert!(record.flow_results.unwrap().iter().all(|flow| flow.rest["tcp_connected"] == true));
    }
}

#[test]
fn a_plugins_failures_are_the_jobs_and_the_run_goes_on() {
    let Some(network) = network(6, 0) else { return };
    let folder = built("").display().to_string();
    let functions = ["pre-connect", "connect", "post-connect", "merge", "combine", "rows"];
    let panics = functions.map(|function| {
        let message = format!("plugin: panicked: asked to panic in {function} (");
        (format!("panic-in-{function}"), message)
    });
    let breaches = [
        (
            "undeclared-condition",
            "combine: it gave the condition misbehaving.declared.never, which it does not declare \
             (conditions!, Info::conditions) (rule declared-conditions)",
        ),
        (
            "wrong-index",
            "combine: it gave pathspider.not_applied:7, and there are 2 configurations (rule \
             configuration-index)",
        ),
        (
            "not-a-number",
            "post_connect: its record is not valid: ratio: NaN is no number in JSON (rule \
             valid-records)",
        ),
        (
            "key-twice",
            "post_connect: its record is not valid: the key \"key\" stands in it twice (rule \
             valid-records)",
        ),
        (
            "reserved-key",
            "merge: it changed \"observed\", which the host sets (rule reserved-keys)",
        ),
        ("reserved-row", "rows: it set \"jobId\", which the host sets (rule reserved-keys)"),
    ]
    .map(|(how, what)| (how.to_owned(), format!("plugin: broke the contract: {what}")));
    for (how, message) in panics.into_iter().chain(breaches) {
        let arguments = ["--plugin-dir", &folder, "misbehaving", "--how", &how];
        let end = network.measure(&arguments, &network.jobs("clean"));
        end.expect(9, &["6 targets", "6 errors of the plugin"]);
        for record in end.records() {
            let said = record.spdr_error.as_deref().unwrap();
            // A panic says where it was.
            match message.strip_suffix(" (") {
                Some(_) => {
                    let place = said.strip_prefix(&message).unwrap();
                    assert!(place.contains("misbehaving/src/lib.rs:"), "{said}");
                }
                None => assert_eq!(said, message),
            }
            assert!(record.conditions.is_empty());
        }
    }
    for function in ["new", "configurations", "chains"] {
        let how = format!("panic-in-{function}");
        let arguments = ["--plugin-dir", &folder, "misbehaving", "--how", &how];
        let message = format!("cannot be set up: panicked: asked to panic in {function}");
        network.measure(&arguments, &network.jobs("clean")).expect(4, &[&message]);
    }
    let arguments = ["--plugin-dir", &folder, "misbehaving", "--decline-odd-jobs"];
    let end = network.measure(&arguments, &network.jobs("clean"));
    end.expect(9, &["3 errors of the plugin"]);
    let declined = end
        .records()
        .iter()
        .filter(|r| r.spdr_error.as_deref() == Some("plugin: an odd job"))
        .count();
    assert_eq!(declined, 3);
}

#[test]
fn a_measurement_uses_the_chains_of_any_plugin() {
    let Some(network) = network(3, 0) else { return };
    let folder = built("").display().to_string();
    let measure = |chain: &str| {
        let arguments =
            ["--plugin-dir", &folder, "--output-flows", "misbehaving", "--chain", chain];
        network.measure(&arguments, &network.jobs("clean"))
    };
    for (chain, field) in [("ttl", "ttl_rev"), ("chains.tcp", "segments")] {
        let end = measure(chain);
        end.expect(0, &["3 targets"]);
        for flow in end.records().into_iter().flat_map(|record| record.flow_results.unwrap()) {
            assert!(flow.rest[field].as_u64().unwrap() > 1, "{flow:?}");
        }
    }
    measure("nonsense").expect(4, &["no chain \"nonsense\"", "chains.ttl"]);
    let end = measure("panics");
    end.expect(9, &["3 errors of the plugin"]);
}

#[test]
fn a_worker_that_is_blocked_is_replaced() {
    let Some(network) = network(6, 0) else { return };
    let folder = built("").display().to_string();
    for function in ["pre_connect", "connect"] {
        let how = format!("block-in-{}", function.replace('_', "-"));
        let options = ["--plugin-dir", &folder, "-w", "1", "--plugin-timeout", "5s"];
        let arguments = [&options[..], &["misbehaving", "--how", &how]].concat();
        let end = network.measure(&arguments, &network.jobs("clean"));
        end.expect(9, &["6 targets", "1 error of the plugin"]);
        let records = end.records();
        let (blocked, others): (Vec<_>, Vec<_>) =
            records.iter().partition(|record| record.spdr_error.is_some());
        let reason = format!(
            "plugin: broke the contract: {function}: it did not return within 5 s \
             (--plugin-timeout) (rule blocking)"
        );
        assert_eq!(blocked[0].spdr_error.as_deref(), Some(reason.as_str()));
        assert_eq!(others.len(), 5);
        for record in others {
            assert_eq!(record.conditions, ["misbehaving.connectivity.works"], "{record:?}");
        }
    }
}

#[test]
fn the_end_of_a_run_is_the_plugins_too() {
    let Some(network) = network(3, 0) else { return };
    let folder = built("").display().to_string();
    let output = temp_dir("finish").join("records.ndjson");
    let measure = |options: &[&str]| {
        let output = output.to_str().unwrap();
        let always = ["--plugin-dir", &folder, "--plugin-timeout", "2s", "--output", output];
        let arguments = [&always[..], &["--force"], options].concat();
        let end = network.measure(&arguments, &network.jobs("clean"));
        let records = pathspider_e2e::records(&fs::read_to_string(output).unwrap());
        assert!(records.iter().all(|record| record.conditions.len() == 1), "{records:?}");
        let metadata = fs::read_to_string(format!("{output}.meta.json")).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        (end, records.len(), metadata["runs"][0]["plugin"].clone())
    };
    // What it says of the whole run is in the metadata.
    let (end, records, said) = measure(&["threads"]);
    end.expect(0, &["3 targets"]);
    assert_eq!((records, said), (3, serde_json::json!({"questions": 3})));
    for (how, error) in [
        ("panic-in-finish", "panicked: asked to panic in finish"),
        ("block-in-finish", "finish: it did not return within 2 s (rule blocking)"),
        (
            "not-a-number-at-the-end",
            "finish: its record is not valid: ratio: NaN is no number in JSON (rule valid-records)",
        ),
    ] {
        let (end, records, said) = measure(&["misbehaving", "--how", how]);
        end.expect(9, &["3 targets", "1 error of the plugin", error]);
        assert_eq!((records, said), (3, serde_json::Value::Null), "{how}");
    }
}

#[test]
fn allocators_threads_and_thread_locals_of_plugins_do_no_harm() {
    let Some(network) = network(6, 4) else { return };
    let folder = built("").display().to_string();
    for name in ["allocator", "threads"] {
        let end = network.measure(&["--plugin-dir", &folder, name], &network.jobs("clean"));
        end.expect(0, &["10 targets"]);
        for record in end.records() {
            assert_eq!(record.conditions, [format!("{name}.connectivity.online")]);
        }
        let library = built(&format!("libown_{name}.so"));
        Program::run(&["check", library.to_str().unwrap()]).expect(0, &[]);
    }
}
