//! Command lines: those of PATHspider 0.9, 1.0 and 2.x, and what help says.

use std::fs;
use std::process::Command;

use pathspider_e2e::{Ended, Network, Program, Record, built, network, records, temp_dir};
use pathspider_plugin_api::abi::ABI_VERSION;
use serde_json::Value;

/// The targets behind a path as rows of 1.0.
fn rows(network: &Network, path: &str) -> String {
    let row = |(rank, address)| format!("{address},80,host{rank}.example,{rank}\n");
    network.targets(path).into_iter().enumerate().map(row).collect()
}

/// Each second one of them as an object of 2.x.
fn mixed(network: &Network, path: &str) -> String {
    let (rows, objects) = (rows(network, path), network.jobs(path));
    let lines = rows.lines().zip(objects.lines()).enumerate();
    lines.map(|(at, (row, object))| format!("{}\n", [row, object][at % 2])).collect()
}

fn all_work(records: &[Record], count: usize) {
    assert_eq!(records.len(), count);
    for record in records {
        assert_eq!(record.conditions[0], "ecn.connectivity.works", "{record:?}");
    }
}

#[test]
fn the_form_of_0_9() {
    let Some(network) = network(8, 0) else { return };
    let folder = temp_dir("form-0-9");
    let (input, output) = (folder.join("in.csv"), folder.join("out.txt"));
    fs::write(&input, mixed(&network, "clean")).unwrap();
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    let interface = network.interface();
    let forms: [&[&str]; 6] = [
        &["-i", interface, "--allow-special", input, out],
        &["-s", "-p", "ECNSpider", "-i", interface, "-w", "2", "--allow-special", input, out],
        &["-p", "ECN", "-i", interface, "--worker-count", "2", "--allow-special", input, out],
        &[
            "--standalone",
            "--plugin",
            "ecnspider",
            "--interface",
            interface,
            "--allow-special",
            input,
            out,
        ],
        &[input, "-i", interface, out, "-w2", "--allow-special", "-p", "ecn"],
        &["-i", interface, "-p", "ecn", "--output-flows", "--allow-special", "--", input, out],
    ];
    for arguments in forms {
        let _ = (fs::remove_file(out), fs::remove_file(format!("{out}.meta.json")));
        let end = network.run(Program::command(arguments), "");
        end.expect(0, &["8 targets"]);
        assert!(end.stdout.is_empty(), "{}", end.stdout);
        let records = records(&fs::read_to_string(&output).unwrap());
        all_work(&records, 8);
        let ranks: Vec<u64> = records.iter().filter_map(|r| r.rest.get("rank")?.as_u64()).collect();
        assert_eq!(ranks.len(), 4, "rows and objects may be mixed");
        let with_flows = arguments.contains(&"--output-flows");
        assert!(records.iter().all(|record| record.flow_results.is_some() == with_flows));
        fs::remove_file(&output).unwrap();
    }
}

#[test]
fn the_form_of_1_0() {
    let Some(network) = network(8, 0) else { return };
    let interface = network.interface();
    let input = mixed(&network, "clean");
    let forms: [&[&str]; 5] = [
        &["-i", interface, "--allow-special", "ecn"],
        &[
            "-i",
            interface,
            "-w",
            "2",
            "ECN",
            "--connect",
            "tcp",
            "--timeout",
            "2",
            "--allow-special",
        ],
        &["-s", "-v", "--allow-special", "ecn", "--connect", "tcp", "-i", interface, "-w", "2"],
        &["-i", "nowhere0", "ecn", "-i", interface, "--allow-special"],
        &[
            "ECNSpider",
            "--interface",
            interface,
            "--output-flows",
            "--allow-special",
            "--connect=tcp",
        ],
    ];
    for arguments in forms {
        let end = network.run(Program::command(arguments), &input);
        end.expect(0, &["8 targets"]);
        all_work(&end.records(), 8);
        let with_flows = arguments.contains(&"--output-flows");
        assert!(end.records().iter().all(|record| record.flow_results.is_some() == with_flows));
    }
    let folder = temp_dir("form-1-0");
    fs::write(folder.join("in.csv"), &input).unwrap();
    let script =
        format!("cd {} && exec $PATHSPIDER -i {interface} --allow-special", folder.display());
    let end = network.script(&format!("{script} --input in.csv --output out ecn"), "");
    end.expect(0, &["8 targets"]);
    all_work(&records(&fs::read_to_string(folder.join("out")).unwrap()), 8);
    // A line that is neither: told, and the run goes on.
    let end = network.script(&format!("{script} ecn"), &format!("1,2\n{input}"));
    end.expect(9, &["standard input:1: not a job", "8 targets"]);
}

