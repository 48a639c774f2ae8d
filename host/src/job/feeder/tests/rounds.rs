//! Rounds: who is given in each, in which order, and what is counted, wherever the run is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pathspider_plugin_api::{Class, ConditionInfo};

use super::super::super::courtesy::{Blocklist, Courtesy};
use super::super::super::done::{Done, Identity};
use super::*;
use crate::rounds::{Schedule, Standings};

const WORKS: &str = "x.connectivity.works";
const BROKEN: &str = "x.connectivity.broken";

fn declared() -> Vec<ConditionInfo> {
    [(WORKS, Class::Good), (BROKEN, Class::Impaired)]
        .map(|(name, class)| ConditionInfo { name: name.into(), class, meaning: String::new() })
        .into()
}

fn schedule(repeat: u16, confirm: u16) -> Schedule {
    Schedule { repeat, confirm, interval: Duration::ZERO, seed: 1 }
}

/// A record of a round, as far as another run goes by it.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    line: u64,
    address: IpAddr,
    round: u16,
    condition: &'static str,
    told: Vec<String>,
}

/// A run in rounds over this many targets.
struct Rounds {
    schedule: Schedule,
    most: Option<u64>,
    shuffle: Option<u64>,
    /// Which targets are broken, by their line and the round.
    is_broken: fn(u64, u16) -> bool,
}

impl Rounds {
    /// Runs after a run that gave `before`; stops when it was given this many more.
    fn run(&self, input: &Input, before: &[Given], stop_after: usize) -> (Vec<Given>, Counts) {
        let mut done = Done::new(false, false).in_rounds(declared());
        for given in before {
            let identity = Identity {
                line: given.line,
                address: Some(given.address),
                port: Some(80),
                domain: None,
            };
            let conditions: Vec<String> =
                given.told.iter().cloned().chain([given.condition.to_owned()]).collect();
            done.add_round(&identity, given.round, &conditions);
        }
        let standings = Arc::new(Standings::new(self.schedule, done.take_folds()));
        let rules = Rules {
            courtesy: Arc::new(Courtesy::new(Blocklist::default(), true)),
            max_targets: self.most,
            shuffle: self.shuffle,
            rounds: Some(self.schedule),
            ..Rules::default()
        };
        let feeding = Feeding {
            rules,
            names: false,
            port: 80,
            interface: None,
            done: (!before.is_empty()).then_some(done),
            standings: Some(Arc::clone(&standings)),
        };
        let reader = JobReader::open(input, Format::Either).unwrap();
        let (sender, mut jobs) = mpsc::channel(1);
        let (places, freed) = crossbeam::channel::bounded(3);
        let (threads, stop) = (SingleThread::at_start().end(), Stop::new());
        let onward = (sender, places);
        let (fed, feeder) = feed(threads, reader, feeding, onward, Arc::clone(&stop)).unwrap();
        let mut given = Vec::new();
        let mut under_way: Option<u16> = None;
        while given.len() < stop_after
            && let Some(Fed { job, turn, .. }) = jobs.blocking_recv()
        {
            let turn = turn.unwrap();
            let (line, round) = (job.number() + 1, turn.round.number() as u16);
            assert!(under_way.is_none_or(|last| last <= round), "rounds do not overlap");
            under_way = Some(round);
            let condition = if (self.is_broken)(line, round) { BROKEN } else { WORKS };
            let class = if condition == BROKEN { Class::Impaired } else { Class::Good };
            let told = standings.end(turn, std::iter::once((condition, class)));
            let told = told.iter().map(|told| told.as_str().to_owned()).collect();
            freed.recv().unwrap();
            assert_eq!(job.record().u64("rank"), Some(line), "its keys come with it");
            given.push(Given { line, address: job.target(), round, condition, told });
        }
        if given.len() == stop_after {
            stop.finish("a signal");
        }
        jobs.close();
        let counts = fed.close(&feeder);
        // What a feeder gives that nobody takes is none.
        while jobs.try_recv().is_ok() {}
        feeder.join().unwrap().unwrap();
        (given, counts)
    }
}

/// A file of this many targets, in a folder of its own.
fn input(name: &str, targets: u64) -> (PathBuf, Input) {
    let folder = folder(name);
    let path = folder.join("x");
    let line = |n| format!("{{\"dip\":\"10.0.{}.{}\",\"rank\":{}}}\n", n / 250, n % 250, n + 1);
    fs::write(&path, (0..targets).map(line).collect::<String>()).unwrap();
    (folder, Input::File(path))
}

fn lines_of(given: &[Given], round: u16) -> Vec<u64> {
    given.iter().filter(|given| given.round == round).map(|given| given.line).collect()
}

fn sorted(mut lines: Vec<u64>) -> Vec<u64> {
    lines.sort_unstable();
    lines
}

/// How often each target was given in each round.
fn times(given: &[Given]) -> BTreeMap<(u64, u16), usize> {
    let mut times = BTreeMap::new();
    given.iter().for_each(|given| *times.entry((given.line, given.round)).or_default() += 1);
    times
}

