//! The network that tests measure in.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::kernel::{INTERFACE, KernelLab, standard_groups};
use pathspider_lab::net::Namespace;
use pathspider_lab::targets::FastHttp;

use crate::{Ended, Program};

/// A network of a few targets behind each kind of path; gone when dropped.
pub struct Network {
    lab: KernelLab,
}

/// Makes a network with this many IPv4 and IPv6 targets behind each kind of path. `None`, after
/// saying so, where the privilege for it is missing; in CI that is a failure.
///
/// # Panics
///
/// In CI, without the privilege.
pub fn network(ipv4: u16, ipv6: u16) -> Option<Network> {
    let made = pathspider_lab::net::prepare()
        .and_then(|()| KernelLab::new(standard_groups(ipv4.into(), ipv6)));
    match made {
        Ok(lab) => Some(Network { lab }),
        Err(error) => {
            crate::skipped(error);
            None
        }
    }
}

impl Network {
    /// The addresses behind the path of this name.
    ///
    /// # Panics
    ///
    /// There is no such path.
    pub fn targets(&self, path: &str) -> Vec<IpAddr> {
        let group = self.lab.groups().iter().find(|group| group.truth.name == path);
        group.map(|group| group.addresses().collect()).unwrap_or_else(|| panic!("no path {path}"))
    }

    /// One line of input for each address.
    pub fn jobs(&self, path: &str) -> String {
        let line =
            |address| format!("{{\"dip\":\"{address}\",\"dp\":80,\"lab_path\":\"{path}\"}}\n");
        self.targets(path).into_iter().map(line).collect()
    }

    /// Starts a command at the vantage point, with all its ends connected.
    ///
    /// # Panics
    ///
    /// It cannot be started.
    pub fn start(&self, command: Command) -> Child {
        start(self.lab.vantage(), command)
    }

    /// Runs a command at the vantage point, with this input.
    ///
    /// # Panics
    ///
    /// It cannot be run.
    pub fn run(&self, command: Command, input: &str) -> Ended {
        run(self.lab.vantage(), command, input)
    }

    /// Runs `pathspider measure` on the vantage point's interface with these arguments, and lets
    /// it measure the network's private addresses.
    pub fn measure(&self, arguments: &[&str], input: &str) -> Ended {
        let mut all = vec!["measure", "-i", INTERFACE, "--allow-special"];
        all.extend(arguments);
        self.run(Program::command(&all), input)
    }

    /// Runs a shell script at the vantage point, where `$PATHSPIDER` is the program.
    pub fn script(&self, script: &str, input: &str) -> Ended {
        self.run(shell(script), input)
    }

    /// Does something at the vantage point, in this process.
    ///
    /// # Panics
    ///
    /// The namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = self.lab.vantage().enter(work);
        done.unwrap_or_else(|error| panic!("cannot enter the vantage point: {error}"))
    }

    /// Runs a shell script on the path, between the vantage point and the targets.
    ///
    /// # Panics
    ///
    /// It cannot be run.
    pub fn script_on_path(&self, script: &str) -> Ended {
        run(self.lab.router(), shell(script), "")
    }

    /// Runs a shell script at the vantage point, on the path, and where the targets are.
    ///
    /// # Panics
    ///
    /// It fails.
    pub fn script_everywhere(&self, script: &str) {
        let ends = [self.lab.vantage(), self.lab.router()].into_iter().chain(self.lab.servers());
        ends.for_each(|namespace| run(namespace, shell(script), "").expect(0, &[]));
    }

    /// Starts a web server on the path, at this port of its addresses; it ends when dropped.
    ///
    /// # Panics
    ///
    /// It cannot be started.
    pub fn serve_on_path(&self, port: u16) -> FastHttp {
        let server = FastHttp::start(self.lab.router(), port, 1, false);
        server.unwrap_or_else(|error| panic!("cannot serve on the path: {error}"))
    }

    /// Lets the targets serve HTTPS, DNS and plain TCP too.
    ///
    /// # Panics
    ///
    /// They cannot.
    pub fn serve_all(&mut self) {
        if let Err(error) = self.lab.serve_all() {
            panic!("cannot serve: {error}");
        }
    }

    /// The vantage point's interface.
    pub fn interface(&self) -> &'static str {
        INTERFACE
    }

    /// The kernel parameters, firewall rules and routes of the vantage point, as one text.
    ///
    /// # Panics
    ///
    /// They cannot be read.
    pub fn settings(&self) -> String {
        let script = "grep -s '' /proc/sys/net/ipv4/tcp_*; nft list ruleset && ip route";
        let settings = self.script(script, "");
        settings.expect(0, &[]);
        assert!(settings.stdout.contains("/tcp_ecn:"), "{}", settings.stdout);
        settings.stdout
    }
}

