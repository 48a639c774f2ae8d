//! Campaigns on many vantage points, over real NATS servers: Debian's, and PyPI's current one.
//!
//! - here: the whole of a campaign, and what is refused
//! - `faults`: what happens on the way
//! - `security`: agents that lie
//! - `courtesy`: how fast all places are together, and how soon they stop
//! - `units`: the units for systemd

mod courtesy;
mod faults;
mod raw;
mod rig;
mod security;
mod units;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use pathspider_e2e::{Program, network, temp_dir, wait_until};
use rig::{Fleet, Nats};
use serde_json::Value;

/// Two measurements that change nothing of the system, so that agents of one machine need not wait for each
/// other.
const TWO: &str = "name = 'two'\ntargets = 'targets.ndjson'\nallow_special = true\n\
    tags = {season = 'spring'}\n[[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\n\
    [[measure]]\nplugin = 'mss'\nconnect = 'tcp'\ntimeout = 2\n";

const RUNS: [&str; 2] = ["0001/1-dscp", "0001/2-mss"];

/// The whole, with keys and accounts.
fn a_campaign_is_measured_from_two_places(test: &str, nats: Nats) {
    let places = ["--vantage", "zurich", "--vantage", "tokyo"];
    let Some(fleet) = Fleet::new(test, 10, nats, &places) else { return };
    // Agents may be there before anything was submitted.
    let agents = [fleet.agent("zurich", &["--metrics", "9465"]), fleet.agent("tokyo", &[])];
    fleet.submit(TWO, "4");
    // Once more changes nothing.
    fleet.submit(TWO, "4");
    let output = fleet.collect("two", &["zurich", "tokyo"], &RUNS);
    let status = fleet.status("two");
    assert_eq!((&status["wanted"], &status["complete"]), (&"collected".into(), &true.into()));
    assert_eq!((&status["of"], &status["shards"]), (&6.into(), &3.into()));
    for place in status["places"].as_array().unwrap() {
        assert_eq!((&place["results"], &place["silent"]), (&6.into(), &false.into()), "{place}");
        assert!(place["last_result"].is_string(), "{place}");
    }
    // The folder is as from a run here: what reads one reads it.
    let shown = output.display().to_string();
    let end = Program::run(&["campaign", "status", &shown]);
    end.expect(0, &[]);
    assert!(end.stdout.starts_with("two: finished, 4 of 4 runs finished"), "{}", end.stdout);
    let report = Program::run(&["report", "--json", &shown]);
    report.expect(0, &[]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["inputs"]["records"], 40, "{}", report["inputs"]);
    let metadata = output.join("zurich/0001/1-dscp/records.ndjson.zst.meta.json");
    let metadata: Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!((&metadata["campaign"], &metadata["vantage"]), (&"two".into(), &"zurich".into()));
    assert_eq!(metadata["runs"].as_array().unwrap().len(), 3);
    // Somebody has all, so agents keep nothing.
    wait_until("agents have deleted their files", || {
        let is_gone = |name: &str| !fleet.folder.join(name).join("campaigns/two").exists();
        ["state-zurich", "state-tokyo"].into_iter().all(is_gone)
    });
    // Monitoring sees the shards that were sent.
    let asked = fleet.network.enter(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", 9465)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text).unwrap()
    });
    let counted = "pathspider_campaign_runs_total{campaign=\"two\",vantage=\"zurich\"} 6\n";
    assert!(asked.contains(counted), "{asked}");
    // Once more is no harm.
    fleet.collect("two", &["zurich", "tokyo"], &RUNS);
    for agent in agents {
        agent.end();
    }
}

#[test]
fn a_campaign_is_measured_from_two_places_with_the_current_server() {
    a_campaign_is_measured_from_two_places("fleet-current", Nats::Current);
}

#[test]
fn a_campaign_is_measured_from_two_places_with_debians_server() {
    a_campaign_is_measured_from_two_places("fleet-debian", Nats::Debian);
}

/// The commands of the documentation, as they are written there.
fn walk_through() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/campaigns.md");
    let page = fs::read_to_string(page).unwrap();
    let part = page.split("### In ten minutes, without a fleet").nth(1).unwrap();
    let block = part.split("```console\n# pathspider-lab fleet 3\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    block.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line).to_owned() + "\n").collect()
}

