//! The virtual machine: what `make machine` packed, a job to do, a disk that stays, a console.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use pathspider_e2e::{built, temp_dir};

/// Octets of the disk.
const DISK: u64 = 256 << 20;

/// How long it may say nothing: it is emulated, and slow.
const SILENCE: Duration = Duration::from_secs(120);

/// One that is off.
pub(super) struct Machine {
    folder: PathBuf,
}

/// One that runs.
pub(super) struct Guest {
    child: Child,
    console: Receiver<String>,
    said: Vec<String>,
}

impl Machine {
    /// With an empty disk.
    pub(super) fn new(test: &str) -> Machine {
        let machine = Machine { folder: temp_dir(test) };
        File::create(machine.disk()).unwrap().set_len(DISK).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(machine.disk()).status();
        assert!(made.unwrap().success(), "mkfs.ext4 failed");
        machine
    }

    fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Turns it on, to do this shell script in the folder of its disk.
    pub(super) fn start(&self, job: &str) -> Guest {
        let script = self.folder.join("job");
        // A disk has whole sectors.
        let sectors = job.len().div_ceil(512);
        std::fs::write(&script, format!("{job:\0<0$}", sectors * 512)).unwrap();
        let drive = |file: &PathBuf| format!("file={},format=raw,if=virtio", file.display());
        // Emulated also where KVM is: inside other machines it is often not all there.
        let mut child = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none"])
            .arg("-no-reboot")
            .arg("-kernel")
            .arg(built("machine/kernel"))
            .arg("-initrd")
            .arg(built("machine/initrd"))
            .args(["-append", "console=ttyS0 panic=-1 quiet"])
            .args(["-drive", &drive(&self.disk()), "-drive", &drive(&script)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (say, console) = channel();
        std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let _ = say.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
        Guest { child, console, said: Vec::new() }
    }

    /// A file of its disk.
    pub(super) fn text(&self, name: &str) -> String {
        let mut read = Command::new("debugfs");
        read.args(["-R", &format!("cat {name}")]).arg(self.disk());
        let mut octets = read.output().unwrap().stdout;
        if name.ends_with(".zst") {
            let packed = self.folder.join(name);
            std::fs::write(&packed, octets).unwrap();
            octets = Command::new("zstd").arg("-dc").arg(packed).output().unwrap().stdout;
        }
        String::from_utf8(octets).unwrap()
    }
}

impl Guest {
    /// Waits for a line that contains this.
    pub(super) fn line(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.console.recv_timeout(SILENCE) else {
                panic!("no {words:?}: {:#?}", self.said);
            };
            self.said.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Cuts its power: what it had not written to the disk is lost.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it turns itself off.
    pub(super) fn end(mut self) {
        self.said.extend(self.console.iter());
        assert!(self.child.wait().unwrap().success(), "{:#?}", self.said);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
