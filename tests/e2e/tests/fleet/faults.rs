//! What happens on the way: whatever is killed, cut or full, each place has each target once in the end, and
//! nothing that was acknowledged is lost.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pathspider_e2e::{Ended, Program, built, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use super::rig::{Fleet, Nats};

/// One measurement, slow enough that something can happen meanwhile.
const SLOW: &str = "name = 'slow'\ntargets = 'targets.ndjson'\nallow_special = true\nrate = 60\n\
    vantages = ['a']\n[[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\n";

/// The same, as fast as it goes.
const FAST: &str = "name = 'slow'\ntargets = 'targets.ndjson'\nallow_special = true\n\
    [[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\n";

const RUNS: [&str; 1] = ["0001/1-dscp"];

#[test]
fn an_agent_that_is_killed_at_any_moment_goes_on() {
    let Some(fleet) = Fleet::new("fleet-kill", 100, Nats::Current, &[]) else { return };
    fleet.submit(FAST, "4");
    for moment in 0..50_u64 {
        let agent = fleet.agent("a", &[]);
        // All moments of its life, in an order that is always the same.
        sleep(Duration::from_millis(moment * 137 % 400));
        agent.kill();
    }
    let agent = fleet.agent("a", &[]);
    fleet.collect("slow", &["a"], &RUNS);
    agent.end();
}

#[test]
fn a_server_that_is_killed_loses_nothing() {
    for nats in [Nats::Debian, Nats::Current] {
        let test = format!("fleet-server-{}", nats.version());
        let Some(mut fleet) = Fleet::new(&test, 40, nats, &[]) else { return };
        fleet.submit(SLOW, "4");
        let agent = fleet.agent("a", &[]);
        // Somebody waits for all of it meanwhile.
        let output = fleet.folder.join("waited").display().to_string();
        let collector = fleet.command(&["collect", "slow", "--wait", "--output", &output]);
        let collector = fleet.network.start(collector);
        for results in [1, 3] {
            wait_until("results are there", || fleet.results("slow") >= results);
            let before = fleet.results("slow");
            fleet.kill_server();
            fleet.start_server();
            assert!(fleet.results("slow") >= before);
        }
        let waited: Ended = collector.wait_with_output().unwrap().into();
        waited.expect(0, &["all there are", "40 records"]);
        fleet.collect("slow", &["a"], &RUNS);
        agent.end();
    }
}

#[test]
fn a_silent_agent_is_named_with_its_last_result() {
    let Some(fleet) = Fleet::new("fleet-silent", 4, Nats::Debian, &[]) else { return };
    fleet.submit(FAST, "4");
    let agent = fleet.agent("a", &[]);
    wait_until("its result is there", || {
        fleet.status("slow")["places"][0]["last_result"].is_string()
    });
    agent.kill();
    // A minute is long: here a second is enough.
    let soon = ["status", "slow", "--silent-after", "1"];
    wait_until("it is named", || {
        fleet.campaign(&soon).stdout.contains("its agent is silent since")
    });
    let text = fleet.campaign(&soon).stdout;
    let place = &fleet.status("slow")["places"][0];
    let last = format!("it sent its last result {}", place["last_result"].as_str().unwrap());
    assert!(text.contains(&last), "{text}");
    assert_eq!(place["silent"], place["last_word"].as_u64().unwrap() > 60, "{place}");
}

#[test]
fn what_a_server_loses_in_a_power_cut_is_sent_again() {
    let Some(mut fleet) = Fleet::new("fleet-power", 40, Nats::Debian, &[]) else { return };
    fleet.submit(SLOW, "4");
    let agent = fleet.agent("a", &[]);
    wait_until("a result is there", || fleet.results("slow") >= 1);
    // What the disk had at that moment; results come meanwhile, so it may be torn.
    let copy = fleet.folder.join("copy");
    let (from, to) = (fleet.store(), copy.clone());
    assert!(Command::new("cp").arg("-a").arg(&from).arg(&to).status().unwrap().success());
    wait_until("all results were there", || fleet.results("slow") == 10);
    fleet.kill_server();
    fs::remove_dir_all(&from).unwrap();
    fs::rename(copy, from).unwrap();
    fleet.start_server();
    fleet.collect("slow", &["a"], &RUNS);
    let said = agent.said();
    assert!(!said.contains("measures"), "{said}");
    agent.end();
}

/// For so long the network is cut: far longer than a server is given to answer.
const CUT: Duration = Duration::from_secs(60);

