//! A limit of memory: the kernel kills the run.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use pathspider_e2e::{built, network, records, skipped, temp_dir, wait_until};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A group of processes whose memory can be limited, of the first or second version of cgroups.
struct Group {
    folder: String,
    limit: &'static str,
}

impl Group {
    fn new() -> Option<Group> {
        let name = format!("pathspider-test-{}", std::process::id());
        let versions = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/unified", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        versions.into_iter().find_map(|(root, limit)| {
            let group = Group { folder: format!("{root}/{name}"), limit };
            std::fs::create_dir(&group.folder).ok()?;
            // Else it goes again.
            std::path::Path::new(&format!("{}/{limit}", group.folder)).exists().then_some(group)
        })
    }

    /// Leaves it nothing beyond what it has. The first version of cgroups refuses less.
    fn limit(&self) {
        let file = |name: &str| format!("{}/{name}", self.folder);
        let _ = std::fs::write(file("memory.swap.max"), "0");
        let used = std::fs::read_to_string(file("memory.usage_in_bytes"));
        let used: u64 = used.map_or(1 << 20, |text| text.trim().parse().unwrap());
        let limits = (0..256).map(|pages| (used + (pages << 12)).to_string());
        let set = limits.map(|limit| std::fs::write(file(self.limit), limit));
        assert!(set.into_iter().any(|set| set.is_ok()), "no limit is taken");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group is busy until its last process is buried.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn the_kernel_kills_for_want_of_memory_and_the_run_goes_on_later() {
    let Some(network) = network(200, 0) else { return };
    let before = network.settings();
    let Some(group) = Group::new() else {
        return skipped("no cgroup with a limit of memory can be made");
    };
    let path = temp_dir("memory").join("out.ndjson").display().to_string();
    let script = format!(
        "kill -STOP $$; exec $PATHSPIDER measure --allow-special -i {} --resume --output {path} \
         ecn --connect tcp",
        network.interface()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("PATHSPIDER", built("pathspider"));
    shell.env("PATHSPIDER_STATE_DIR", pathspider_e2e::state_dir());
    let mut run = network.start(shell);
    let pid = Pid::from_child(&run);
    waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    std::fs::write(format!("{}/cgroup.procs", group.folder), run.id().to_string()).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    let mut stdin = run.stdin.take().unwrap();
    let jobs = network.jobs("clean");
    let (first, rest) = jobs.split_at(jobs.match_indices('\n').nth(9).unwrap().0 + 1);
    stdin.write_all(first.as_bytes()).unwrap();
    let written = || std::fs::read_to_string(&path).unwrap_or_default().lines().count();
    wait_until("the first are written", || written() == 10);
    group.limit();
    // Targets that take much memory each.
    let much = format!(",\"note\":\"{}\"}}\n", "x".repeat(500_000));
    let _ = stdin.write_all(rest.replace("}\n", &much).as_bytes());
    drop(stdin);
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = run.wait().unwrap();
    drop(group);
    assert_eq!(status.signal(), Some(9), "{said}");
    assert!(said.contains("ended without a word; restored: "), "{said}");
    let arguments = ["--resume", "--output", &path, "ecn", "--connect", "tcp"];
    network.measure(&arguments, &jobs).expect(0, &["measured before"]);
    let all = records(&std::fs::read_to_string(&path).unwrap());
    let targets: std::collections::BTreeSet<&String> = all.iter().map(|r| &r.dip).collect();
    assert_eq!((all.len(), targets.len()), (200, 200));
    assert_eq!(network.settings(), before);
}