#[test]
fn the_form_of_2_x_under_its_name() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("form-2-x");
    let pspdr = folder.join("pspdr");
    std::os::unix::fs::symlink(built("pathspider"), &pspdr).unwrap();
    let run = |arguments: &[&str], input: &str| {
        let mut command = Command::new(&pspdr);
        command.args(arguments);
        network.run(command, input)
    };
    let interface = network.interface();
    let jobs = network.jobs("clean");
    let end = run(
        &["measure", "-i", interface, "--allow-special", "-w", "2", "ecn", "--connect", "tcp"],
        &jobs,
    );
    end.expect(0, &["4 targets"]);
    all_work(&end.records(), 4);
    let arguments =
        ["--verbose", "measure", "--allow-special", "-i", interface, "--csv-input", "ecn"];
    let end = run(&arguments, &rows(&network, "clean"));
    end.expect(0, &["4 targets"]);
    all_work(&end.records(), 4);
    let end = run(
        &["measure", "ecn", "--csv-input", "--allow-special", "-i", interface],
        &rows(&network, "clean"),
    );
    all_work(&end.records(), 4);
    let help = run(&["--help"], "");
    help.expect(0, &[]);
    assert!(help.stdout.contains("Usage: pspdr COMMAND"), "{}", help.stdout);
    assert!(run(&["measure", "-h"], "").stdout.contains("pspdr measure [OPTIONS]"));
    assert!(run(&["observe", "--list-chains"], "").stdout.contains("ecn: ECN marks"));
    let end = run(&["filter", "--csv-input", "--dp", "443"], "12,example.org\n");
    assert_eq!(end.stdout, "{\"rank\":12,\"domain\":\"example.org\",\"dp\":443}\n");
}

#[test]
fn mistyped_names_and_names_that_are_gone() {
    let run = |arguments: &[&str]| Program::run(arguments);
    let lists = [
        "the commands measure, probe, trace, observe, filter, report, diff, export, campaign, agent, respond, rejudge, check",
        "the plugins ",
        "ecn",
    ];
    for (word, rest, meant, status) in [
        ("mesure", "ecn", "measure", 2),
        ("obsrve", "basic", "observe", 2),
        ("enc", "--connect", "ecn", 3),
        ("ecnn", "-w", "ecn", 3),
    ] {
        let end = run(&[word, rest, "tcp"]);
        end.expect(status, &[&format!("{word:?} (did you mean {meant}?)")]);
        end.expect(status, &lists);
    }
    run(&["telepathy"]).expect(3, &["named \"telepathy\"; there are", lists[1]]);
    let option = run(&["measure", "--alow-special", "ecn"]);
    option.expect(2, &["measure has no option --alow-special (did you mean --allow-special?)"]);
    let option = run(&["measure", "--connect", "tcp", "ecn"]);
    option.expect(2, &["no option --connect", "stand behind its name"]);
    run(&["measure", "enc"]).expect(3, &["\"enc\" (did you mean ecn?)", "there are: "]);
    run(&["-p", "enc", "in", "out"]).expect(3, &["did you mean ecn?"]);
    run(&["-p", "TemplateSpider", "in", "out"]).expect(3, &["any more", "example"]);
    run(&["tls"]).expect(3, &["any more", "h2"]);
    run(&["upload", "x"]).expect(2, &["no command upload any more", "curl"]);
    run(&["help", "mesure"]).expect(2, &["did you mean measure?"]);
    run(&["help", "enc"]).expect(3, &["did you mean ecn?"]);
    run(&["/nonexistent/in.csv", "/nonexistent/out"]).expect(7, &["cannot read /nonexistent/in"]);
    run(&["ecn", "/etc/hosts"]).expect(2, &["to read targets from it, give --input /etc/hosts"]);
    run(&["ecn", "-w", "0"]).expect(2, &["-w"]);
    run(&["--input", "a", "in.csv", "out"]).expect(2, &["cannot be used with"]);
}