#[test]
fn a_network_that_is_cut_for_a_minute_is_waited_for() {
    let Some(fleet) = Fleet::new("fleet-cut", 20, Nats::Current, &[]) else { return };
    fleet.submit(SLOW, "4");
    let agent = fleet.agent("a", &[]);
    wait_until("a result is there", || fleet.results("slow") >= 1);
    let port = fleet.port();
    let cut = format!(
        "nft 'add table ip cut; add chain ip cut out {{ type filter hook output priority 0; }}; \
         add rule ip cut out tcp dport {port} drop; add rule ip cut out tcp sport {port} drop'"
    );
    fleet.network.script(&cut, "").expect(0, &[]);
    let begun = Instant::now();
    // It measures on, and says what it cannot do.
    agent.wait_for("the server:");
    sleep(CUT.saturating_sub(begun.elapsed()));
    fleet.network.script("nft delete table ip cut", "").expect(0, &[]);
    agent.wait_for("the server answers");
    // The connection is gone for good, and another one is made.
    let count = |words: &str| agent.said().matches(words).count();
    let (silent, heard) = (count("the server:"), count("the server answers"));
    let script = cut.replace("drop", "reject with tcp reset");
    fleet.network.script(&script, "").expect(0, &[]);
    wait_until("it says so again", || count("the server:") > silent);
    fleet.network.script("nft delete table ip cut", "").expect(0, &[]);
    fleet.collect("slow", &["a"], &RUNS);
    wait_until("it is heard", || count("the server answers") > heard);
    agent.end();
}

