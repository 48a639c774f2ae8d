//! What is counted of an input, wherever the run is stopped.

mod rounds;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use pathspider_runtime::threads::SingleThread;

use super::super::lines::Input;
use super::super::reader::Format;
use super::super::rules::Rules;
use super::*;

/// A feeder at work, and what it gives.
struct Run {
    fed: Feed,
    feeder: Feeder,
    stop: Arc<Stop>,
    jobs: mpsc::Receiver<Fed>,
    _freed: crossbeam::channel::Receiver<()>,
}

fn run(input: &Input, stop: Arc<Stop>, rules: Rules) -> Run {
    let reader = JobReader::open(input, Format::Either).unwrap();
    let feeding =
        Feeding { rules, names: false, port: 80, interface: None, done: None, standings: None };
    let (sender, jobs) = mpsc::channel(1);
    let (places, freed) = crossbeam::channel::bounded(100);
    let threads = SingleThread::at_start().end();
    let onward = (sender, places);
    let (fed, feeder) = feed(threads, reader, feeding, onward, Arc::clone(&stop)).unwrap();
    Run { fed, feeder, stop, jobs, _freed: freed }
}

impl Run {
    fn wait_until(&self, so: impl Fn(Counts) -> bool) {
        let began = Instant::now();
        while !so(self.fed.counts()) {
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", self.fed.counts());
            thread::sleep(LOOK);
        }
    }

    /// Takes nothing any more, as an engine that was told to stop.
    fn end(mut self) -> Counts {
        self.jobs.close();
        let counts = self.fed.close(&self.feeder);
        let skipped = counts.duplicates + counts.bad_lines + counts.blocklisted + counts.special;
        assert_eq!(counts.lines, skipped + counts.handed + counts.kept_back, "{counts:?}");
        counts
    }
}

/// A folder of its own.
fn folder(name: &str) -> PathBuf {
    let path =
        std::env::temp_dir().join(format!("pathspider-feeder-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

/// A target, this many lines that are left out, and another target.
fn text(skipped: usize) -> String {
    let kinds = ["192.0.2.1,80,\n", "127.0.0.1,80,\n", "8.8.8.8,80,\n"];
    let mut skipped: String = kinds.iter().cycle().take(skipped - 1).copied().collect();
    skipped += "nonsense\n";
    format!("8.8.8.8,80,\n{skipped}8.8.4.4,80,")
}

#[test]
fn an_input_that_is_read_to_its_end_is_whole() {
    let folder = folder("whole");
    let path = folder.join("x");
    fs::write(&path, text(30)).unwrap();
    let mut run = run(&Input::File(path), Stop::new(), Rules::default());
    while run.jobs.blocking_recv().is_some() {}
    // A signal that comes now leaves nothing.
    run.stop.finish("a signal");
    let counts = run.end();
    assert_eq!((counts.whole, counts.lines, counts.handed), (true, 32, 2));
    assert_eq!((counts.kept_back, counts.unread), (0, None));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_stop_while_lines_are_left_out_leaves_the_rest_and_counts_it() {
    let folder = folder("stopped");
    let path = folder.join("x");
    fs::write(&path, text(100_000)).unwrap();
    for at in [0, 1, 100, 40_000] {
        let run = run(&Input::File(path.clone()), Stop::new(), Rules::default());
        run.wait_until(|counts| counts.lines >= at);
        run.stop.finish("a signal");
        let counts = run.end();
        assert!(!counts.whole && counts.handed <= 1, "{counts:?}");
        assert_eq!(counts.lines + counts.unread.unwrap(), 100_002, "{counts:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_kept_back_or_waits_for_a_place_is_counted_once() {
    let folder = folder("kept-back");
    let path = folder.join("x");
    let targets: String =
        (0..5_000).map(|n| format!("8.8.{}.{},80,\n", n / 250, n % 250)).collect();
    fs::write(&path, targets).unwrap();
    for shuffle in [None, Some(7)] {
        let rules = Rules { shuffle, ..Rules::default() };
        let run = run(&Input::File(path.clone()), Stop::new(), rules);
        // One stands in the queue, and the next waits.
        run.wait_until(|counts| counts.handed == 1 && counts.kept_back > 0);
        run.stop.finish("a signal");
        let counts = run.end();
        assert_eq!(counts.whole, shuffle.is_some(), "{counts:?}");
        assert_eq!(counts.lines + counts.unread.unwrap_or(0), 5_000, "{counts:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn whoever_waits_for_input_keeps_nobody_and_counts_nothing_more() {
    let folder = folder("pipe");
    let path = folder.join("x");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let run = run(&Input::File(path.clone()), Stop::new(), Rules::default());
    let mut pipe = fs::File::options().write(true).open(&path).unwrap();
    pipe.write_all(b"8.8.8.8,80,\n8.8.8.8,80,\n8.8.8.8,80,\n").unwrap();
    run.wait_until(|counts| counts.duplicates == 2);
    run.stop.finish("a signal");
    let fed = run.fed.clone();
    let counts = run.end();
    assert_eq!((counts.whole, counts.lines, counts.unread), (false, 3, None));
    // What comes now was not read.
    pipe.write_all(b"8.8.8.8,80,\n").unwrap();
    drop(pipe);
    assert_eq!(fed.counts().lines, 3);
    fs::remove_dir_all(folder).unwrap();
}