#[test]
fn the_walk_through_of_the_documentation_shows_what_only_two_places_see() {
    let Some(nats) = Nats::Debian.program() else { return };
    if let Err(error) = pathspider_lab::net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let folder = temp_dir("fleet-walk");
    let programs = pathspider_e2e::built("pathspider").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = std::process::Command::new(pathspider_e2e::built("pathspider-lab"));
    command.args(["fleet", "3", "--targets", "2", "--nats"]).arg(nats);
    // Plugins may be in somebody's checkout.
    let waiver = pathspider_lab::runner::plugin_waiver(&programs.join("pathspider"));
    let alias =
        waiver.map(|word| format!("pathspider() {{ command pathspider {word} \"$@\"; }}\n"));
    let script = format!("set -e\n{}{}", alias.unwrap_or_default(), walk_through());
    command.args(["--", "sh", "-c", &script]).current_dir(&folder).env("PATH", path);
    command.env("PATHSPIDER_STATE_DIR", pathspider_e2e::state_dir());
    let end: pathspider_e2e::Ended = command.output().unwrap().into();
    end.expect(0, &["study is submitted", "12 records"]);
    assert!(end.stdout.contains("study: finished, 3 of 3 runs finished"), "{}", end.stdout);
    for (place, condition) in [
        ("a", "ecn.connectivity.works"),
        ("b", "ecn.connectivity.broken"),
        ("c", "ecn.connectivity.broken"),
    ] {
        let records = rig::records(&folder.join("study").join(place).join("0001/1-ecn"));
        assert_eq!(records.len(), 4);
        for record in records {
            let conditions = record["conditions"].as_array().unwrap();
            assert!(conditions.contains(&condition.into()), "{place}: {conditions:?}");
        }
    }
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let Some(fleet) = Fleet::new("fleet-refused", 2, Nats::Debian, &[]) else { return };
    let output = fleet.folder.join("out").display().to_string();
    let collect = |name: &str| fleet.campaign(&["collect", name, "--output", &output]);
    let said = |end: &pathspider_e2e::Ended, status: i32, words: &[&str]| {
        end.expect(status, words);
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    };
    said(&collect("none"), 7, &["there is no campaign none"]);
    let file = fleet.file(TWO);
    fleet.campaign(&["submit", &file]).expect(0, &["2 targets in 1 shard"]);
    said(&collect("none"), 7, &["no campaign of the name none"]);
    assert!(!fs::exists(&output).unwrap(), "nothing is left");
    // Another campaign of the name.
    let other = fleet.file(&TWO.replace("spring", "autumn"));
    said(&fleet.campaign(&["submit", &other]), 2, &["another campaign of the name two"]);
    let captured = fleet.file(&TWO.replace("timeout = 2\n[[", "capture = true\n[["));
    said(&fleet.campaign(&["submit", &captured]), 2, &["captures are not sent"]);
    let wrong = fleet.file(&format!("vantages = ['a', 'a']\n{TWO}"));
    said(&fleet.campaign(&["submit", &wrong]), 2, &["campaign.toml:1: vantages"]);
    // The folder of another campaign: one that was measured here.
    let folder = temp_dir("fleet-refused-here");
    fs::create_dir_all(folder.join("x")).unwrap();
    let strange = folder.display().to_string();
    let end = fleet.campaign(&["collect", "two", "--output", &strange]);
    said(&end, 2, &["no campaign's folder"]);
    // Without wait, what is there.
    collect("two").expect(0, &["0 records", "more may come"]);
    let three = fleet.file(&TWO.replace("'two'", "'three'"));
    fleet.campaign(&["submit", &three]).expect(0, &[]);
    said(&collect("three"), 2, &["is the folder of the campaign"]);
    // No server, none that we know, and one that is none.
    let alone = |server: &str| {
        let words = ["campaign", "status", "two", "--server", server];
        fleet.network.run(Program::command(&words), "")
    };
    said(&alone("nats://127.0.0.1:9"), 15, &["cannot use the server nats://127.0.0.1:9"]);
    said(&alone("nats://no-such-host.invalid"), 15, &["cannot use the server"]);
    said(&alone("nats://"), 2, &["write nats://HOST:PORT or tls://HOST:PORT"]);
    let web = fleet.network.targets("clean")[0];
    said(&alone(&format!("nats://{web}:80")), 15, &["cannot use the server"]);
    let nobody = fleet.folder.join("nobody.nk");
    fs::write(&nobody, "nothing").unwrap();
    let end = fleet.campaign(&["status", "two", "--nkey", &nobody.display().to_string()]);
    said(&end, 7, &["no seed of an NKey"]);
    // The state of another agent.
    let agent = fleet.agent("a", &[]);
    agent.wait_for("the agent is ready");
    let second = fleet.agent("a", &[]);
    let again = second.said();
    assert_eq!(second.wait(), 8, "{again}");
    agent.end();
}

