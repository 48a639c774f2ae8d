//! What the program says of bad input: one clear line, and an exit status for each kind.

use std::fs;
use std::process::Command;

use pathspider_e2e::{Program, built, network, temp_dir};

#[test]
fn no_such_plugin() {
    let end = Program::run(&["measure", "-i", "lo", "telepathy"]);
    end.expect(3, &["no plugin named \"telepathy\"", "there are: ", "dnsresolv", "ecn"]);
    Program::run(&["measure", "-i", "lo"]).expect(2, &["which plugin?", "ecn"]);
}

#[test]
fn bad_arguments() {
    Program::run(&["measure", "-w", "0", "ecn"]).expect(2, &["-w", "0"]);
    Program::run(&["measure", "ecn", "--connect", "pigeon"])
        .expect(2, &["pigeon", "http, https, tcp"]);
    Program::run(&["measure", "ecn", "--timeout", "-1"]).expect(2, &["--timeout", "-1"]);
    Program::run(&["measure", "ecn", "--nonsense"]).expect(2, &["--nonsense"]);
    Program::run(&["-w", "5", "measure", "ecn"]).expect(2, &["stand after it"]);
    Program::run(&["measure", "-i", "/nonexistent/x.pcap", "ecn"]).expect(2, &["recorded capture"]);
    Program::run(&["in.csv"]).expect(2, &["OUTPUTFILE"]);
    Program::run(&[]).expect(2, &["--help"]);
}

#[test]
fn a_plugins_options_are_in_its_help() {
    let end = Program::run(&["measure", "ecn", "--help"]);
    end.expect(0, &[]);
    // Help is wrapped to the terminal's width.
    let help = end.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in ["--connect <MODE>", "http, https, tcp", "--timeout <SECONDS>", "[default: 5]"] {
        assert!(help.contains(word), "{help}");
    }
}

#[test]
fn interfaces_that_cannot_be_used() {
    let Some(network) = network(1, 0) else { return };
    let run = |script: &str| network.script(script, "");
    run("exec $PATHSPIDER measure -i nowhere0 ecn").expect(6, &["nowhere0", network.interface()]);
    run("ip link add down0 type veth peer name down1 && exec $PATHSPIDER measure -i down0 ecn")
        .expect(6, &["down0", "down"]);
}

#[test]
fn kernel_parameters_that_are_read_only_as_in_a_container() {
    let Some(network) = network(1, 0) else { return };
    let read_only = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";
    let run = format!(
        "{read_only} && exec $PATHSPIDER measure --allow-special -i {} ecn",
        network.interface()
    );
    let end = network.script(&run, &network.jobs("clean"));
    end.expect(5, &["/proc/sys is read-only. Mend it: mount -o remount,rw /proc/sys"]);
}

#[test]
fn no_privilege() {
    let Some(network) = network(1, 0) else { return };
    // The program where an unprivileged user can reach it.
    let folder = temp_dir("no-privilege");
    fs::copy(built("pathspider"), folder.join("pathspider")).unwrap();
    fs::create_dir(folder.join("plugins")).unwrap();
    fs::copy(built("plugins/ecn.so"), folder.join("plugins/ecn.so")).unwrap();
    let script = format!(
        "chmod -R a+rX {0} && mkdir -p {0}/state && chown 65534 {0}/state && \
         export PATHSPIDER_STATE_DIR={0}/state && exec setpriv --reuid=65534 --regid=65534 \
         --clear-groups --bounding-set=-all {0}/pathspider measure -i {1} --allow-special ecn",
        folder.display(),
        network.interface()
    );
    network.script(&script, "").expect(5, &["CAP_NET_ADMIN", "setcap cap_net_raw,cap_net_admin"]);
    fs::copy(built("plugins/mss.so"), folder.join("plugins/mss.so")).unwrap();
    let changes_nothing = script.replace(" ecn", " mss");
    network.script(&changes_nothing, "").expect(5, &["CAP_NET_RAW", "setcap"]);
    let script = script.replace(
        "--bounding-set=-all",
        "--bounding-set=-all,+net_raw --inh-caps=+net_raw --ambient-caps=+net_raw",
    );
    network.script(&script, &network.jobs("clean")).expect(5, &["CAP_NET_ADMIN", "setcap"]);
    let script = script.replace("+net_raw", "+net_raw,+net_admin");
    network
        .script(&script, &network.jobs("clean"))
        .expect(0, &["1 target in", "ecn.connectivity.works"]);
}

