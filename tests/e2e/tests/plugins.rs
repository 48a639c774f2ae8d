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
fn files_that_are_no_plugins_are_rejected_with_the_reason() {
    let folder = temp_dir("rejected");
    fs::write(folder.join("text.so"), "not a library").unwrap();
    fs::write(folder.join("empty.so"), "").unwrap();
    fs::write(folder.join("ignored.so.bak"), "").unwrap();
    fs::create_dir(folder.join("folder.so")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", folder.join("dangling.so")).unwrap();
    fs::copy(built("libwrong_abi.so"), folder.join("wrong_abi.so")).unwrap();
    let end = list(&[&folder], Path::new(""));
    end.expect(
        0,
        &[
            "text.so is rejected: it cannot be loaded",
            "empty.so is rejected: it cannot be loaded",
            "folder.so is rejected: it is not a regular file",
            "dangling.so is rejected: it is not a regular file",
            "wrong_abi.so is rejected: it speaks plugin ABI 2.7, this host 1.0: install a newer",
        ],
    );
    assert!(!end.stderr.contains("ignored"), "{}", end.stderr);
    assert!(end.stdout.contains("ecn "), "{}", end.stdout);
    let folder = folder.to_str().unwrap();
    Program::run(&["measure", "--plugin-dir", folder, "-i", "lo", "wrong_abi"])
        .expect(4, &["ABI 2.7", "this host 1.0"]);
    let before_the_command = Program::run(&["--plugin-dir", folder, "measure", "nothing"]);
    before_the_command.expect(3, &["no plugin named \"nothing\""]);
}

#[test]
fn loaded_and_linked_describe_themselves_alike() {
    let (info, options) = MeasurementHandle::of::<Ecn>().describe().unwrap();
    let end = Program::run(&["--list-plugins"]);
    assert!(end.stdout.contains(&info.description), "{}", end.stdout);
    let help = Program::run(&["measure", "ecn", "--help"]).stdout;
    for option in options.iter() {
        assert!(help.contains(&format!("--{} <{}>", option.name, option.placeholder)), "{help}");
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
        assert_eq!(record.conditions, ["mis.connectivity.works"], "{record:?}");
        assert!(record.flow_results.unwrap().iter().all(|flow| flow.rest["tcp_connected"] == true));
    }
}

#[test]
fn a_plugins_failures_are_the_jobs_and_the_run_goes_on() {
    let Some(network) = network(6, 0) else { return };
    let folder = built("").display().to_string();
    for (how, message) in [
        ("panic-in-pre-connect", "plugin: panicked: asked to panic in pre_connect"),
        ("panic-in-connect", "plugin: panicked: asked to panic in connect"),
        ("panic-in-combine", "plugin: panicked: asked to panic in combine"),
        (
            "undeclared-condition",
            "plugin: broke the contract: combine: it gave the condition mis.declared.never",
        ),
    ] {
        let arguments = ["--plugin-dir", &folder, "misbehaving", "--how", how];
        let end = network.measure(&arguments, &network.jobs("clean"));
        end.expect(9, &["6 targets", "6 errors of the plugin"]);
        for record in end.records() {
            assert!(record.spdr_error.as_deref().unwrap().starts_with(message), "{record:?}");
            assert!(record.conditions.is_empty());
        }
    }
    let arguments = ["--plugin-dir", &folder, "misbehaving", "--how", "decline-odd-jobs"];
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