#[test]
fn a_campaign_of_another_version_is_named_and_the_others_are_measured() {
    let Some(fleet) = Fleet::new("fleet-version", 2, Nats::Current, &["--vantage", "a"]) else {
        return;
    };
    fleet.submit(&TWO.replace("tags", "vantages = ['a']\ntags"), "2");
    let mut newer = raw::Raw::connect(&fleet, "coordinator");
    for (subject, text) in [
        ("ps.campaign.newer", "{\"version\":2,\"targets\":{\"kind\":\"unheard of\"}}"),
        ("ps.control.newer", "{\"version\":1,\"wanted\":\"running\",\"blocklist\":\"\"}"),
        ("ps.campaign.changed", "{\"version\":1}"),
        ("ps.control.changed", "{\"version\":3,\"wanted\":\"dancing\"}"),
        ("ps.board", "{\"version\":1,\"campaigns\":[\"newer\",\"changed\",\"../x\",\"two\"]}"),
    ] {
        let answer = newer.request(subject, text);
        assert!(answer.contains("\"seq\""), "{subject}: {answer}");
    }
    let output = fleet.folder.join("newer").display().to_string();
    for words in
        [&["status", "newer"][..], &["pause", "newer"], &["collect", "newer", "--output", &output]]
    {
        let end = fleet.campaign(words);
        end.expect(7, &["newer on the server: it is of version 2, and this program has version 1"]);
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    }
    assert!(!fs::exists(&output).unwrap(), "nothing is left");
    let agent = fleet.agent("a", &[]);
    agent.wait_for("campaign newer is not measured: it is of version 2");
    agent.wait_for("what is wanted of changed is not obeyed: it is of version 3");
    fleet.collect("two", &["a"], &RUNS);
    // A shard that is not what was submitted.
    let kept = newer.request("$JS.API.DIRECT.GET.PS_CONTROL.ps.campaign.two", "");
    let definition = &kept[kept.find("{\"version").unwrap()..];
    for (subject, text) in [
        ("ps.shard.torn.0", "noise"),
        ("ps.campaign.torn", &definition.trim_end().replace("'two'", "'torn'")),
        ("ps.control.torn", "{\"version\":1,\"wanted\":\"running\",\"blocklist\":\"\"}"),
        ("ps.board", "{\"version\":1,\"campaigns\":[\"torn\"]}"),
    ] {
        let answer = newer.request(subject, text);
        assert!(answer.contains("\"seq\""), "{subject}: {answer}");
    }
    wait_until("its place waits", || fleet.troubles("torn").contains("the shard cannot be read"));
    let end = fleet.campaign(&["collect", "torn", "--output", &output]);
    end.expect(7, &["shard 1 on the server cannot be read"]);
    // What campaigns there are, in another version: nothing is done, and it is said.
    newer.request("ps.board", "{\"version\":2}");
    agent.wait_for("the list of campaigns: it is of version 2");
    agent.end();
}

#[test]
fn a_server_without_jetstream_or_of_an_old_version_is_named() {
    let Some(network) = network(1, 0) else { return };
    let Some(program) = Nats::Debian.program() else { return };
    let mut command = std::process::Command::new(program);
    command.args(["-a", "127.0.0.1", "-p", "4222"]);
    let mut server = network.start(command);
    wait_until("the server listens", || {
        network.enter(|| TcpStream::connect(("127.0.0.1", 4222)).is_ok())
    });
    let words = ["campaign", "status", "two", "--server", "nats://127.0.0.1:4222"];
    network.run(Program::command(&words), "").expect(7, &["-js"]);
    server.kill().unwrap();
    server.wait().unwrap();
    // What an old one says first.
    let info =
        "INFO {\"server_id\":\"x\",\"version\":\"2.2.0\",\"max_payload\":1048576,\"proto\":1}\r\n";
    network.enter(|| {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 4222)).unwrap();
        std::thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.write_all(info.as_bytes());
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                if buffer[..read].windows(4).any(|word| word == b"PING") {
                    let _ = stream.write_all(b"PONG\r\n");
                }
            }
        });
    });
    network.run(Program::command(&words), "").expect(15, &["2.2.0", "version 2.9 is needed"]);
}
