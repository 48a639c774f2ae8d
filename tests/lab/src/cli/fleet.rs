//! Owns `fleet`: vantage points with an agent each, a NATS server that they reach, and a command beside the
//! server. It shows a campaign on many vantage points to people who have no fleet.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use pathspider_lab::emulated::{EmulatedLab, INTERFACE};
use pathspider_lab::net::{Namespace, ip};
use pathspider_lab::runner::{WorkDir, default_pathspider, plugin_waiver};
use pathspider_lab::{Error, Result, scenario};

use super::{Verdict, say};

/// As many as have a letter.
const MOST: u8 = 26;

const PORT: u16 = 4222;

/// The server and the agents have this long to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether they have begun.
const LOOK: Duration = Duration::from_millis(20);

/// What only the second and the third vantage point see.
const FAULT: &str = "match = { vantage = NUMBER, protocol = 'tcp', flags = 'SYN !ACK ECE CWR' }";

#[derive(Args)]
pub(super) struct Fleet {
    /// Vantage points: a, b, c and so on. On the paths of b and c alone, SYNs that ask for ECN are dropped
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST)))]
    count: u8,
    /// Targets of each version
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    targets: u16,
    /// The NATS server's program
    #[arg(long, value_name = "FILE", default_value = "nats-server")]
    nats: PathBuf,
    /// The command, beside the server [default: a shell]. LAB_JOBS is a file of targets, LAB_SERVER and LAB_KEY
    /// are for --server and --nkey
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Fleet {
    pub(super) fn run(self) -> Result<Verdict> {
        let names: Vec<String> =
            ('a'..).take(self.count.into()).map(|letter| letter.to_string()).collect();
        let lab = EmulatedLab::with_vantages(vec![path(self.count)?], self.targets, self.count)?;
        let folder = WorkDir::new()?;
        let jobs = folder.file("jobs.ndjson");
        lab.write_jobs(&jobs)?;
        let beside = Namespace::new("the server")?;
        let pathspider = default_pathspider();
        let mut fleet = Running { children: Vec::new() };
        fleet.serve(&beside, &self.nats, &configure(&pathspider, &names, &folder)?)?;
        for (number, (name, vantage)) in (1..).zip(names.iter().zip(lab.vantages())) {
            let address = join(&beside, vantage, number)?;
            fleet.measure(&pathspider, &folder, vantage, (name, &address))?;
        }
        fleet.wait(&folder, &names)?;
        let shell = || std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
        let is_shell = self.command.is_empty();
        let words = if is_shell { vec![shell()] } else { self.command };
        let mut command = Command::new(&words[0]);
        let key = folder.file("nats").join("coordinator.nk");
        let server = format!("nats://127.0.0.1:{PORT}");
        command.args(&words[1..]);
        command.env("LAB_JOBS", &jobs).env("LAB_SERVER", &server).env("LAB_KEY", &key);
        if is_shell {
            say(&format!(
                "Beside the server; exit leaves and removes all.\n\n\
                 agents     {}\nserver     {server} ($LAB_SERVER)\nkey        {} ($LAB_KEY)\n\
                 targets    {} ($LAB_JOBS)\n\n",
                names.join(" "),
                key.display(),
                jobs.display(),
            ))?;
        }
        beside.place(&mut command);
        let status = command.status().map_err(failed("run", &words[0]))?;
        // As shells do: a signal shows as 128 and its number.
        use std::os::unix::process::ExitStatusExt;
        let signal = || status.signal().map_or(3, |signal| 128 + signal);
        Ok(Verdict::Exit(status.code().unwrap_or_else(signal) as u8))
    }
}

/// The path of all: it has a fault for the second and the third vantage point.
fn path(count: u8) -> Result<scenario::Scenario> {
    let rules = (2..=count.min(3)).map(|number| {
        let matching = FAULT.replace("NUMBER", &number.to_string());
        format!("[[rule]]\nhop = 2\n{matching}\naction = 'drop'\n")
    });
    let text: String = rules.collect();
    scenario::read(
        "fleet",
        "fleet",
        &format!("summary = 'drops SYNs that ask for ECN, of b and c'\n{text}"),
    )
}