#[test]
fn a_plugin_named_like_a_command() {
    let Some(network) = network(2, 0) else { return };
    let folder = built("").display().to_string();
    let run = |arguments: &[&str]| {
        let mut all = vec!["--plugin-dir", &folder];
        all.extend(arguments);
        network.run(Program::command(&all), &network.jobs("clean"))
    };
    // The command stays the command; the plugin is reached where only a plugin can be.
    assert!(run(&["observe", "--list-chains"]).stdout.contains("basic: "));
    assert!(run(&["help", "observe"]).stdout.contains("Watch whatever passes"));
    for arguments in [&["help", "measure", "observe"][..], &["--plugin-info", "observe"]] {
        let end = run(arguments);
        assert!(end.stdout.starts_with("observe 1.0.0: Has the name of a command"), "{end:?}");
    }
    let end = run(&["measure", "--allow-special", "-i", network.interface(), "observe"]);
    end.expect(0, &["2 targets"]);
    assert_eq!(end.records()[0].conditions, ["observe.connectivity.online"]);
    // Its option --input hides the one of `measure`, which may still stand before it.
    let input = ["measure", "-i", network.interface(), "--input", "/nonexistent"];
    run(&[&input[..], &["observe"]].concat()).expect(7, &["/nonexistent"]);
    let end =
        run(&["measure", "--allow-special", "-i", network.interface(), "observe", "--input", "x"]);
    end.expect(0, &["2 targets"]);
    let end = run(&[
        "measure",
        "--allow-special",
        "-i",
        network.interface(),
        "observe",
        "--input",
        "refused",
    ]);
    end.expect(4, &["this input is refused"]);
}

