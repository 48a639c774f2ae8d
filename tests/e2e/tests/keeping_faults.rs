//! Outputs when disks fail, runs meet, plugins crash, and others put links in the way.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, ChildStdin, Command};

use pathspider_e2e::{
    Ended, Network, Program, built, names, network, records, temp_dir, wait_until,
};

use crate::keeping::{ECN, command, measure, metadata, targets, text};

/// Somebody else.
const NOBODY: u32 = 65534;

/// Starts a run that waits for more input after these jobs.
fn start(network: &Network, command: Command, jobs: &str) -> (Child, ChildStdin) {
    let mut run = network.start(command);
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(jobs.as_bytes()).unwrap();
    (run, stdin)
}

fn lines(path: &str) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn discard(folder: &Path) -> (String, [&'static str; 3]) {
    let path = folder.join("out.ndjson").display().to_string();
    (path, ["misbehaving", "--how", "discard-odd-jobs"])
}

#[test]
fn a_run_that_waits_takes_nothing_from_another() {
    let Some(network) = network(20, 0) else { return };
    let folder = temp_dir("waits");
    let path = folder.join("out.ndjson").display().to_string();
    let jobs = network.jobs("clean");
    let resume = ["--output", &path, "--resume", "--max-targets", "6"];
    let (mut first, mut stdin) = start(&network, command(&network, &resume[..3], &ECN), "");
    wait_until("the first runs", || Path::new(&format!("{path}.meta.json")).exists());
    // The first has the file, though it has no line yet, and the network namespace, too.
    measure(&network, &resume, &ECN, &jobs).expect(8, &["another run is writing it"]);
    stdin.write_all(jobs.as_bytes()).unwrap();
    wait_until("all is written", || lines(&path) == 20);
    // Another that waits for the namespace alone has its own file while it does.
    let other = folder.join("other.ndjson").display().to_string();
    let waits = ["--output", &other, "--resume"];
    let (second, second_input) = start(&network, command(&network, &waits, &ECN), &jobs);
    drop(second_input);
    wait_until("the second holds its file", || Path::new(&other).exists());
    measure(&network, &waits, &ECN, &jobs).expect(8, &["another run is writing it"]);
    assert_eq!(lines(&other), 0);
    first.kill().unwrap();
    first.wait().unwrap();
    Ended::from(second.wait_with_output().unwrap()).expect(0, &["20 targets"]);
    assert_eq!((lines(&path), lines(&other)), (20, 20));
    assert_eq!(targets(&text(&path)).len(), 20);
    // The killed run has no end that anyone knows; its records have.
    let meta = metadata(&path);
    assert!(meta["_time_end"].is_null() && !meta["_time_start"].is_null(), "{meta}");
    Program::run(&["metadata", &path]).expect(0, &[]);
    let last = records(&text(&path)).into_iter().map(|r| r.time.unwrap().to).max().unwrap();
    assert!(metadata(&path)["_time_end"].as_str().unwrap()[..19] >= last[..19]);
}

#[test]
fn a_run_that_is_stopped_while_it_waits_leaves_nothing() {
    let Some(network) = network(1, 0) else { return };
    let folder = temp_dir("stopped-waiting");
    let (mut first, stdin) = start(&network, command(&network, &[], &ECN), "");
    let changes = || network.script("cat /proc/net/unix", "").stdout;
    wait_until("the first has the lock", || changes().contains("pathspider.configures"));
    let path = folder.join("out.ndjson").display().to_string();
    let (mut second, input) = start(&network, command(&network, &["--output", &path], &ECN), "");
    wait_until("the second holds its file", || Path::new(&path).exists());
    let pid = rustix::process::Pid::from_raw(second.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    drop(input);
    assert_eq!(second.wait().unwrap().code(), Some(10));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    drop(stdin);
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_torn_list_of_jobs_without_a_record_is_mended() {
    let Some(network) = network(6, 0) else { return };
    let (path, plugin) = discard(&temp_dir("torn-list"));
    let resume = ["--output", &path, "--resume"];
    let jobs = network.jobs("clean");
    let list = format!("{path}.without");
    measure(&network, &resume, &plugin, &jobs).expect(0, &["3 targets", "3 discarded"]);
    let whole = fs::read_to_string(&list).unwrap();
    // Within the last line, and with what a power cut may leave.
    for torn in
        [whole.as_bytes()[..whole.len() - 5].to_vec(), [whole.as_bytes(), &[0; 99]].concat()]
    {
        fs::write(&list, torn).unwrap();
        measure(&network, &resume, &plugin, &jobs).expect(0, &["torn end"]);
        measure(&network, &resume, &plugin, &jobs).expect(0, &["0 targets", "6 measured before"]);
        assert_eq!(lines(&list), 3);
        assert!(fs::read_to_string(&list).unwrap().starts_with(&whole[..whole.len() / 2]));
    }
    assert_eq!(lines(&path), 3);
    // Damage is reported as damage.
    fs::write(&list, whole.replacen("{", "?", 1)).unwrap();
    measure(&network, &resume, &plugin, &jobs).expect(8, &["cannot read", "line 1 is no record"]);
}

#[test]
fn jobs_without_a_record_count_as_an_output() {
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("only-list");
    let (path, plugin) = discard(&folder);
    let list = format!("{path}.without");
    let jobs = network.jobs("clean");
    // The second line's job is discarded, the first line is none.
    let odd = format!("nonsense\n{}", jobs.lines().next().unwrap());
    measure(&network, &["--output", &path], &plugin, &odd).expect(9, &["1 discarded"]);
    assert_eq!((lines(&path), lines(&list)), (0, 1));
    let resume = ["--output", &path, "--resume"];
    measure(&network, &resume, &["misbehaving"], &jobs)
        .expect(2, &["plugin.options.how was \"discard-odd-jobs\" and is \"not\" now"]);
    // It may be somebody else's: it is neither written over nor removed.
    for name in ["out.ndjson", "out.ndjson.meta.json"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    measure(&network, &["--output", &path], &plugin, &jobs)
        .expect(8, &["out.ndjson.without: it is there already"]);
    measure(&network, &resume, &plugin, &jobs).expect(2, &["out.ndjson.meta.json is missing"]);
    assert_eq!(lines(&list), 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    measure(&network, &["--output", &path, "--force"], &ECN, &jobs).expect(0, &["2 targets"]);
    assert!(!Path::new(&list).exists());
}

#[test]
fn links_of_others_lead_nowhere() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("links");
    let (theirs, target) = (folder.join("theirs"), folder.join("target"));
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::write(&target, "kept").unwrap();
    let (path, plugin) = discard(&theirs);
    symlink(&target, &path).unwrap();
    let jobs = network.jobs("clean");
    for mode in ["--force", "--resume"] {
        measure(&network, &["--output", &path, mode], &plugin, &jobs)
            .expect(8, &["is a link that others could have put there"]);
    }
    measure(&network, &["--save-pcap", &path, "--force"], &plugin, &jobs).expect(8, &["is a link"]);
    fs::remove_file(&path).unwrap();
    // One that comes while the run goes on.
    let (run, mut stdin) = start(&network, command(&network, &["--output", &path], &plugin), "");
    wait_until("the run begins", || Path::new(&format!("{path}.meta.json")).exists());
    symlink(&target, format!("{path}.without")).unwrap();
    stdin.write_all(jobs.as_bytes()).unwrap();
    let end = Ended::from(run.wait_with_output().unwrap());
    end.expect(8, &["out.ndjson.without"]);
    drop(stdin);
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
}

#[test]
fn what_cannot_begin_leaves_nothing_in_the_way() {
    let Some(network) = network(2, 0) else { return };
    let folder = temp_dir("begin");
    let name = |name: &str| folder.join(name).display().to_string();
    let (path, capture) = (name("out.ndjson"), name("own.pcap"));
    let jobs = network.jobs("clean");
    fs::write(&capture, "mine").unwrap();
    for mode in ["--quiet", "--resume"] {
        let arguments = ["--output", &path, "--save-pcap", &capture, mode];
        measure(&network, &arguments, &ECN, &jobs).expect(8, &["own.pcap"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{mode}");
        assert_eq!(fs::read_to_string(&capture).unwrap(), "mine");
    }
    // No interface of that name: found out after the output.
    let (status, fresh) = (name("status.csv"), name("fresh.pcap"));
    let arguments = ["--output", &path, "--save-pcap", &fresh, "-i", "none0"];
    let mut wrong = Program::command(&["measure", "--allow-special"]);
    wrong.args(arguments).args(["--status-file", &status]).args(ECN);
    network.run(wrong, &jobs).expect(6, &["none0"]);
    assert!(!Path::new(&path).exists() && !Path::new(&fresh).exists());
    let corrected = ["--output", &path, "--save-pcap", &fresh];
    measure(&network, &corrected, &ECN, &jobs).expect(0, &["2 targets"]);
}

#[test]
fn damage_within_a_compressed_output_is_not_cut_off() {
    let Some(network) = network(20, 0) else { return };
    let jobs = network.jobs("clean");
    for name in ["out.ndjson.zst", "out.ndjson.gz"] {
        let path = temp_dir("damage").join(name).display().to_string();
        let resume = ["--output", &path, "--resume"];
        let mut ends = Vec::new();
        for count in [7, 14, 20] {
            let some: String = jobs.split_inclusive('\n').take(count).collect();
            measure(&network, &resume, &ECN, &some).expect(0, &[]);
            ends.push(fs::metadata(&path).unwrap().len() as usize);
        }
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[(ends[0] + ends[1]) / 2] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        let word = format!("damaged at octet {}", ends[0]);
        measure(&network, &resume, &ECN, &jobs).expect(8, &["cannot read", &word]);
        assert_eq!(fs::read(&path).unwrap(), damaged);
        // At the end the same is a tear.
        damaged.truncate(ends[1]);
        fs::write(&path, &damaged).unwrap();
        measure(&network, &resume, &ECN, &jobs).expect(0, &["13 targets", "torn end"]);
        assert_eq!(targets(&text(&path)).len(), 20);
    }
}

#[test]
fn damage_within_a_capture_is_not_cut_off() {
    let Some(network) = network(20, 0) else { return };
    let folder = temp_dir("damaged-capture");
    let (path, capture) = (folder.join("out.ndjson"), folder.join("own.pcap"));
    let files = ["--output", path.to_str().unwrap(), "--save-pcap", capture.to_str().unwrap()];
    let resume = [&files[..], &["--resume"]].concat();
    let jobs = network.jobs("clean");
    let some: String = jobs.split_inclusive('\n').take(10).collect();
    measure(&network, &resume, &ECN, &some).expect(0, &["10 targets"]);
    let (records, whole) = (fs::read(&path).unwrap(), fs::read(&capture).unwrap());
    // The sixth packet's length; each packet has 16 octets before it, the file 24.
    let length =
        |octets: &[u8], at: usize| u32::from_le_bytes(*octets[at..].first_chunk().unwrap());
    let sixth = (0..5).fold(24, |at, _| at + 16 + length(&whole, at + 8) as usize);
    let mut damaged = whole.clone();
    damaged[sixth + 8..sixth + 12].fill(0);
    fs::write(&capture, &damaged).unwrap();
    let word = format!("it is damaged at octet {sixth}: packets follow at octet");
    measure(&network, &resume, &ECN, &jobs).expect(8, &["cannot read", &word]);
    assert_eq!((fs::read(&path).unwrap(), fs::read(&capture).unwrap()), (records, damaged));
    // At the file's end, the same damage is a tear, and is reported as one.
    fs::write(&capture, &whole[..whole.len() - 5]).unwrap();
    measure(&network, &resume, &ECN, &jobs).expect(0, &["10 targets", "octets of a torn end"]);
    let replayed = Program::run(&["observe", "-i", capture.to_str().unwrap(), "basic"]);
    replayed.expect(0, &["0 malformed"]);
    assert!(replayed.stdout.lines().count() >= 40, "{}", replayed.stderr);
}

#[test]
fn a_capture_of_an_interface_that_is_not_ethernet_goes_on() {
    // Its interface is a tun.
    let Some(network) = names("link-types", 4) else { return };
    let folder = temp_dir("link-types");
    let (path, capture) = (folder.join("out.ndjson"), folder.join("own.pcap"));
    let script = format!(
        "$PATHSPIDER measure --allow-special --plugin-dir {} -i lab0 --output {} --save-pcap {} \
         --resume mss",
        built("").display(),
        path.display(),
        capture.display(),
    );
    let jobs: String =
        network.targets().iter().map(|target| format!("{{\"dip\":\"{target}\"}}\n")).collect();
    let some: String = jobs.split_inclusive('\n').take(2).collect();
    // It ends before its first packet.
    network.script(&[], &script, "").expect(0, &["0 targets"]);
    let empty = fs::read(&capture).unwrap();
    // As libpcap's manual has it: LINKTYPE_RAW.
    assert_eq!((empty.len(), empty[20]), (24, 101));
    // Whatever such a file says.
    fs::write(&capture, [&empty[..20], &[1, 0, 0, 0]].concat()).unwrap();
    network.script(&[], &script, &some).expect(0, &["2 targets"]);
    let (records, mut other) = (fs::read(&path).unwrap(), fs::read(&capture).unwrap());
    other[20] = 1;
    fs::write(&capture, &other).unwrap();
    network.script(&[], &script, &jobs).expect(8, &["frames of link type 1, and the interface's"]);
    assert_eq!((fs::read(&path).unwrap(), fs::read(&capture).unwrap()), (records, other));
}

#[test]
fn a_crash_loses_no_record_that_was_finished() {
    let Some(network) = network(200, 0) else { return };
    let path = temp_dir("crash").join("out.ndjson").display().to_string();
    let arguments = ["--output", &path, "--resume", "-w", "200"];
    let plugin = ["misbehaving", "--how", "crash-in-hundredth-combine"];
    // Records of the last hundredth of a second may be lost. This plugin concludes two in that time.
    let end = measure(&network, &arguments, &plugin, &network.jobs("clean"));
    end.expect(-1, &["crashed in `combine`, by SIGSEGV"]);
    assert!((96..=99).contains(&lines(&path)), "{}", lines(&path));
    assert!(text(&path).ends_with('\n'));
}

#[test]
fn an_output_that_is_removed_is_told() {
    let Some(network) = network(4, 0) else { return };
    let folder = temp_dir("removed");
    let name = |name: &str| folder.join(name).display().to_string();
    let (path, capture) = (name("out.ndjson"), name("own.pcap"));
    let jobs = network.jobs("clean");
    let first = jobs.lines().next().unwrap().to_owned() + "\n";
    for removed in [&path, &capture] {
        let files = ["--force", "--output", &path, "--save-pcap", &capture];
        let (run, mut stdin) = start(&network, command(&network, &files, &ECN), &first);
        wait_until("the first is written", || lines(&path) == 1);
        fs::remove_file(removed).unwrap();
        // While it still waits for input, if more is written.
        stdin.write_all(jobs.as_bytes()).unwrap();
        let end = Ended::from(run.wait_with_output().unwrap());
        end.expect(8, &[&format!("{removed}: somebody has removed it")]);
        drop(stdin);
    }
    // At the end, if no more is.
    let (run, stdin) =
        start(&network, command(&network, &["--force", "--output", &path], &ECN), "");
    wait_until("the run begins", || metadata(&path)["runs"][0]["end"].is_null());
    fs::remove_file(&path).unwrap();
    drop(stdin);
    Ended::from(run.wait_with_output().unwrap()).expect(8, &["somebody has removed it"]);
}

#[test]
fn an_output_that_is_moved_replaced_or_changed_is_told() {
    let Some(network) = network(6, 0) else { return };
    let jobs = network.jobs("clean");
    let cut_at = |jobs: &str, count| jobs.split_inclusive('\n').take(count).collect::<String>();
    let (first, rest) = (cut_at(&jobs, 3), jobs.split_inclusive('\n').skip(3).collect::<String>());
    for how in ["moved", "replaced", "cut", "lengthened"] {
        for when in ["while it is written", "at its end"] {
            let folder = temp_dir("changed");
            let name = |name: &str| folder.join(name).display().to_string();
            let (path, other) = (name("out.ndjson"), name("other"));
            let resume = ["--output", &path, "--resume"];
            let (run, mut stdin) = start(&network, command(&network, &resume, &ECN), &first);
            wait_until("three are written", || lines(&path) == 3);
            let text = fs::read_to_string(&path).unwrap();
            let append = || fs::File::options().append(true).open(&path).unwrap();
            let word = match how {
                "moved" => fs::rename(&path, &other).map(|()| "moved or replaced").unwrap(),
                "replaced" => {
                    fs::write(&other, &text).unwrap();
                    // It has no name any more.
                    fs::rename(&other, &path).map(|()| "removed it").unwrap()
                }
                "cut" => {
                    let whole = text.find('\n').unwrap() + 1;
                    append().set_len(whole as u64).map(|()| "were written").unwrap()
                }
                _ => append().write_all(text.as_bytes()).map(|()| "were written").unwrap(),
            };
            if when == "while it is written" {
                // The input does not end before.
                stdin.write_all(rest.as_bytes()).unwrap();
                Ended::from(run.wait_with_output().unwrap())
                    .expect(8, &[&format!("{path}: somebody has"), word]);
                drop(stdin);
            } else {
                drop(stdin);
                Ended::from(run.wait_with_output().unwrap())
                    .expect(8, &[&format!("{path}: somebody has"), word]);
            }
            if how == "cut" {
                // What is there is whole, and the rest is measured again.
                measure(&network, &resume, &ECN, &jobs).expect(0, &[]);
                let found = targets(&fs::read_to_string(&path).unwrap());
                assert!(found.len() == 6 && found.values().all(|&count| count == 1), "{found:?}");
            }
        }
    }
}

#[test]
fn a_disk_that_fails_in_a_pause_is_noticed() {
    let Some(network) = network(4, 0) else { return };
    let before = network.settings();
    for (name, saves) in [("out.ndjson", false), ("out.ndjson.without", false), ("own.pcap", true)]
    {
        let folder = temp_dir("eio");
        // A disk that ends soon: blocks beyond give EIO. All of it goes with the namespace of mounts.
        let script = r#"
            set -e
            cd $FOLDER; mkdir disk; mount -t tmpfs -o size=64m tmpfs disk; truncate -s 32m disk/image
            loop=$(losetup --find --show disk/image)
            trap 'umount -l disk/mount; losetup --detach $loop' EXIT
            mkfs.ext4 -q -O ^has_journal -b 4096 -N 64 $loop
            mkdir disk/mount; mount -o errors=continue $loop disk/mount
            mkfifo jobs
            $PATHSPIDER measure --allow-special --plugin-dir $PLUGINS -i $INTERFACE --input jobs \
                $OUTPUT misbehaving --how discard-odd-jobs >stdout 2>stderr &
            run=$!
            exec 3>jobs
            head -n $BEFORE targets >&3
            sleep 3
            truncate -s 4096 disk/image; losetup --set-capacity $loop
            tail -n +$((BEFORE + 1)) targets >&3
            # No more input comes, and the input does not end either.
            status=0; wait $run || status=$?
            cat stderr >&2
            exit $status"#;
        fs::write(folder.join("targets"), network.jobs("clean")).unwrap();
        let disk = folder.join("disk/mount");
        let output = if saves {
            format!("--save-pcap {}/own.pcap", disk.display())
        } else {
            format!("--output {}/out.ndjson", disk.display())
        };
        let mut shell = Command::new("timeout");
        shell.args(["120", "unshare", "--mount", "sh", "-c", script]);
        shell.env("PATHSPIDER", built("pathspider")).env("PLUGINS", built(""));
        shell.env("FOLDER", &folder).env("INTERFACE", network.interface()).env("OUTPUT", output);
        shell.env("BEFORE", if name.ends_with("without") { "3" } else { "2" });
        network.run(shell, "").expect(8, &["Input/output error"]);
        assert_eq!(network.settings(), before);
    }
}

#[test]
fn a_limit_of_a_files_size_ends_the_run_and_tears_nothing() {
    let Some(network) = network(200, 0) else { return };
    let before = network.settings();
    let path = temp_dir("limit").join("out.ndjson").display().to_string();
    // Blocks of half a KiB or of one, as the shell has it.
    let script = format!(
        "ulimit -f 32; exec $PATHSPIDER measure --quiet --allow-special -i {} --output {path} \
         --output-flows ecn --connect tcp",
        network.interface()
    );
    network.script(&script, &network.jobs("clean")).expect(8, &["File too large"]);
    assert!(text(&path).ends_with('\n'));
    assert!((1..200).contains(&records(&text(&path)).len()));
    assert_eq!(network.settings(), before);
}

#[test]
fn a_full_disk_ends_the_run_and_tears_nothing() {
    let Some(network) = network(200, 0) else { return };
    let before = network.settings();
    for (name, save) in [("out.ndjson", false), ("out.ndjson.zst", false), ("own.pcap", true)] {
        let folder = temp_dir("full");
        let path = folder.join("small").join(name).display().to_string();
        let output = if save { "--save-pcap" } else { "--output" };
        // A namespace of mounts that goes with the script. It reads the same targets for ever.
        let script = format!(
            "mkdir {0}/small && mount -t tmpfs -o size=128k small {0}/small && \
             (while cat {0}/jobs; do :; done) | $PATHSPIDER measure --allow-special --duplicates \
             -i {1} {output} {path} --output-flows ecn --connect tcp >{0}/stdout; \
             status=$?; cp {path}* {0}/; exit $status",
            folder.display(),
            network.interface(),
        );
        fs::write(folder.join("jobs"), network.jobs("clean")).unwrap();
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", &script]).env("PATHSPIDER", built("pathspider"));
        let end = network.run(shell, "");
        end.expect(8, &["No space left"]);
        let copy = folder.join(name).display().to_string();
        if save {
            let replayed = Program::run(&["observe", "-i", &copy, "basic"]);
            replayed.expect(0, &["0 malformed"]);
            assert!(replayed.stdout.lines().count() > 10);
        } else {
            let written = records(&text(&copy)).len();
            assert!(written > 10, "{name}");
            // The message names the records that are there, and reports the rest as lost.
            let meta = metadata(&copy);
            assert!(meta["_time_end"].is_string(), "{meta}");
            let run = &meta["runs"][0];
            assert!(run["end"].as_str().unwrap().contains("No space left"), "{meta}");
            assert_eq!(run["counts"]["targets"], written);
            let lost = run["counts"]["lost"].as_u64().unwrap();
            assert!(lost > 0);
            end.expect(8, &[&format!("{written} targets in"), &format!("{lost} lost, for")]);
        }
        assert_eq!(network.settings(), before);
    }
}