#[test]
fn input_that_cannot_be_read() {
    let run = |input: &str| Program::run(&["measure", "-i", "lo", "--input", input, "ecn"]);
    run("/nonexistent/jobs").expect(7, &["cannot read /nonexistent/jobs"]);
    run("/etc").expect(7, &["cannot read /etc"]);
}

#[test]
fn output_that_cannot_be_written() {
    let Some(network) = network(3, 0) else { return };
    let jobs = network.jobs("clean");
    let run =
        |output: &str| network.measure(&["--output", output, "ecn", "--connect", "tcp"], &jobs);
    run("/nonexistent/out").expect(8, &["cannot write to /nonexistent/out"]);
    let folder = temp_dir("output");
    let file = folder.join("out.ndjson");
    fs::write(&file, &jobs).unwrap();
    let path = file.to_str().unwrap();
    Program::run(&["measure", "-i", "nowhere0", "--output", path, "ecn"])
        .expect(8, &["it is there already (--force"]);
    Program::run(&["measure", "-i", "nowhere0", "--force", "--output", path, "ecn"]).expect(6, &[]);
    network
        .measure(&["--input", path, "--output", path, "ecn"], "")
        .expect(2, &["--input and --output are the same file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), jobs, "left as it was");
    run("/dev/full").expect(8, &["cannot write to /dev/full", "No space left"]);
}

#[test]
fn lines_that_are_no_jobs_are_counted_and_the_run_goes_on() {
    let Some(network) = network(2, 0) else { return };
    let input = format!("nonsense\n{}{{\"dip\":\"example.org\"}}\n", network.jobs("clean"));
    let end = network.measure(&["ecn", "--connect", "tcp"], &input);
    end.expect(
        9,
        &[
            "standard input:1: not a job",
            "standard input:4: not a job: \"example.org\" is not an IP address; with --resolve",
            "2 targets",
            "2 lines were not jobs",
        ],
    );
    assert_eq!(end.records().len(), 2);
}

#[test]
fn nothing_but_records_on_standard_output() {
    let Some(network) = network(1, 0) else { return };
    network.measure(&["ecn"], "").expect(0, &["0 targets"]);
    assert!(network.measure(&["ecn"], "").stdout.is_empty());
}

#[test]
fn install_puts_everything_in_its_place() {
    let folder = temp_dir("install");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let built = built("").canonicalize().unwrap();
    let made = Command::new("make")
        .args(["--no-print-directory", "-C", root, "install", "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", folder.display()))
        .arg(format!("TARGET={}", built.display()))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let program = folder.join("usr/bin/pathspider");
    let listed = Command::new(program).arg("--list-plugins").output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    for page in ["", "-measure", "-report", "-lab", "-ecn"] {
        let page = folder.join(format!("usr/share/man/man1/pathspider{page}.1"));
        let text = fs::read_to_string(&page).unwrap();
        for heading in ["SYNOPSIS", "EXAMPLES", "\"EXIT STATUS\"", "ENVIRONMENT", "\"SEE ALSO\""] {
            assert!(text.contains(&format!(".SH {heading}\n")), "{heading} in {}", page.display());
        }
    }
    for file in [
        "bash-completion/completions/pathspider",
        "zsh/vendor-completions/_pathspider",
        "fish/vendor_completions.d/pathspider.fish",
    ] {
        let text = fs::read_to_string(folder.join("usr/share").join(file)).unwrap();
        assert!(text.contains("pathspider"), "{file}: {text}");
    }
    assert_eq!(fs::read_link(folder.join("usr/bin/pspdr")).unwrap().to_str(), Some("pathspider"));
    let plugin = folder.join("usr/lib/pathspider/ecn.so").canonicalize().unwrap();
    assert!(text.contains(plugin.to_str().unwrap()), "{text}");
}