/// Standard output, without what the terminal's width makes of it.
fn unwrapped(end: &Ended) -> String {
    end.expect(0, &[]);
    end.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn all_about_a_plugin() {
    let text = unwrapped(&Program::run(&["help", "ecn"]));
    for arguments in [&["measure", "ecn", "--help"][..], &["ecn", "-h"], &["--plugin-info", "ECN"]]
    {
        assert_eq!(unwrapped(&Program::run(arguments)), text, "{arguments:?}");
    }
    let abi = format!("/plugins/ecn.so Plugin ABI {ABI_VERSION} Contact https://");
    for part in [
        "ecn 0.1.0: Explicit Congestion Notification",
        "--timeout <SECONDS> How long one connection may take [0.01 to 3600] [default: 5]",
        "[default: http] [possible values: http, ",
        "1 ecn holds until the connection's first packet is sent",
        "tcp_connected bool",
        "ecn.connectivity.broken impaired the baseline worked, the experiment did not",
        "ecn.negotiation.failed absent that SYN/ACK did not have ECE",
        "CAP_NET_RAW to capture packets CAP_NET_ADMIN to change the system's settings",
        &abi,
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let end = Program::run(&["--plugin-info", "ecn", "--json"]);
    assert!(end.stdout.contains("\"ecn.location.dropped:<hop>\""), "{}", end.stdout);
    end.expect(0, &[]);
    let info: Value = serde_json::from_str(&end.stdout).unwrap();
    let keys: Vec<&String> = info.as_object().unwrap().keys().collect();
    let documented = [
        "name",
        "version",
        "description",
        "contact",
        "file",
        "abi",
        "blocking",
        "depends",
        "takes_names",
        "options",
        "default_port",
        "configurations",
        "chains",
        "conditions",
        "privileges",
        "unavailable",
    ];
    assert_eq!(keys.len(), documented.len(), "{keys:?}");
    assert!(documented.iter().all(|key| info.get(key).is_some()), "{keys:?}");
    assert_eq!(info["options"][1]["max"], 3600.0);
    assert_eq!(info["configurations"][0]["hold"], "initiation");
    assert_eq!(info["configurations"][0]["carrier"], "opening");
    let failed = info["conditions"].as_array().unwrap().iter();
    let failed = failed.clone().find(|c| c["name"] == "ecn.negotiation.failed").unwrap();
    assert_eq!(
        (&failed["aspect"], &failed["class"]),
        (&"ecn.negotiation".into(), &"absent".into())
    );
    assert_eq!(info["chains"][0]["fields"][0]["name"], "sip");
    assert_eq!(info["default_port"], 80);
    Program::run(&["--plugin-info", "nothing"]).expect(3, &["no plugin named"]);
}

#[test]
fn the_list_of_plugins_as_json() {
    let folder = temp_dir("list-json");
    fs::write(folder.join("text.so"), "not a library").unwrap();
    fs::copy(built("plugins/ecn.so"), folder.join("ecn.so")).unwrap();
    let end = Program::run(&["-l", "--json", "--plugin-dir", folder.to_str().unwrap()]);
    end.expect(0, &[]);
    assert!(end.stderr.is_empty(), "{}", end.stderr);
    let list: Value = serde_json::from_str(&end.stdout).unwrap();
    let file = |name: &str| folder.canonicalize().unwrap().join(name).display().to_string();
    let ecn = list["plugins"].as_array().unwrap().iter().find(|p| p["name"] == "ecn").unwrap();
    assert_eq!(
        (&ecn["file"], &ecn["abi"]),
        (&file("ecn.so").into(), &ABI_VERSION.to_string().into())
    );
    assert_eq!(list["hidden"][0]["by"], file("ecn.so"));
    assert_eq!(list["rejected"][0]["file"], file("text.so"));
    assert!(list["rejected"][0]["reason"].as_str().unwrap().contains("it is no shared library"));
    assert_eq!(list["folders"][0], folder.canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn help_for_every_command() {
    let shown = Program::run(&["help"]);
    for command in ["measure", "observe", "filter", "restore", "help", "completions"] {
        assert!(shown.stdout.contains(&format!("\n  {command} ")), "{}", shown.stdout);
        let end = Program::run(&["help", command]);
        end.expect(0, &[]);
        assert!(end.stdout.contains(&format!("Usage: pathspider {command}")), "{}", end.stdout);
        assert_eq!(Program::run(&[command, "--help"]).stdout, end.stdout);
    }
}

#[test]
fn an_error_of_the_arguments_is_one_line_that_says_what_to_do() {
    for (arguments, words) in [
        (&["measure", "--owtput", "x", "ecn"][..], &["measure has no option --owtput"][..]),
        (&["filter", "--conditon", "x"], &["'--condition'", "see pathspider help filter\n"]),
        (&["measure", "-w", "0", "ecn"], &["invalid value '0'", "0 is not between 1 and 1000000"]),
        (
            &["ecn", "--connect", "pigeon"],
            &["[possible values: http, ", "see pathspider help ecn\n"],
        ),
        (&["observe"], &["<CHAIN>", "see pathspider help observe\n"]),
        (&["report", "--min", "x"], &["invalid value 'x'", "see pathspider help report\n"]),
        (&["rejudge", "--records", "x"], &["--pcap <FILE>", "see pathspider help rejudge\n"]),
    ] {
        let end = Program::run(arguments);
        end.expect(2, words);
        assert_eq!(end.stderr.lines().count(), 1, "{arguments:?}: {}", end.stderr);
        assert!(end.stderr.starts_with("pathspider: "), "{}", end.stderr);
    }
}

#[test]
fn the_version_names_what_it_was_built_from_and_works_with() {
    let end = Program::run(&["--version"]);
    end.expect(0, &[]);
    let abi = format!("plugin ABI {ABI_VERSION}, libpcap 1.");
    assert!(end.stdout.starts_with("pathspider 0."), "{}", end.stdout);
    assert!(end.stdout.contains("(commit ") && end.stdout.contains(&abi), "{}", end.stdout);
}
