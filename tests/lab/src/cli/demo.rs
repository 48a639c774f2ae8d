//! Owns `pathspider-lab demo`: the first thing a newcomer sees.

use clap::Args;
use pathspider_lab::emulated::EmulatedLab;
use pathspider_lab::{Result, scenario};

use super::check::{Pathspider, show};
use super::{Verdict, say};

const PLUGIN: &str = "ecn";

#[derive(Args)]
pub(super) struct Demo {
    #[command(flatten)]
    pathspider: Pathspider,
    /// Targets of each version, IPv4 and IPv6, behind each path
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=4000))]
    targets: u16,
}

impl Demo {
    pub(super) fn run(self) -> Result<Verdict> {
<<<<<<< HEAD
        let mut scenarios = scenario::builtin()?;
        scenarios.retain(|scenario| scenario.expect.contains_key(PLUGIN));
        let lab = EmulatedLab::new(scenarios, self.targets)?;
        let suite = self.pathspider.suite();
        let targets: usize = lab.paths().iter().map(|path| path.targets.len()).sum();
        say(&format!(
            "\nA network on this machine, made for this run: a vantage point, {} paths of which we\n\
             know what each does, and {targets} targets behind them. Measured from the vantage point \
             with\n\n  pathspider {}\n\n\
             what pathspider found beside what is true:\n\n",
            lab.paths().len(),
            suite.measurement(PLUGIN, None).command_line("jobs.ndjson", "out.ndjson").join(" ")
        ))?;
        let measured = suite.measure(&lab, PLUGIN)?;
        show(&measured)?;
        Ok(Verdict::of(measured.comparison.is_right()))
=======
        let measurement = Measurement {
            pathspider: self.pathspider.unwrap_or_else(default_pathspider),
            interface: INTERFACE.into(),
            workers: self.workers,
            plugin: "ecn".into(),
            arguments: ["--connect", "tcp", "--timeout", "3"].map(String::from).to_vec(),
        };
        let lab = KernelLab::new(standard_groups(self.ipv4, self.ipv6))?;
        let targets = || {
            lab.groups().iter().flat_map(|group| {
                let target = |address| Target { truth: &group.truth, address, port: group.port() };
                group.addresses().map(target)
            })
        };
        println!(
            "\nA network on this machine: a vantage point, a router that misbehaves, and {} servers.\n\
             Running inside it:\n\n  pathspider {}\n",
            targets().count(),
            measurement.command_line("jobs.ndjson", "out.ndjson").join(" ")
        );
        let run = measurement.run(lab.vantage(), targets())?;
        let comparison = compare(&measurement.plugin, targets(), &run.records);
        let mut stdout = std::io::stdout();
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let text = format!(
            "{}   in {:.1} s, with at most {:.0} MiB of memory\n",
            render(&comparison, colour),
            run.finished.elapsed.as_secs_f64(),
            run.finished.peak_memory as f64 / f64::from(1 << 20),
        );
        std::io::Write::write_all(&mut stdout, text.as_bytes())
            .map_err(|source| Error::Io { action: "print the table".into(), source })?;
        Ok(if comparison.is_right() { Verdict::Right } else { Verdict::Different })
>>>>>>> main
    }
}
