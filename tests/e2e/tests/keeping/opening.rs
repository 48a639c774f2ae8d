//! How a run opens what it writes: nothing is lost to one that cannot start, or to a wrong name.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command};

use pathspider_e2e::{Ended, Program, network, state_dir, temp_dir, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use super::{ECN, command, measure};

#[test]
fn a_status_file_takes_no_other_files_place() {
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("status-place");
    let name = |name: &str| folder.join(name).display().to_string();
    let (old, status) = (name("old.ndjson"), name("status.csv"));
    let jobs = network.jobs("clean");
    fs::write(&old, &jobs).unwrap();
    for mode in ["--quiet", "--resume"] {
        let arguments = ["--status-file", &old, "--output", &name("out.ndjson"), mode];
        measure(&network, &arguments, &ECN, &jobs).expect(8, &["old.ndjson: it is there already"]);
        assert_eq!(fs::read_to_string(&old).unwrap(), jobs);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    // One of an earlier run is written over, and so is an empty one; with --force any.
    fs::write(&status, "").unwrap();
    let shows = |arguments: &[&str]| {
        measure(&network, arguments, &ECN, &jobs).expect(0, &["2 targets"]);
        let text = fs::read_to_string(arguments.last().unwrap()).unwrap();
        assert!(text.starts_with("time,elapsed,") && text.lines().count() < 5, "{text}");
    };
    shows(&["--status-file", &status]);
    fs::write(&status, fs::read_to_string(&status).unwrap() + &"\n".repeat(99)).unwrap();
    shows(&["--status-file", &status]);
    shows(&["--force", "--status-file", &old]);
}

#[test]
fn a_status_file_of_a_run_that_cannot_start_is_as_it_was() {
    let Some(network) = network(1, 0) else { return };
    let folder = temp_dir("status-start");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let (old, new) = (folder.join("old"), folder.join("new"));
    fs::write(&old, "time,elapsed\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o666)).unwrap();
    for path in [&old, &new] {
        let path = path.to_str().unwrap();
        // Without the privilege to capture.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        command.arg(Program::command(&[]).get_program());
        command.args(["measure", "--allow-special", "-i", network.interface()]);
        command.args(["--force", "--status-file", path]).args(["mss"]);
        command.env("PATHSPIDER_STATE_DIR", state_dir());
        network.run(command, "").expect(5, &["CAP_NET_RAW"]);
    }
    assert_eq!(fs::read_to_string(&old).unwrap(), "time,elapsed\n");
    assert!(!new.exists());
}

#[test]
fn one_file_has_one_purpose() {
    let Some(network) = network(1, 0) else { return };
    let folder = temp_dir("purposes");
    let name = |name: &str| folder.join(name).display().to_string();
    let (out, input, list) = (name("out"), name("in"), name("list"));
    let jobs = network.jobs("clean");
    fs::write(&input, &jobs).unwrap();
    fs::write(&list, "192.0.2.1\n").unwrap();
    fs::write(name("out.meta.json"), &jobs).unwrap();
    symlink(&input, name("link")).unwrap();
    fs::hard_link(&input, name("second")).unwrap();
    let conflicts = [
        (["--input", &input, "--status-file", &name("link")], ["--input", "--status-file"]),
        (["--input", &input, "--save-pcap", &name("second")], ["--input", "--save-pcap"]),
        (["--blocklist", &list, "--output", &list], ["--blocklist", "--output"]),
        (["--input", &name("out.meta.json"), "--output", &out], ["--input", "beside --output"]),
        (["--output", &out, "--save-pcap", &out], ["--output", "--save-pcap"]),
        (["--output", &out, "--status-file", &name("out.without")], ["beside", "--status-file"]),
        (["--save-pcap", &name("x"), "--status-file", &name("./x")], ["--save-pcap", "--status"]),
    ];
    for (arguments, options) in conflicts {
        let end = measure(&network, &[&arguments[..], &["--force"]].concat(), &ECN, "");
        end.expect(2, &[&options[..], &["are the same file"]].concat());
    }
    let script = format!(
        "cd {} && $PATHSPIDER measure -i {} --allow-special --force --output in ecn <in",
        folder.display(),
        network.interface()
    );
    network.script(&script, "").expect(2, &["standard input and --output are the same file"]);
    for path in [&input, &name("out.meta.json")] {
        assert_eq!(fs::read_to_string(path).unwrap(), jobs);
    }
    assert_eq!(fs::read_to_string(&list).unwrap(), "192.0.2.1\n");
    assert!(!Path::new(&out).exists());
    // Devices and pipes are no files.
    let null = ["--output", "/dev/null", "--save-pcap", "/dev/null", "--status-file", "/dev/null"];
    measure(&network, &null, &ECN, &jobs).expect(0, &["1 target"]);
}

#[test]
fn what_is_to_be_written_over_is_there_until_the_run_can_start() {
    let Some(network) = network(1, 0) else { return };
    let folder = temp_dir("over");
    let name = |name: &str| folder.join(name).display().to_string();
    let (out, capture, list) = (name("out"), name("pcap"), name("out.without"));
    for path in [&out, &capture, &list] {
        fs::write(path, "kept").unwrap();
    }
    // Nothing can take the metadata's place.
    fs::create_dir(name("out.meta.json")).unwrap();
    let arguments = ["--output", &out, "--save-pcap", &capture, "--force"];
    let jobs = network.jobs("clean");
    measure(&network, &arguments, &ECN, &jobs).expect(8, &["out.meta.json"]);
    for path in [&out, &capture, &list] {
        assert_eq!(fs::read_to_string(path).unwrap(), "kept");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    // Nor is anything left where there was nothing.
    for path in [&out, &capture, &list] {
        fs::remove_file(path).unwrap();
    }
    measure(&network, &arguments, &ECN, &jobs).expect(8, &["out.meta.json"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

/// Makes a named pipe.
fn pipe(path: &str) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Whether a run turns SIGTERM into a request to stop already (proc_pid_status(5)).
fn takes_signals(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (Signal::TERM.as_raw() - 1) & 1 == 1
}

#[test]
fn a_pipe_that_nobody_reads_or_writes_keeps_no_run() {
    let Some(network) = network(2, 0) else { return };
    let before = network.settings();
    let folder = temp_dir("pipes");
    let name = |name: &str| folder.join(name).display().to_string();
    let (fifo, out) = (name("fifo"), name("out"));
    pipe(&fifo);
    let jobs = network.jobs("clean");
    for option in ["--output", "--save-pcap", "--status-file"] {
        let mut run = network.start(command(&network, &[option, &fifo], &ECN));
        let mut stdin = run.stdin.take().unwrap();
        stdin.write_all(jobs.as_bytes()).unwrap();
        wait_until("it takes signals", || takes_signals(&run));
        // It has nothing yet that another run waits for.
        measure(&network, &[], &ECN, &jobs).expect(0, &["2 targets"]);
        signal(&run, Signal::TERM);
        let end = Ended::from(run.wait_with_output().unwrap());
        end.expect(10, &["cannot write to", "stopped while nobody read it"]);
        // With a reader it goes on as with any pipe.
        let script = format!(
            "timeout 20 cat {fifo} >{out} & $PATHSPIDER measure -i {} --allow-special {option} \
             {fifo} ecn && wait",
            network.interface()
        );
        network.script(&script, &jobs).expect(0, &["2 targets"]);
        assert!(fs::metadata(&out).unwrap().len() > 0, "{option}");
    }
    let mut run = network.start(command(&network, &["--input", &fifo], &ECN));
    let threads = || Path::new(&format!("/proc/{}/task", run.id())).read_dir().unwrap().count();
    wait_until("the run is under way", || threads() > 5);
    signal(&run, Signal::TERM);
    wait_until("it has ended", || run.try_wait().unwrap().is_some());
    Ended::from(run.wait_with_output().unwrap()).expect(10, &["0 targets"]);
    let file = name("jobs");
    fs::write(&file, &jobs).unwrap();
    let script = format!(
        "(sleep 0.5; cat {file} >{fifo}) & $PATHSPIDER measure -i {} --allow-special --input {fifo} ecn",
        network.interface()
    );
    network.script(&script, "").expect(0, &["2 targets"]);
    assert_eq!(network.settings(), before);
}

#[test]
fn what_stands_beside_an_output_is_read_from_files_alone() {
    let Some(network) = network(1, 0) else { return };
    let path = temp_dir("beside-pipes").join("out").display().to_string();
    fs::write(&path, "").unwrap();
    for (ending, status) in [(".meta.json", 2), (".without", 8)] {
        let fifo = format!("{path}{ending}");
        pipe(&fifo);
        let end = measure(&network, &["--output", &path, "--resume"], &ECN, "");
        end.expect(status, &[&*fifo, "it is not a file"]);
        fs::remove_file(fifo).unwrap();
    }
}

#[test]
fn a_file_that_was_removed_is_no_output() {
    let Some(network) = network(1, 0) else { return };
    let script = format!(
        "cd {} && exec 7>x && rm x && exec timeout 20 $PATHSPIDER measure -i {} --allow-special \
         --force --output /dev/fd/7 ecn",
        temp_dir("removed").display(),
        network.interface()
    );
    network.script(&script, "").expect(8, &["/dev/fd/7: it was removed"]);
}