#[test]
fn each_round_has_all_targets_in_another_order() {
    let (folder, input) = input("orders", 60);
    for shuffle in [None, Some(3)] {
        let run = Rounds { schedule: schedule(4, 0), most: None, shuffle, is_broken: |_, _| false };
        let (given, counts) = run.run(&input, &[], usize::MAX);
        let orders: BTreeSet<Vec<u64>> = (0..4).map(|round| lines_of(&given, round)).collect();
        assert_eq!(orders.len(), 4, "no two are the same");
        let all: Vec<u64> = (1..=60).collect();
        assert!(orders.into_iter().all(|order| sorted(order) == all));
        assert!(shuffle.is_some() || lines_of(&given, 0) == all, "the first one is the input's");
        assert_eq!(lines_of(&run.run(&input, &[], usize::MAX).0, 2), lines_of(&given, 2));
        assert_eq!((counts.handed, counts.kept_back, counts.total), (240, 0, Some(240)));
        assert_eq!((counts.rounds, counts.rounds_left), (4, false));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn only_impaired_targets_are_confirmed() {
    let (folder, input) = input("confirmed", 10);
    // The third line is broken for good, the fifth once.
    let is_broken = |line, round| line == 3 || (line == 5 && round == 1);
    let run = Rounds { schedule: schedule(2, 3), most: None, shuffle: None, is_broken };
    let (given, counts) = run.run(&input, &[], usize::MAX);
    let of = |round| sorted(lines_of(&given, round));
    assert_eq!((of(2), of(3), of(4)), (vec![3, 5], vec![3], vec![3]));
    assert_eq!(counts.handed, 24);
    assert!(!counts.rounds_left);
    let told = |line: u64| -> Vec<&Given> {
        given.iter().filter(|one| one.line == line && !one.told.is_empty()).collect()
    };
    assert_eq!((told(3)[0].round, &*told(3)[0].told[0]), (4, "x.stable.connectivity.broken"));
    assert_eq!((told(5)[0].round, &*told(5)[0].told[0]), (2, "x.unstable.connectivity"));
    assert_eq!((told(1)[0].round, &*told(1)[0].told[0]), (1, "x.stable.connectivity.works"));
    assert!((1..=10).all(|line| told(line).len() == 1), "once");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn one_round_is_measured_and_confirmed() {
    let (folder, input) = input("once", 5);
    let is_broken = |line, _| line == 2;
    let run = Rounds { schedule: schedule(1, 0), most: None, shuffle: None, is_broken };
    let (given, counts) = run.run(&input, &[], usize::MAX);
    assert_eq!((given.len(), counts.rounds, counts.rounds_left), (5, 1, false));
    assert!(given.iter().all(|given| given.told.is_empty()));
    let run = Rounds { schedule: schedule(1, 1), ..run };
    let (given, _) = run.run(&input, &[], usize::MAX);
    assert_eq!((given.len(), lines_of(&given, 1)), (6, vec![2]));
    fs::remove_dir_all(folder).unwrap();
}

/// Wherever it is stopped, what is left is counted, and another run does just that.
#[test]
fn a_run_that_is_stopped_in_any_round_goes_on_there() {
    let (folder, input) = input("resumed", 8);
    let is_broken = |line, round| line == 3 || (line == 5 && round != 1);
    for (shuffle, most) in [(None, None), (Some(9), None), (None, Some(6)), (Some(9), Some(6))] {
        let run = Rounds { schedule: schedule(3, 2), most, shuffle, is_broken };
        let (whole, _) = run.run(&input, &[], usize::MAX);
        let mut expected = whole.clone();
        expected.sort_by_key(|given| (given.line, given.round));
        for stop_after in 0..whole.len() {
            let (mut all, counts) = run.run(&input, &[], stop_after);
            let is_handed = counts.handed as usize > stop_after;
            assert!(counts.rounds_left || counts.kept_back > 0 || is_handed, "{counts:?}");
            // What was in flight is lost.
            all.truncate(stop_after);
            let (rest, counts) = run.run(&input, &all, usize::MAX);
            assert!(!counts.rounds_left && counts.kept_back == 0, "{counts:?}");
            assert_eq!(counts.handed as usize, rest.len());
            all.extend(rest);
            assert!(times(&all).values().all(|&times| times == 1));
            all.sort_by_key(|given| (given.line, given.round));
            assert_eq!(all, expected, "{shuffle:?} {most:?} after {stop_after}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_target_that_was_left_in_the_first_round_is_measured_in_all() {
    let (folder, input) = input("gaps", 6);
    let run =
        Rounds { schedule: schedule(2, 0), most: Some(5), shuffle: None, is_broken: |_, _| false };
    let (whole, _) = run.run(&input, &[], usize::MAX);
    // The second and fourth were in flight when the run before ended.
    let before: Vec<Given> =
        whole.iter().filter(|one| one.round == 0 && one.line % 2 == 1).cloned().collect();
    let (rest, counts) = run.run(&input, &before, usize::MAX);
    assert_eq!(lines_of(&rest, 0), [2, 4]);
    assert_eq!(sorted(lines_of(&rest, 1)), [1, 2, 3, 4, 5]);
    assert!(counts.limited && counts.done == 3, "{counts:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn rounds_leave_time_between_them() {
    let (folder, input) = input("interval", 2);
    let interval = Duration::from_millis(300);
    let schedule = Schedule { interval, ..schedule(2, 0) };
    let run = Rounds { schedule, most: None, shuffle: None, is_broken: |_, _| false };
    let began = Instant::now();
    assert_eq!(run.run(&input, &[], usize::MAX).0.len(), 4);
    assert!(began.elapsed() >= interval);
    // A stop ends the waiting.
    let schedule = Schedule { interval: Duration::from_secs(3600), ..schedule };
    let (given, counts) = Rounds { schedule, ..run }.run(&input, &[], 2);
    assert_eq!((given.len(), counts.rounds_left), (2, true));
    fs::remove_dir_all(folder).unwrap();
}