/// Writes the server's configuration, and the keys of all places.
fn configure(pathspider: &Path, names: &[String], folder: &WorkDir) -> Result<PathBuf> {
    let output = folder.file("nats");
    let mut command = Command::new(pathspider);
    command.args(["campaign", "server-config", "--listen", &format!("0.0.0.0:{PORT}")]);
    // Any version starts with what the oldest knows.
    command.args(["--nats", "2.9", "--output"]).arg(&output);
    for name in names {
        command.args(["--vantage", name]);
    }
    let made = command.output().map_err(failed("run", pathspider))?;
    if made.status.success() {
        return Ok(output.join("nats-server.conf"));
    }
    Err(Error::Tool {
        command: "pathspider campaign server-config".to_owned(),
        status: made.status.to_string(),
        message: String::from_utf8_lossy(&made.stderr).trim().to_owned(),
    })
}

/// Joins a vantage point with the server: the server's address there.
fn join(beside: &Namespace, vantage: &Namespace, number: u8) -> Result<String> {
    // For benchmarks of devices (RFC 2544): no path of the lab has these.
    let (ours, theirs) = (format!("198.18.{number}.1"), format!("198.18.{number}.2"));
    ip(
        beside,
        &format!(
            "link add fleet{number} type veth peer name fleet0 netns {}\n\
             addr add {ours}/24 dev fleet{number}\nlink set fleet{number} up\n",
            vantage.path()
        ),
    )?;
    ip(vantage, &format!("addr add {theirs}/24 dev fleet0\nlink set fleet0 up\n"))?;
    Ok(ours)
}

/// The server and the agents; they are killed when dropped.
struct Running {
    children: Vec<Child>,
}

impl Running {
    fn serve(&mut self, beside: &Namespace, nats: &Path, configuration: &Path) -> Result<()> {
        let mut command = Command::new(nats);
        command.arg("-c").arg(configuration).stdout(Stdio::null()).stderr(Stdio::null());
        beside.place(&mut command);
        self.children.push(command.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                Error::MissingTool { tool: nats.display().to_string(), package: "nats-server" }
            }
            _ => failed("run", nats)(source),
        })?);
        let begun = Instant::now();
        while beside.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_err())? {
            let message = format!("it does not listen at port {PORT}");
            self.look(&nats.display().to_string(), begun, || message)?;
        }
        Ok(())
    }

    fn measure(
        &mut self,
        pathspider: &Path,
        folder: &WorkDir,
        vantage: &Namespace,
        (name, address): (&str, &str),
    ) -> Result<()> {
        let said = said(folder, name);
        let log = std::fs::File::create(&said).map_err(failed("write", &said))?;
        let mut command = Command::new(pathspider);
        command.args(plugin_waiver(pathspider));
        command.args(["agent", "--vantage", name, "-i", INTERFACE, "--server"]);
        command.arg(format!("nats://{address}:{PORT}"));
        command.arg("--nkey").arg(folder.file("nats").join(format!("{name}.nk")));
        command.arg("--state").arg(folder.file(&format!("state-{name}")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        vantage.place(&mut command);
        self.children.push(command.spawn().map_err(failed("run", pathspider))?);
        Ok(())
    }

    /// Waits until all agents are ready.
    fn wait(&mut self, folder: &WorkDir, names: &[String]) -> Result<()> {
        let begun = Instant::now();
        for name in names {
            let file = said(folder, name);
            loop {
                let said = std::fs::read_to_string(&file).unwrap_or_default();
                if said.contains("is ready") {
                    break;
                }
                let message = || said.lines().last().unwrap_or("it says nothing").to_owned();
                self.look(&format!("pathspider agent --vantage {name}"), begun, message)?;
            }
        }
        Ok(())
    }

    /// Waits a little for the program that is to begin.
    ///
    /// # Errors
    /// One of the programs has ended, or this one has not begun in time.
    fn look(&mut self, command: &str, begun: Instant, why: impl FnOnce() -> String) -> Result<()> {
        let mut ended =
            self.children.iter_mut().filter_map(|child| child.try_wait().ok().flatten());
        let status = match ended.next() {
            Some(status) => status.to_string(),
            None if begun.elapsed() > PATIENCE => "not ready".to_owned(),
            None => {
                std::thread::sleep(LOOK);
                return Ok(());
            }
        };
        Err(Error::Tool { command: command.to_owned(), status, message: why() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What an agent says.
fn said(folder: &WorkDir, name: &str) -> PathBuf {
    folder.file(&format!("agent-{name}.log"))
}

fn failed<'a>(
    action: &'a str,
    subject: impl AsRef<Path> + 'a,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { action: format!("{action} {}", subject.as_ref().display()), source }
}
