//! A shuffled run that goes on measures what one run in one go would have.

use pathspider_plugin_api::Record;

use super::super::courtesy::Blocklist;
use super::*;
use crate::job::{Counts, Rules};

const SEED: u64 = 7;
const LINES: u64 = 40;

pathspider_plugin_api::variants! {
    /// How the targets of an input are told apart.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Kind {
        Addresses,
        /// Names that the measurement takes.
        Names,
        /// Each line twice, and every line counts.
        Duplicates,
        /// Names that are looked up, and the address of each once more. Which of both is the duplicate
        /// depends on when the name is answered.
        LookedUp,
    }
}

/// A run over the input. `late`: names that are looked up are answered at its end.
struct Run {
    kind: Kind,
    late: bool,
    most: Option<u64>,
}

impl Run {
    fn target(&self, line: u64) -> Target {
        let address = |number: u64| IpAddr::V4((0x0100_0000 + number as u32).into());
        let (place, domain) = match self.kind {
            Kind::Addresses => (Place::Address(address(line)), None),
            Kind::Names => (Place::Name(format!("n{line}.example")), Some(line)),
            Kind::Duplicates => (Place::Address(address((line - 1) / 2)), None),
            Kind::LookedUp => {
                (Place::Address(address((line - 1) / 2)), (line % 2 == 1).then_some(line))
            }
        };
        let mut record = Record::new();
        if let Some(domain) = domain {
            record.set("domain", format!("n{domain}.example"));
        }
        Target { place, port: None, record, came: None }
    }

    /// What a record says of a job.
    fn identity(&self, job: &Job) -> Identity {
        let address = Some(job.target()).filter(|address| !address.is_unspecified());
        Identity {
            line: job.number() + 1,
            address,
            port: address.map(|_| job.port()),
            domain: job.domain().map(str::to_owned),
        }
    }

    /// The jobs that it gives after those of runs before, in their order, and its counts.
    fn give(&self, before: &[Job]) -> (Vec<Job>, Counts) {
        let duplicates = self.kind == Kind::Duplicates;
        let mut done = Done::new(self.kind == Kind::Names, duplicates);
        before.iter().for_each(|job| done.add(&self.identity(job)));
        let rules = Rules {
            courtesy: Arc::new(Courtesy::new(Blocklist::default(), true)),
            duplicates,
            max_targets: self.most,
            shuffle: Some(SEED),
            ..Rules::default()
        };
        let names = self.kind == Kind::Names;
        let feeding =
            Feeding { rules, names, port: 80, interface: None, done: Some(done), standings: None };
        let (jobs, mut given) = mpsc::channel(LINES as usize);
        let (places, _freed) = crossbeam::channel::bounded(LINES as usize);
        let tally = Arc::new(Tally::default());
        let mut gate = Gate::new(feeding, Onward { jobs, places }, Arc::clone(&tally));
        let is_name = |line: u64| self.kind == Kind::LookedUp && line % 2 == 1;
        let mut looked_up = Vec::new();
        for line in 1..=LINES {
            let target = self.target(line);
            if is_name(line) {
                if gate.is_done(line, None, target.record.str("domain").unwrap()) {
                    continue;
                }
                if self.late {
                    looked_up.push((line, target));
                    continue;
                }
            }
            gate.admit(line, target);
        }
        for (line, target) in looked_up {
            gate.admit(line, target);
        }
        gate.finish();
        drop(gate);
        (std::iter::from_fn(|| given.blocking_recv().map(|fed| fed.job)).collect(), tally.counts())
    }
}

fn lines(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.number() + 1).collect()
}

#[test]
fn a_shuffled_run_that_goes_on_is_the_same_sample() {
    for kind in Kind::ALL {
        for late in [false, true] {
            let run = |most| Run { kind, late, most };
            let (all, _) = run(None).give(&[]);
            for done in [0, 1, 5, 12] {
                let (rest, counts) = run(Some(12)).give(&all[..done]);
                assert_eq!(lines(&rest), lines(&all[done..12]), "{kind:?} {late} after {done}");
                assert!(counts.limited);
                // What was in flight when the run before ended is missing among the first.
                let gaps: Vec<Job> = all[..done].iter().step_by(2).cloned().collect();
                let (rest, _) = run(Some(12)).give(&gaps);
                let mut sample = lines(&[gaps, rest].concat());
                sample.sort_unstable();
                let mut whole = lines(&all[..12]);
                whole.sort_unstable();
                assert_eq!(sample, whole, "{kind:?} {late} after half of {done}");
            }
            // Without a limit the rest comes, in the same order.
            let (rest, counts) = run(None).give(&all[..9]);
            assert_eq!(lines(&rest), lines(&all[9..]), "{kind:?} {late}");
            assert_eq!((counts.kept_back, counts.total), (0, Some(all.len() as u64 - 9)));
        }
    }
}
