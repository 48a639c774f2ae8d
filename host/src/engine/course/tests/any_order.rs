//! Whatever happens in whatever order: each job ends exactly once, what was lent comes back, and
//! nothing stands still.

use proptest::prelude::*;

use super::*;

/// Two rounds of each job are under way at a time, as if they were two jobs.
fn visit(job: u64) -> Visit {
    Visit::new(JobNumber::new(job / 2), Round::new((job % 2) as u16))
}

fn job_of(id: ConnectionId) -> u64 {
    id.job().number() * 2 + u64::from(id.round().number())
}

/// What a job came to.
#[derive(Debug, Default, Clone)]
struct Fate {
    reported: Vec<usize>,
    failed: u32,
    is_written: bool,
}

impl Fate {
    fn has_ended(&self, configurations: usize) -> bool {
        self.failed > 0 || self.reported.len() == configurations
    }
}

/// Everything around a course: plugin, sockets, merger and clock. Each of their choices is made by
/// a number.
struct World {
    course: Course<Toy>,
    configurations: usize,
    blocks: bool,
    now: Instant,
    choices: std::iter::Cycle<std::vec::IntoIter<u16>>,
    unread: Vec<u64>,
    fates: HashMap<u64, Fate>,
    /// What is under way, and will tell.
    preparing: Vec<(Visit, Call)>,
    asked: Vec<(ConnectionId, Call, SocketAddr)>,
    connections: Vec<(ConnectionId, Watch)>,
    /// Reported connections that are not known yet; only where others depend on them.
    unknown: Vec<ConnectionId>,
    depends: bool,
    unwritten: Vec<u64>,
    current: Option<ConfigId>,
    settled: u32,
    is_stopped: bool,
    permits: usize,
}

/// Why a world is not as it is to be.
type Fault = TestCaseError;

impl World {
    fn choose(&mut self, among: usize) -> usize {
        usize::from(self.choices.next().unwrap_or_default()) % among.max(1)
    }

    fn happens(&mut self, event: Event<Toy>) {
        self.course.handle(event, self.now);
    }

    fn fate(&mut self, job: u64) -> &mut Fate {
        self.fates.entry(job).or_default()
    }

    /// Does what is to be done; whether the run is over.
    fn act(&mut self) -> Result<bool, Fault> {
        loop {
            match self.course.next(self.now) {
                Action::Prepare(job, call, _) if self.blocks => self.preparing.push((job, call)),
                Action::Prepare(job, call, _) => self.prepare(job, call),
                Action::Configure(config) => {
                    prop_assert_eq!(self.course.scheduler.leases(), 0, "somebody needs the former");
                    self.current = Some(config);
                }
                Action::Ask(id, call, _, to) => {
                    prop_assert_eq!(Some(id.config()), self.current);
                    self.depends_on_known(id)?;
                    if self.blocks {
                        self.asked.push((id, call, to))
                    } else {
                        self.make(id, to, true)
                    }
                }
                Action::Make(id, _, to, plan) => {
                    prop_assert_eq!(Some(id.config()), self.current);
                    prop_assert!(plan != "elsewhere" || to.ip() == elsewhere().ip());
                    self.make(id, to, plan != "elsewhere");
                }
                Action::Report(id, work, _) => {
                    let fate = self.fates.entry(work).or_default();
                    prop_assert_eq!(fate.failed, 0, "nothing is reported after a failure");
                    prop_assert!(!fate.reported.contains(&id.config().index()));
                    fate.reported.push(id.config().index());
                    let is_last = fate.reported.len() == self.configurations;
                    if self.depends && !is_last {
                        self.unknown.push(id);
                    }
                    self.may_have_ended(work);
                }
                Action::Discard(_) => {}
                Action::Fail(work, _) => {
                    self.fate(work).failed += 1;
                    self.may_have_ended(work);
                }
                Action::GiveUp(purpose, work, _) => {
                    prop_assert!(self.blocks, "{purpose:?}");
                    self.fate(work).failed += 1;
                    self.may_have_ended(work);
                }
                Action::Stuck(_) => return Err(Fault::fail("stuck")),
                Action::Short(_) => {}
                Action::Settle => self.settled += 1,
                Action::Over => return Ok(true),
                Action::Wait(wakes) => {
                    let happens = self.preparing.len()
                        + self.asked.len()
                        + self.connections.len()
                        + self.unknown.len()
                        + self.unwritten.len();
                    let feeds = self.course.wants_jobs();
                    prop_assert!(happens > 0 || feeds || wakes.is_some(), "it stands still");
                    if let Some(wakes) = wakes.filter(|_| happens == 0 && !feeds) {
                        prop_assert!(wakes > self.now, "it does not do what is due");
                        self.now = wakes;
                        continue;
                    }
                    return Ok(false);
                }
            }
        }
    }

