//! The rules of a run, each by itself, with a clock of its own.

mod any_order;
mod dependent;

use std::net::{IpAddr, Ipv4Addr};

use pathspider_observer::{JobNumber, Round};

use super::behind::OCTETS_BEHIND;
use super::*;

/// A course that carries words: jobs are their numbers.
pub(super) enum Toy {}

impl Cargo for Toy {
    type Work = u64;
    type Plan = &'static str;
    type Attempt = &'static str;
    type Error = &'static str;

    fn octets(attempt: &&'static str) -> usize {
        if *attempt == "big" { OCTETS_BEHIND / 3 } else { attempt.len() }
    }
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn visit(job: u64) -> Visit {
    Visit::new(JobNumber::new(job), Round::FIRST)
}

fn id(job: u64, config: usize) -> ConnectionId {
    visit(job).connection(ConfigId::new(config))
}

/// Each job has an address of its own.
fn target(job: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + job as u32)), 80)
}

fn name(id: ConnectionId) -> String {
    format!("{}{}", id.job(), char::from(b'a' + id.config().index() as u8))
}

/// A course whose jobs are prepared at once, and what it asked for.
struct Bench {
    course: Course<Toy>,
    start: Instant,
    now: Instant,
    calls: HashMap<ConnectionId, Call>,
    preparing: HashMap<Visit, Call>,
    /// Whether the bench answers for the plugin's `pre_connect`.
    prepares: bool,
    wakes: Option<Instant>,
}

impl Bench {
    fn new(holds: &[Hold]) -> Bench {
        Bench::with(holds, Limits::default(), |_| {})
    }

