//! The shell with a plugin that blocks, and with the stages around it.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicUsize;
use std::thread;

use pathspider_plugin_api::abi::MeasurementHandle;
use pathspider_plugin_api::{
    Attempt, ChainName, Conclusion, Configuration, Flows, Host, Info, Measurement, OptionValues,
    Options, Record,
};
use pathspider_runtime::stop::Stop;

use super::super::{Dialer, Inbox, Limits, Measured, Requests};
use super::*;
use crate::job::Courtesy;
use crate::route::Routes;

/// Blocks for no time, and connects to nobody.
struct Skips;

impl Measurement for Skips {
    fn info() -> Info {
        Info::new("skips", "1", "no connection").blocking()
    }

    fn options() -> Options {
        Options::none()
    }

    fn new(_: &OptionValues, _: Host) -> pathspider_plugin_api::Result<Skips> {
        Ok(Skips)
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new(0, "a"), Configuration::new(1, "b")]
    }

    fn chains(&self) -> Vec<ChainName> {
        Vec::new()
    }

    fn connect(&self, _: &Attempt<'_>) -> pathspider_plugin_api::Result<Connect> {
        Ok(Connect::skip("nobody"))
    }

    fn combine(&self, _: &Flows<'_>) -> pathspider_plugin_api::Result<Conclusion> {
        Ok(Conclusion::none())
    }
}

#[test]
fn a_job_that_is_long_in_coming_has_its_whole_time() {
    const LIMIT: Duration = Duration::from_secs(1);
    let handle = MeasurementHandle::of::<Skips>();
    let object = Arc::new(handle.instantiate(OptionValues::default()).unwrap());
    let (info, _) = handle.describe().unwrap();
    let configurations = Skips.configurations();
    let measurement = Measured { object, info, configurations: 2, slots: Arc::default() };
    let requests = Requests { contact: None, body_limit: 0 };
    let routes = Rc::new(Routes::new(None));
    let courtesy = Arc::new(Courtesy::default());
    let (notices, _observer) = crossbeam::channel::unbounded();
    let (reports, reported) = crossbeam::channel::unbounded();
    let (input, jobs) = mpsc::channel(1);
    let (records, heard) = mpsc::unbounded_channel();
    let engine = Engine {
        measurement: Arc::new(measurement),
        configurations,
        plugin_timeout: LIMIT,
        workers: 1,
        beside: 0,
        limits: Limits::default(),
        dialer: Dialer::new(None, routes, courtesy, &requests).unwrap(),
        forger: None,
        learned: None,
        notices,
        reports,
        stop: Stop::new(),
        in_flight: Arc::new(AtomicUsize::default()),
        ended: Arc::new(AtomicUsize::default()),
    };
    thread::scope(|scope| {
        scope.spawn(move || {
            // The input says nothing for longer than a call may take.
            thread::sleep(LIMIT + LIMIT / 10);
            let job = Job::new(0, Ipv4Addr::LOCALHOST.into(), 80, Record::new());
            input.blocking_send(job.into()).unwrap();
        });
        let merger = scope.spawn(move || {
            let mut ended = Vec::new();
            for report in reported {
                let (job, is_connection) = match report {
                    Report::Connection { id, .. } => (id.visit(), true),
                    Report::Broken { job, .. } => (job, false),
                };
                ended.push(is_connection);
                if ended.len() == 2 || !is_connection {
                    records.send(Feedback::Written(vec![job])).unwrap();
                }
            }
            ended
        });
        let (_, answers) = mpsc::unbounded_channel();
        let end = engine.run(&mut Machine::new(), Inbox { jobs, heard, answers });
        assert!(end.error.is_none(), "{:?}", end.error);
        assert_eq!(merger.join().unwrap(), [true, true], "the plugin was given up");
    });
}