    /// Where connections depend on earlier ones, all of those are known by now.
    fn depends_on_known(&mut self, id: ConnectionId) -> Result<(), Fault> {
        if self.depends {
            let reported = self.fate(job_of(id)).reported.len();
            prop_assert_eq!(reported, id.config().index(), "they come one after the other");
            prop_assert!(self.unknown.iter().all(|other| other.visit() != id.visit()));
        }
        Ok(())
    }

    fn may_have_ended(&mut self, job: u64) {
        let configurations = self.configurations;
        if self.fate(job).has_ended(configurations) {
            self.unwritten.push(job);
        }
    }

    fn prepare(&mut self, job: Visit, call: Call) {
        let result = if self.choose(8) == 0 { Err("declined") } else { Ok(()) };
        self.happens(Event::Prepared(job, call, result));
    }

    /// Begins a connection, which may come to anything.
    fn make(&mut self, id: ConnectionId, to: SocketAddr, may_redirect: bool) {
        let event = match self.choose(12) {
            0 => Event::Failed(id, "failed"),
            1 => Event::NoPort(id, to, "no port"),
            2 => Event::Ended(id, "refused"),
            3 if may_redirect && to != elsewhere() => {
                Event::Elsewhere(id, elsewhere(), "elsewhere")
            }
            way => {
                let first = First { remote: to, is_deferred: way == 4 };
                let watch = self.course.begun(id, first, self.now);
                return self.connections.push((id, watch));
            }
        };
        self.happens(event);
    }

    /// Something happens.
    fn step(&mut self) {
        match self.choose(10) {
            0 => {
                let passes = Duration::from_millis(1 << self.choose(17));
                self.now += passes;
            }
            1 if !self.preparing.is_empty() => {
                let at = self.choose(self.preparing.len());
                let (job, call) = self.preparing.remove(at);
                self.prepare(job, call);
            }
            2 if !self.asked.is_empty() => {
                let at = self.choose(self.asked.len());
                let (id, call, _) = self.asked.remove(at);
                self.happens(Event::Answered(id, call, "plan"));
            }
            3 | 4 if !self.connections.is_empty() => {
                let at = self.choose(self.connections.len());
                let (id, _) = self.connections.remove(at);
                self.happens(Event::Ended(id, "ok"));
            }
            5 if !self.connections.is_empty() => {
                let at = self.choose(self.connections.len());
                let (id, watch) = self.connections[at];
                if watch.silence {
                    self.connections[at].1.silence = false;
                    self.happens(Event::Silent(id));
                }
            }
            6 if !self.connections.is_empty() => {
                let at = self.choose(self.connections.len());
                let (id, watch) = self.connections[at];
                if let Some(point) = watch.awaited {
                    self.connections[at].1.awaited = None;
                    self.happens(Event::Reached(id, point));
                }
            }
            7 if !self.unwritten.is_empty() => {
                let at = self.choose(self.unwritten.len());
                let job = self.unwritten.remove(at);
                self.fate(job).is_written = true;
                self.happens(Event::Written(visit(job)));
            }
            8 if !self.unknown.is_empty() => {
                let at = self.choose(self.unknown.len());
                let id = self.unknown.remove(at);
                self.happens(Event::Known(id));
            }
            9 if self.choose(40) == 0 => {
                self.is_stopped = true;
                self.happens(Event::Stop);
            }
            _ => self.feed(),
        }
    }

    fn feed(&mut self) {
        if !self.course.wants_jobs() {
            return;
        }
        match self.unread.pop() {
            Some(job) => {
                self.fate(job);
                // Some targets are there more than once, and some are of the same prefix.
                self.happens(Event::Read(visit(job), job, target(job % 7)));
            }
            None => self.happens(Event::Fed),
        }
    }
}

fn elsewhere() -> SocketAddr {
    target(3)
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![Just(Hold::Initiation), Just(Hold::Handshake), Just(Hold::Completion)]
}