#[test]
fn an_agent_whose_disk_is_full_says_so_and_goes_on() {
    let Some(fleet) = Fleet::new("fleet-disk", 20, Nats::Debian, &[]) else { return };
    fleet.submit(FAST, "4");
    let state = fleet.folder.join("state-a");
    let shown = state.display().to_string();
    let words = fleet.agent_words("a", &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let program = Program::command(&words);
    // A disk of its own, which is nearly full.
    let script = "mkdir -p \"$0\" && mount -t tmpfs -o size=2m tmpfs \"$0\" && \
                  head -c 2080768 /dev/zero >\"$0/filler\"; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, &shown]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    let agent = fleet.start_agent("a", &command);
    wait_until("its place waits", || fleet.troubles("slow").contains("No space left"));
    // Its mounts are its own.
    let filler = format!("/proc/{}/root{shown}/filler", agent.child.id());
    fs::remove_file(filler).unwrap();
    fleet.collect("slow", &["a"], &RUNS);
    agent.end();
}

#[test]
fn a_server_whose_storage_is_full_gets_the_results_when_it_has_room() {
    let Some(mut fleet) = Fleet::new("fleet-full", 40, Nats::Current, &[]) else { return };
    fleet.submit(FAST, "4");
    let file = fleet.configuration();
    let text = fs::read_to_string(&file).unwrap();
    fleet.kill_server();
    fs::write(&file, text.replace("max_file_store: 10G", "max_file_store: 24K")).unwrap();
    fleet.start_server();
    let agent = fleet.agent("a", &[]);
    agent.wait_for("the result cannot be sent");
    fleet.kill_server();
    fs::write(&file, text).unwrap();
    fleet.start_server();
    fleet.collect("slow", &["a"], &RUNS);
    agent.end();
}

#[test]
fn two_agents_of_one_name_do_not_share_its_work() {
    let Some(fleet) = Fleet::new("fleet-name", 20, Nats::Debian, &[]) else { return };
    fleet.submit(SLOW, "4");
    let first = fleet.agent("a", &[]);
    first.wait_for("the agent is ready");
    let other = fleet.folder.join("other").display().to_string();
    let words: Vec<String> = fleet.agent_words("a", &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words: Vec<&str> = words
        .iter()
        .map(|word| if word.ends_with("state-a") { other.as_str() } else { word })
        .collect();
    let end = fleet.network.run(Program::command(&words), "");
    end.expect(16, &["another agent works under the name a"]);
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    // When the first one is gone, the other takes over: what both measured is there once.
    wait_until("a result is there", || fleet.results("slow") >= 1);
    first.kill();
    let second = fleet.start_agent("b", &Program::command(&words));
    fleet.collect("slow", &["a"], &RUNS);
    second.end();
}

#[test]
fn a_collector_that_is_killed_goes_on() {
    let Some(fleet) = Fleet::new("fleet-collector", 40, Nats::Current, &[]) else { return };
    fleet.submit(FAST, "2");
    let agent = fleet.agent("a", &[]);
    wait_until("all results are there", || fleet.results("slow") == 20);
    let output = fleet.folder.join("collected-slow").display().to_string();
    for moment in 0..8_u64 {
        let command = fleet.command(&["collect", "slow", "--wait", "--output", &output]);
        let mut child = fleet.network.start(command);
        sleep(Duration::from_millis(moment * 12));
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        child.wait().unwrap();
    }
    fleet.collect("slow", &["a"], &RUNS);
    agent.end();
}

#[test]
fn a_cancelled_campaign_ends_and_what_is_there_is_collected() {
    let Some(fleet) = Fleet::new("fleet-cancel", 60, Nats::Debian, &[]) else { return };
    fleet.submit(&SLOW.replace("rate = 60", "rate = 20"), "4");
    let agent = fleet.agent("a", &[]);
    wait_until("a result is there", || fleet.results("slow") >= 1);
    fleet.patiently(&["cancel", "slow"]).expect(0, &["slow is cancelled"]);
    agent.wait_for("campaign slow is over");
    wait_until("its files are gone", || !fleet.folder.join("state-a/campaigns/slow").exists());
    let results = fleet.results("slow");
    assert!(results < 15, "{results}");
    let output = fleet.folder.join("out").display().to_string();
    let end = fleet.patiently(&["collect", "slow", "--wait", "--output", &output]);
    end.expect(0, &[&format!("{} records", results * 4), "more may come"]);
    fleet.patiently(&["resume", "slow"]).expect(2, &["is over"]);
    agent.end();
}

#[test]
fn a_clock_that_is_an_hour_off_changes_nothing() {
    let Some(fleet) = Fleet::new("fleet-clock", 8, Nats::Current, &[]) else { return };
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketime.so.1"));
    let Some(library) = library.into_iter().find(|path| Path::new(path).exists()) else {
        return pathspider_e2e::skipped("faketime is not installed");
    };
    let text = format!("vantages = ['early', 'late']\n{FAST}[schedule]\nevery = 1\ntimes = 2\n");
    fleet.submit(&text, "4");
    // The agents alone have another time; what measures has the packets' one.
    let folder = fleet.folder.join("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(built("pathspider-fleet"), folder.join("pathspider-fleet")).unwrap();
    let measuring = folder.join("pathspider");
    let real = built("pathspider").display().to_string();
    fs::write(&measuring, format!("#!/bin/sh\nunset LD_PRELOAD FAKETIME\nexec {real} \"$@\"\n"))
        .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&measuring, mode).unwrap();
    let mut agents = Vec::new();
    for (name, offset) in [("early", "-3600"), ("late", "+3600")] {
        let words = fleet.agent_words(name, &[]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ordinary = Program::command(&words);
        let mut command = Command::new("env");
        command.args(ordinary.get_args().skip_while(|word| *word != "agent").fold(
            vec![
                format!("LD_PRELOAD={library}"),
                format!("FAKETIME={offset}"),
                folder.join("pathspider-fleet").display().to_string(),
            ],
            |mut words, word| {
                words.push(word.to_string_lossy().into_owned());
                words
            },
        ));
        if ordinary.get_args().any(|word| word == "--insecure-plugins") {
            command.arg("--insecure-plugins");
        }
        agents.push(fleet.start_agent(name, &command));
    }
    fleet.collect("slow", &["early", "late"], &["0001/1-dscp", "0002/1-dscp"]);
    for place in fleet.status("slow")["places"].as_array().unwrap() {
        assert_eq!(place["silent"], false, "{place}");
        let last = humantime::parse_rfc3339(place["last_result"].as_str().unwrap()).unwrap();
        let off = last.elapsed().unwrap_or_else(|error| error.duration());
        assert!(off < Duration::from_secs(600), "{place}");
    }
    for agent in agents {
        agent.end();
    }
}

#[test]
fn an_agent_that_cannot_work_says_why_and_the_others_do() {
    let Some(fleet) = Fleet::new("fleet-cannot", 4, Nats::Current, &[]) else { return };
    let sum = Command::new("sha256sum").arg(built("plugins/dscp.so")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    let text = FAST.replace("plugin = 'dscp'", &format!("plugin = 'dscp'\nsha256 = '{sum}'"));
    fleet.submit(&text, "4");
    let trouble = |place: &str, words: &str| {
        wait_until(&format!("{place} says why: {words}"), || {
            let status = fleet.status("slow");
            let places = status["places"].as_array().unwrap();
            places
                .iter()
                .any(|of| of["vantage"] == place && of["troubles"].to_string().contains(words))
        });
    };
    let good = fleet.agent("good", &[]);
    let narrow = fleet.agent("narrow", &["--allow-plugin", "ecn"]);
    trouble("narrow", "the plugin dscp is not allowed here");
    // Another file of the plugin, and none.
    let copy = |name: &str| {
        let folder = fleet.folder.join(name);
        fs::create_dir_all(folder.join("plugins")).unwrap();
        for program in ["pathspider", "pathspider-fleet"] {
            fs::copy(built(program), folder.join(program)).unwrap();
        }
        folder
    };
    let start = |name: &str, folder: &Path, before: &[&str]| {
        let words = fleet.agent_words(name, &[]);
        let mut command = Command::new("env");
        command.args(before).arg(folder.join("pathspider")).args(&words).arg("--insecure-plugins");
        fleet.start_agent(name, &command)
    };
    let folder = copy("other");
    let mut file = fs::read(built("plugins/dscp.so")).unwrap();
    file.extend(b"\0");
    fs::write(folder.join("plugins/dscp.so"), file).unwrap();
    let other = start("other", &folder, &[]);
    trouble("other", &format!("the campaign demands sha256 {sum}"));
    let none = start("none", &copy("none"), &[]);
    trouble("none", "dscp");
    // Without root.
    let state = fleet.folder.join("state-weak");
    fs::create_dir_all(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(65534), Some(65534)).unwrap();
    let drop =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let target = built("pathspider").parent().unwrap().to_owned();
    let weak = start("weak", &target, &drop);
    trouble("weak", "CAP_NET_");
    // The others' results are there.
    wait_until("the good one has measured", || fleet.results("slow") == 1);
    let output = fleet.folder.join("out").display().to_string();
    fleet.patiently(&["collect", "slow", "--output", &output]).expect(0, &["4 records"]);
    for agent in [good, narrow, other, none, weak] {
        agent.end();
    }
}