/// A path that a scenario describes, with a few targets of each version.
pub struct Path {
    lab: EmulatedLab,
}

/// Makes a path of this scenario, which needs no summary, with this many targets of each version.
/// `None` as for [`network`].
///
/// # Panics
///
/// In CI, without the privilege; or the scenario is none.
pub fn path(scenario: &str, targets: u16) -> Option<Path> {
    let text = format!("summary = 'is a test'\n{scenario}");
    let made = pathspider_lab::net::prepare()
        .and_then(|()| pathspider_lab::scenario::read("test", "test", &text))
        .and_then(|scenario| EmulatedLab::new(vec![scenario], targets));
    match made {
        Ok(lab) => Some(Path { lab }),
        Err(error) => {
            crate::skipped(error);
            None
        }
    }
}

impl Path {
    /// One line of input for each target.
    pub fn jobs(&self) -> String {
        let targets = self.lab.paths().iter().flat_map(|path| &path.targets);
        targets.map(|address| format!("{{\"dip\":\"{address}\"}}\n")).collect()
    }

    /// Runs a shell script at the vantage point, as [`Network::script`] does.
    pub fn script(&self, script: &str, input: &str) -> Ended {
        run(self.lab.vantage(), shell(script), input)
    }
}

/// A network whose first target is the resolver too, which knows the names that `Names::name`
/// gives. Its `/etc/resolv.conf`, `hosts` and `nsswitch.conf` are seen by the commands alone.
pub struct Names {
    lab: EmulatedLab,
    folder: PathBuf,
}

/// Makes a network with this many IPv4 targets, and a resolver. `None` as for [`network`].
///
/// # Panics
///
/// In CI, without the privilege.
pub fn names(test: &str, targets: u16) -> Option<Names> {
    let lab = pathspider_lab::net::prepare()
        .and_then(|()| pathspider_lab::scenario::find("ecn-clean"))
        .and_then(|scenarios| EmulatedLab::new(scenarios, targets));
    match lab {
        Ok(lab) => Some(Names { lab, folder: crate::temp_dir(test) }),
        Err(error) => {
            crate::skipped(error);
            None
        }
    }
}

impl Names {
    /// The IPv4 targets.
    pub fn targets(&self) -> Vec<IpAddr> {
        let all = self.lab.paths().iter().flat_map(|path| &path.targets);
        all.copied().filter(IpAddr::is_ipv4).collect()
    }

    /// A name that has this address.
    pub fn name(address: IpAddr) -> String {
        format!("{}.lab.example", address.to_string().replace('.', "-"))
    }

    /// Runs a shell script at the vantage point, as [`Network::script`] does, where
    /// `/etc/resolv.conf` names these servers.
    ///
    /// # Panics
    ///
    /// The files cannot be written.
    pub fn script(&self, servers: &[IpAddr], script: &str, input: &str) -> Ended {
        let servers: String = servers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
        let mut mounts = String::new();
        for (name, text) in [
            ("resolv.conf", &*format!("{servers}options timeout:1 attempts:1\n")),
            ("nsswitch.conf", "hosts: files dns\n"),
            (
                "hosts",
                "127.0.0.1 localhost\n10.255.0.1 filed.example\n10.255.0.2 xn--mnchen-3ya.example\n0.0.0.0 blocked.example\n",
            ),
        ] {
            let file = self.folder.join(name);
            assert!(std::fs::write(&file, text).is_ok(), "cannot write {}", file.display());
            mounts += &format!("mount --bind {} /etc/{name} && ", file.display());
        }
        // The lab gave the command a mount namespace of its own.
        run(self.lab.vantage(), shell(&format!("{mounts} {{ {script}\n}}")), input)
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).env("PATHSPIDER", crate::built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", crate::state_dir());
    shell
}

fn start(vantage: &Namespace, mut command: Command) -> Child {
    vantage.place(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("cannot run {command:?}: {error}"),
    }
}

/// Runs a command in a namespace, with this input.
///
/// # Panics
///
/// It cannot be run.
pub fn run(vantage: &Namespace, command: Command, input: &str) -> Ended {
    let mut child = start(vantage, command);
    let stdin = child.stdin.take();
    let input = input.to_owned();
    let writer = thread::spawn(move || {
        // A program that stops early does not read it all.
        let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
    });
    let output = child.wait_with_output();
    let _ = writer.join();
    match output {
        Ok(output) => output.into(),
        Err(error) => panic!("cannot wait: {error}"),
    }
}