fn limits() -> impl Strategy<Value = Limits> {
    let spacing = || prop::option::of((1u64..3000).prop_map(Duration::from_millis));
    let turns = (1u32..4, 1u32..2000, 0u32..2000).prop_map(|(number, open, rest)| {
        let (open, rest) = (f64::from(open) / 1000.0, f64::from(rest) / 1000.0);
        format!("{number}/3,{open}/{},0", open + rest).parse().unwrap()
    });
    let rate = prop::option::weighted(0.3, 1.0..1000.0);
    (rate, spacing(), spacing(), prop::option::of(turns)).prop_map(
        |(rate, address_spacing, prefix_spacing, turns)| Limits {
            rate,
            address_spacing,
            prefix_spacing,
            turns,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_job_ends_once_and_nothing_is_lost(
        holds in prop::collection::vec(hold(), 1..4),
        limits in prop_oneof![Just(Limits::default()), limits()],
        (jobs, workers, beside) in (0u64..30, 1usize..8, 0usize..4),
        (blocks, depends) in any::<(bool, bool)>(),
        choices in prop::collection::vec(any::<u16>(), 1..600),
    ) {
        let configurations = holds.len();
        let permits = if depends || limits.space_targets() { 0 } else { beside };
        let call_limit = blocks.then_some(Duration::from_secs(20));
        let rules = Rules { holds, workers, beside, limits: &limits, call_limit, depends };
        let mut world = World {
            course: Course::new(rules),
            configurations,
            blocks,
            now: Instant::now(),
            choices: choices.into_iter().cycle(),
            unread: (0..jobs).collect(),
            fates: HashMap::new(),
            preparing: Vec::new(),
            asked: Vec::new(),
            connections: Vec::new(),
            unknown: Vec::new(),
            depends,
            unwritten: Vec::new(),
            current: None,
            settled: 0,
            is_stopped: false,
            permits,
        };
        let mut steps = 0;
        while !world.act()? {
            // A stream of choices that goes round may never choose what is left to do.
            steps += 1;
            if steps == 2000 {
                // Nor may it choose over and over that no port is free.
                world.choices = vec![11].into_iter().cycle();
            }
            if steps < 2000 { world.step() } else { world.finish() }
            prop_assert!(steps < 6000, "it does not come to its end");
        }
        world.check()?;
    }
}

impl World {
    /// What is under way ends, one after the other.
    fn finish(&mut self) {
        if let Some((id, _)) = self.connections.pop() {
            self.happens(Event::Ended(id, "ok"));
        } else if let Some((id, call, _)) = self.asked.pop() {
            self.happens(Event::Answered(id, call, "plan"));
        } else if let Some((job, call)) = self.preparing.pop() {
            self.happens(Event::Prepared(job, call, Ok(())));
        } else if let Some(id) = self.unknown.pop() {
            self.happens(Event::Known(id));
        } else if let Some(job) = self.unwritten.pop() {
            self.fate(job).is_written = true;
            self.happens(Event::Written(visit(job)));
        } else {
            self.feed();
        }
    }

    /// The run is over: all that was read has ended once, but what a stop has left.
    fn check(mut self) -> Result<(), Fault> {
        let mut left = 0;
        for fate in self.fates.values() {
            if fate.has_ended(self.configurations) {
                prop_assert!(fate.is_written);
                prop_assert!(fate.failed <= 1);
            } else {
                prop_assert!(fate.reported.is_empty() && fate.failed == 0, "{fate:?}");
                left += 1;
            }
        }
        prop_assert!(self.is_stopped || (left == 0 && self.unread.is_empty()));
        prop_assert_eq!(left, self.fates.len() - self.course.taken());
        prop_assert_eq!(self.settled, 1);
        prop_assert_eq!(self.course.in_flight(), 0);
        // Of broken jobs, a connection may be left, also one that waits for its turn.
        while let Some((id, _)) = self.connections.pop() {
            self.happens(Event::Ended(id, "ok"));
        }
        prop_assert!(self.course.open.values().all(|job| job.work.is_none()));
        prop_assert_eq!(self.course.scheduler.leases(), 0);
        prop_assert_eq!(self.course.permits.free(), self.permits);
        prop_assert_eq!(self.course.resting.count(), 0);
        Ok(())
    }
}