    fn with(holds: &[Hold], limits: Limits, change: impl FnOnce(&mut Rules<'_>)) -> Bench {
        let holds = holds.to_vec();
        let mut rules = Rules {
            holds,
            workers: 100,
            beside: 0,
            limits: &limits,
            call_limit: Some(60 * SECOND),
            depends: false,
        };
        change(&mut rules);
        let start = Instant::now();
        Bench {
            course: Course::new(rules),
            start,
            now: start,
            calls: HashMap::new(),
            preparing: HashMap::new(),
            prepares: true,
            wakes: None,
        }
    }

    fn happens(&mut self, event: Event<Toy>) {
        self.course.handle(event, self.now);
    }

    fn read(&mut self, jobs: impl IntoIterator<Item = u64>) {
        for job in jobs {
            self.happens(Event::Read(visit(job), job, target(job)));
        }
    }

    /// What the observer saw of a connection is known.
    fn known(&mut self, id: ConnectionId) -> String {
        self.happens(Event::Known(id));
        self.actions()
    }

    /// A connection's first packet is out.
    fn begun(&mut self, id: ConnectionId) -> Watch {
        self.begun_as(id, false)
    }

    fn begun_as(&mut self, id: ConnectionId, is_deferred: bool) -> Watch {
        let remote = target(id.job().number());
        self.course.begun(id, First { remote, is_deferred }, self.now)
    }

    fn written(&mut self, job: u64) {
        self.happens(Event::Written(visit(job)));
    }

    /// What is to be done, in words, until it is to wait.
    fn actions(&mut self) -> String {
        let mut log = Vec::new();
        loop {
            log.push(match self.course.next(self.now) {
                Action::Prepare(job, call, work) => {
                    assert_eq!(job.job().number(), work);
                    if self.prepares {
                        self.happens(Event::Prepared(job, call, Ok(())));
                        continue;
                    }
                    self.preparing.insert(job, call);
                    format!("prepare {}", job.job())
                }
                Action::Configure(config) => format!("[{}]", config.index()),
                Action::Ask(id, call, _, _) => {
                    self.calls.insert(id, call);
                    name(id)
                }
                Action::Make(id, _, to, plan) => format!("{}={plan}@{}", name(id), to.ip()),
                Action::Report(id, _, attempt) => format!("report {} {attempt}", name(id)),
                Action::Discard(attempt) => format!("discard {attempt}"),
                Action::Fail(work, error) => format!("fail {work} {error}"),
                Action::GiveUp(Purpose::Prepare(job), _, thread) => {
                    format!(
                        "give up prepare {}{}",
                        job.job(),
                        if thread { " new thread" } else { "" }
                    )
                }
                Action::GiveUp(Purpose::Connect(id), _, thread) => {
                    format!("give up {}{}", name(id), if thread { " new thread" } else { "" })
                }
                Action::Stuck(threads) => format!("stuck {threads}"),
                Action::Short(remote) => format!("short {}", remote.ip()),
                Action::Settle => "settle".to_owned(),
                Action::Over => "over".to_owned(),
                Action::Wait(wakes) => {
                    self.wakes = wakes;
                    return log.join(" ");
                }
            });
            if log.last().is_some_and(|last| last == "over") {
                return log.join(" ");
            }
        }
    }

    /// Lets the time pass until the course wants to be woken; how much has passed since the start.
    fn wake(&mut self) -> Duration {
        self.now = self.wakes.unwrap();
        self.now - self.start
    }

    fn end(&mut self, id: ConnectionId) -> String {
        self.happens(Event::Ended(id, "ok"));
        self.actions()
    }
}

const FIRST: [Hold; 2] = [Hold::Initiation; 2];

#[test]
fn a_configuration_that_holds_for_the_initiation_waits_for_no_end() {
    let mut run = Bench::new(&FIRST);
    run.read([1, 2]);
    assert_eq!(run.actions(), "[0] 1a 2a");
    assert_eq!(run.begun(id(1, 0)).awaited, None);
    run.begun(id(2, 0));
    assert_eq!(run.end(id(1, 0)), "report 1a ok [1] 1b");
    run.begun(id(1, 1));
    run.read([3]);
    assert_eq!(run.actions(), "[0] 3a");
}

#[test]
fn a_first_packet_that_is_deferred_holds_until_it_is_out() {
    let mut run = Bench::new(&FIRST);
    run.read([1, 2]);
    run.actions();
    assert_eq!(run.begun_as(id(1, 0), true).awaited, Some(Hold::Initiation));
    run.begun(id(2, 0));
    assert_eq!(run.end(id(2, 0)), "report 2a ok", "1a has not sent anything");
    run.happens(Event::Reached(id(1, 0), Hold::Handshake));
    assert_eq!(run.actions(), "");
    run.happens(Event::Reached(id(1, 0), Hold::Initiation));
    assert_eq!(run.actions(), "[1] 2b");
}

#[test]
fn a_handshake_holds_and_the_exchange_after_it_does_not() {
    let mut run = Bench::new(&[Hold::Handshake; 2]);
    run.read([1, 2]);
    run.actions();
    assert_eq!(run.begun(id(1, 0)).awaited, Some(Hold::Handshake));
    run.begun(id(2, 0));
    assert_eq!(run.end(id(1, 0)), "report 1a ok", "2a may send its SYN again");
    run.happens(Event::Reached(id(2, 0), Hold::Handshake));
    assert_eq!(run.actions(), "[1] 1b");
}

#[test]
fn a_hold_for_the_completion_is_given_back_at_the_end_alone() {
    let mut run = Bench::new(&[Hold::Completion; 2]);
    run.read([1, 2]);
    run.actions();
    assert_eq!(run.begun(id(1, 0)).awaited, None, "its end is reported in any case");
    run.begun(id(2, 0));
    run.happens(Event::Reached(id(2, 0), Hold::Handshake));
    assert_eq!(run.end(id(1, 0)), "report 1a ok");
    assert_eq!(run.end(id(2, 0)), "report 2a ok [1] 1b 2b");
}

#[test]
fn what_never_begins_gives_its_hold_back() {
    let mut run = Bench::new(&[Hold::Completion; 2]);
    run.read([1, 2]);
    run.actions();
    run.happens(Event::Failed(id(1, 0), "no"));
    assert_eq!(run.end(id(2, 0)), "fail 1 no report 2a ok [1] 2b");
}

#[test]
fn a_silent_connection_lets_the_next_one_overlap_where_there_is_a_permit() {
    let mut run = Bench::with(&[Hold::Initiation; 3], Limits::default(), |rules| rules.beside = 1);
    run.read([1, 2]);
    run.actions();
    for job in [1, 2] {
        assert!(run.begun(id(job, 0)).silence);
        run.happens(Event::Silent(id(job, 0)));
    }
    assert_eq!(run.actions(), "[1] 1b", "there is one permit");
    assert_eq!(run.course.permits.free(), 0);
    run.begun(id(1, 1));
    run.happens(Event::Silent(id(1, 0)));
    run.happens(Event::Silent(id(1, 1)));
    assert_eq!(run.actions(), "", "never more than two");
    assert_eq!(run.end(id(1, 0)), "report 1a ok [2] 1c", "beside 1b");
    assert!(!run.begun(id(1, 2)).silence, "nothing comes after it");
    assert_eq!(run.end(id(1, 1)), "report 1b ok");
    assert_eq!(run.course.permits.free(), 1);
    run.happens(Event::Silent(id(2, 0)));
    assert_eq!(run.actions(), "[1] 2b");
}

#[test]
fn nothing_overlaps_where_the_pace_keeps_targets_apart() {
    let limits = Limits { address_spacing: Some(MS), ..Limits::default() };
    let mut run = Bench::with(&FIRST, limits, |rules| rules.beside = 9);
    run.read([1]);
    run.actions();
    run.begun(id(1, 0));
    run.happens(Event::Silent(id(1, 0)));
    run.now += SECOND;
    assert_eq!(run.actions(), "");
}

#[test]
fn what_waits_for_its_turn_is_not_silent() {
    let mut run = Bench::with(&FIRST, Limits::default(), |rules| rules.beside = 9);
    run.read([1]);
    run.actions();
    run.happens(Event::NoPort(id(1, 0), target(1), "none"));
    run.happens(Event::Silent(id(1, 0)));
    assert_eq!(run.actions(), "short 10.0.0.1");
}

#[test]
fn the_rate_bounds_starts_and_says_when_the_next_one_is() {
    let limits = Limits { rate: Some(10.0), ..Limits::default() };
    let mut run = Bench::with(&FIRST[..1], limits, |_| {});
    run.read([1, 2]);
    assert_eq!(run.actions(), "[0] 1a");
    run.begun(id(1, 0));
    assert_eq!(run.wake(), 100 * MS);
    assert_eq!(run.actions(), "2a");
}

#[test]
fn who_waits_for_a_prefix_is_in_nobody_s_way() {
    let limits = Limits { prefix_spacing: Some(SECOND), ..Limits::default() };
    let mut run = Bench::with(&FIRST[..1], limits, |rules| rules.workers = 2);
    run.read([1, 2, 3]);
    assert_eq!(run.actions(), "[0] 1a");
    assert_eq!(run.course.in_flight(), 3);
    assert!(run.course.wants_jobs(), "two of them only wait for the prefix of the first");
    run.read([1000]);
    assert_eq!(run.actions(), "1000a", "of another prefix");
    assert!(!run.course.wants_jobs());
    assert_eq!(run.end(id(1000, 0)), "report 1000a ok");
    assert_eq!(run.wake(), SECOND);
    assert_eq!(run.actions(), "2a");
}

#[test]
fn a_want_of_ports_is_waited_out_and_told_once() {
    let mut run = Bench::new(&[Hold::Completion; 2]);
    run.read([1, 2]);
    run.actions();
    for job in [1, 2] {
        run.happens(Event::NoPort(id(job, 0), target(job), "no port"));
    }
    assert_eq!(run.actions(), "short 10.0.0.1");
    assert_eq!(run.course.scheduler.leases(), 0, "they hold no configuration");
    assert_eq!(run.wake(), SECOND);
    let again = run.actions();
    assert!(["1a 2a", "2a 1a"].contains(&again.as_str()), "{again}");
    run.begun(id(1, 0));
    assert_eq!(run.end(id(1, 0)), "report 1a ok");
}

#[test]
fn without_a_port_for_long_a_connection_ends() {
    let mut run = Bench::new(&FIRST[..1]);
    run.read([1]);
    let mut tries = 0;
    while run.actions().contains("1a") && run.course.in_flight() > 0 {
        tries += 1;
        run.happens(Event::NoPort(id(1, 0), target(1), "no port"));
        let end = run.actions();
        if end.contains("report") {
            assert_eq!(end, "report 1a no port");
            break;
        }
        run.wake();
    }
    assert_eq!((tries, (run.now - run.start).as_secs()), (121, 120));
}

#[test]
fn the_first_stop_leaves_what_has_not_begun_and_lets_the_rest_go_on() {
    let limits = Limits { prefix_spacing: Some(SECOND), ..Limits::default() };
    let mut run = Bench::with(&FIRST, limits, |_| {});
    // The second waits for its prefix, the third for a port, the fourth for its turn.
    run.read([1, 2, 1000]);
    assert_eq!(run.actions(), "[0] 1a 1000a");
    run.begun(id(1, 0));
    run.happens(Event::NoPort(id(1000, 0), target(1000), "none"));
    run.read([2000]);
    run.course.handle(Event::Stop, run.now);
    run.course.handle(Event::Stop, run.now);
    assert_eq!(run.course.taken(), 2, "of four");
    assert!(!run.course.wants_jobs());
    assert_eq!(run.end(id(1, 0)), "short 10.0.3.232 report 1a ok 2000a", "2000 was being prepared");
    run.begun(id(2000, 0));
    run.now += SECOND;
    assert_eq!(run.actions(), "[1] 1b");
    run.begun(id(1, 1));
    assert_eq!(run.end(id(1, 1)), "report 1b ok");
    run.end(id(2000, 0));
    run.now += SECOND;
    run.actions();
    assert_eq!(run.end(id(2000, 1)), "report 2000b ok settle");
    run.written(1);
    run.written(2000);
    assert_eq!(run.actions(), "over");
}

#[test]
fn a_stop_after_all_has_begun_leaves_nothing() {
    let mut run = Bench::new(&FIRST[..1]);
    run.read([1]);
    run.actions();
    run.happens(Event::Fed);
    run.happens(Event::Stop);
    assert_eq!(run.course.taken(), 1);
}

#[test]
fn a_run_that_ends_at_once_takes_back_what_is_held() {
    let mut run = Bench::with(&[Hold::Completion; 3], Limits::default(), |rules| rules.beside = 3);
    run.read([1, 2]);
    run.actions();
    for job in [1, 2] {
        run.begun(id(job, 0));
        run.happens(Event::Silent(id(job, 0)));
    }
    run.actions();
    assert_eq!(run.course.scheduler.leases(), 2);
    // A token that were lost would panic.
    drop(run);
}

#[test]
fn a_call_that_does_not_come_back_is_given_up_and_its_answer_comes_too_late() {
    let mut run = Bench::new(&[Hold::Completion; 2]);
    run.read([1, 2]);
    run.actions();
    let late = run.calls[&id(1, 0)];
    let call = run.calls[&id(2, 0)];
    run.now += 59 * SECOND;
    run.happens(Event::Answered(id(2, 0), call, "tcp"));
    assert_eq!(run.actions(), "2a=tcp@10.0.0.2");
    assert_eq!(run.wake(), 60 * SECOND);
    assert_eq!(run.actions(), "give up 1a new thread");
    assert_eq!((run.course.in_flight(), run.course.scheduler.leases()), (1, 1));
    run.happens(Event::Answered(id(1, 0), late, "tcp"));
    run.happens(Event::Answered(id(1, 0), late, "tcp"));
    assert_eq!(run.actions(), "", "the job is over");
    assert_eq!(run.end(id(2, 0)), "report 2a ok [1] 2b");
    run.now += 61 * SECOND;
    assert_eq!(run.actions(), "give up 2b", "the thread that came back takes the place");
}

#[test]
fn the_end_of_one_connection_does_not_answer_the_call_for_another() {
    let mut run = Bench::with(&FIRST, Limits::default(), |rules| rules.beside = 1);
    run.read([1]);
    run.actions();
    run.happens(Event::Answered(id(1, 0), run.calls[&id(1, 0)], "tcp"));
    run.actions();
    run.begun(id(1, 0));
    run.happens(Event::Silent(id(1, 0)));
    assert_eq!(run.actions(), "[1] 1b");
    assert_eq!(run.end(id(1, 0)), "report 1a ok");
    run.happens(Event::Answered(id(1, 1), run.calls[&id(1, 1)], "tcp"));
    assert_eq!(run.actions(), "1b=tcp@10.0.0.1");
}

#[test]
fn a_preparation_that_does_not_come_back_is_given_up() {
    let mut run = Bench::new(&FIRST);
    run.prepares = false;
    run.read([1]);
    assert_eq!(run.actions(), "prepare 1");
    run.wake();
    assert_eq!(run.actions(), "give up prepare 1 new thread");
    let late = run.preparing[&visit(1)];
    run.happens(Event::Prepared(visit(1), late, Ok(())));
    run.happens(Event::Fed);
    assert_eq!(run.actions(), "settle");
    run.written(1);
    assert_eq!(run.actions(), "over");
}

#[test]
fn a_plugin_that_does_not_block_is_never_given_up() {
    let mut run = Bench::with(&FIRST, Limits::default(), |rules| rules.call_limit = None);
    run.read([1]);
    run.actions();
    run.now += 10_000 * SECOND;
    assert_eq!(run.actions(), "");
    assert_eq!(run.wakes, None);
}

#[test]
fn of_a_job_for_which_the_plugin_failed_nothing_more_is_reported() {
    let mut run = Bench::with(&FIRST, Limits::default(), |rules| rules.beside = 1);
    run.read([1]);
    run.actions();
    run.begun(id(1, 0));
    run.happens(Event::Silent(id(1, 0)));
    assert_eq!(run.actions(), "[1] 1b");
    run.happens(Event::Failed(id(1, 1), "no"));
    assert_eq!(run.actions(), "fail 1 no");
    assert_eq!((run.course.in_flight(), run.course.permits.free()), (0, 1));
    assert_eq!(run.end(id(1, 0)), "discard ok");
    assert!(run.course.open.is_empty());
}

#[test]
fn what_waits_when_the_plugin_fails_for_its_job_is_not_made() {
    let mut run = Bench::with(&[Hold::Initiation; 3], Limits::default(), |rules| rules.beside = 1);
    run.read([1]);
    run.actions();
    run.begun(id(1, 0));
    run.happens(Event::Silent(id(1, 0)));
    assert_eq!(run.actions(), "[1] 1b");
    run.happens(Event::NoPort(id(1, 1), target(1000), "none"));
    run.end(id(1, 0));
    run.happens(Event::Failed(id(1, 2), "no"));
    assert_eq!(run.actions(), "fail 1 no");
    run.now += SECOND;
    assert_eq!(run.actions(), "[1]", "nobody is asked for 1b");
    assert!(run.course.open.is_empty());
    assert_eq!((run.course.permits.free(), run.course.scheduler.leases()), (1, 0));
}

#[test]
fn a_redirected_attempt_waits_for_the_pace_of_where_it_goes() {
    let limits = Limits { address_spacing: Some(SECOND), ..Limits::default() };
    let mut run = Bench::with(&[Hold::Completion; 2], limits, |_| {});
    run.read([1, 2]);
    assert_eq!(run.actions(), "[0] 1a 2a");
    run.begun(id(1, 0));
    // The second job's attempt goes to the address of the first.
    run.now += 10 * MS;
    run.happens(Event::Elsewhere(id(2, 0), target(1), "redirected"));
    assert_eq!(run.course.scheduler.leases(), 1, "it has given its hold back");
    assert_eq!(run.actions(), "");
    assert_eq!(run.wake(), SECOND);
    assert_eq!(run.actions(), "2a=redirected@10.0.0.1", "the plugin is not asked again");
    run.begun(id(2, 0));
    // The next connection of the first waits for that one, too.
    assert_eq!(run.end(id(1, 0)), "report 1a ok");
    run.end(id(2, 0));
    assert_eq!(run.actions(), "");
    assert_eq!(run.wake(), 2 * SECOND);
    assert!(run.actions().contains("1b"));
}

#[test]
fn a_redirected_attempt_takes_no_turn_of_the_address_that_it_does_not_go_to() {
    let limits = Limits { rate: Some(1.0), prefix_spacing: Some(10 * SECOND), ..Limits::default() };
    let mut run = Bench::with(&FIRST[..1], limits, |_| {});
    run.read([1, 2]);
    assert_eq!(run.actions(), "[0] 1a");
    run.happens(Event::Elsewhere(id(1, 0), target(1000), "far"));
    let next = run.actions();
    assert!(["2a", "1a=far@10.0.3.232"].contains(&next.as_str()), "{next}");
    assert_eq!(run.wake(), SECOND, "of three tries, two went out");
    assert_eq!(run.actions().len() + next.len(), "2a1a=far@10.0.3.232".len());
}

#[test]
fn a_redirected_attempt_that_waits_is_left_at_a_stop_if_it_is_its_job_s_first() {
    let limits = Limits { address_spacing: Some(SECOND), ..Limits::default() };
    let mut run = Bench::with(&FIRST[..1], limits, |_| {});
    run.read([1, 2]);
    run.actions();
    run.begun(id(1, 0));
    run.happens(Event::Elsewhere(id(2, 0), target(1), "redirected"));
    run.happens(Event::Stop);
    assert_eq!((run.course.taken(), run.course.in_flight()), (1, 1), "of two");
    assert_eq!(run.end(id(1, 0)), "report 1a ok settle");
}

#[test]
fn jobs_that_are_behind_hold_up_new_connections() {
    let mut run = Bench::with(&FIRST[..1], Limits::default(), |rules| {
        rules.workers = 2 * JOBS_BEHIND;
    });
    run.read(0..JOBS_BEHIND as u64);
    run.actions();
    for job in 0..JOBS_BEHIND as u64 {
        run.happens(Event::Ended(id(job, 0), "ok"));
    }
    run.actions();
    run.read([1_000_000]);
    assert_eq!(run.actions(), "");
    run.written(17);
    run.written(17);
    assert_eq!(run.actions(), "1000000a");
}

#[test]
fn octets_that_are_behind_hold_up_new_connections() {
    let mut run = Bench::with(&FIRST, Limits::default(), |rules| rules.workers = 100);
    run.read([1, 2]);
    assert_eq!(run.actions(), "[0] 1a 2a");
    run.begun(id(1, 0));
    run.begun(id(2, 0));
    assert_eq!(run.end(id(2, 0)), "report 2a ok [1] 2b");
    run.begun(id(2, 1));
    run.happens(Event::Ended(id(1, 0), "big"));
    assert_eq!(run.actions(), "report 1a big 1b");
    run.begun(id(1, 1));
    // A job's own results hold up nobody before it has ended.
    run.happens(Event::Ended(id(1, 1), "big"));
    assert_eq!(run.actions(), "report 1b big");
    assert!(run.course.wants_jobs());
    run.happens(Event::Ended(id(2, 1), "big"));
    assert_eq!(run.actions(), "report 2b big");
    assert!(!run.course.wants_jobs());
    run.written(2);
    assert!(run.course.wants_jobs());
    run.written(1);
    run.written(1);
    assert!(run.course.wants_jobs());
}

#[test]
fn settings_are_given_back_before_records_are_written_and_the_run_is_over_after() {
    let mut run = Bench::new(&FIRST[..1]);
    run.read([1]);
    run.actions();
    run.happens(Event::Fed);
    assert_eq!(run.end(id(1, 0)), "report 1a ok settle");
    assert_eq!(run.actions(), "", "the record is not written");
    run.written(1);
    assert_eq!(run.actions(), "over");
}

#[test]
fn a_run_without_jobs_is_over() {
    let mut run = Bench::new(&FIRST);
    assert_eq!(run.actions(), "");
    run.happens(Event::Fed);
    assert_eq!(run.actions(), "settle over");
}
