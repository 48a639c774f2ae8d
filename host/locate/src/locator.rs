//! All searches of a run: whose packets come in, and whose turn it is to send.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use pathspider_observer::{Dissected, dissect, packet};
use pathspider_plugin_api::packet::{Direction, TcpFlags};

use crate::Time;
use crate::course::{Course, FLOWS, Next, Settings, Subject};
use crate::location::Location;
use crate::pace::Pace;

/// Which search it is, as whoever began it calls it.
pub type CourseId = u64;

/// For how long after a search ended what the target still sends is reset.
const AFTER: Time = Time::from_secs(30);

/// A packet to be sent as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Whom it goes to.
    pub target: IpAddr,
    /// From the IP header on.
    pub octets: Vec<u8>,
}

/// A search, and when it is to be looked at next: nothing that happens to others makes that earlier.
#[derive(Debug)]
struct UnderWay {
    course: Course,
    due: Time,
}

/// What a call came to.
#[derive(Debug, Default)]
pub struct Polled {
    /// In this order.
    pub send: Vec<Send>,
    /// Searches that are over.
    pub ended: Vec<(CourseId, Location)>,
}

/// All searches of a run.
#[derive(Debug)]
pub struct Locator {
    courses: HashMap<CourseId, UnderWay>,
    by_target: HashMap<IpAddr, Vec<CourseId>>,
    /// Ends of flows that ended a moment ago, and until when they count.
    ended: HashMap<(SocketAddr, u16), Time>,
    pace: Pace,
}

impl Locator {
    /// With this many packets a second at the most.
    pub fn new(rate: f64) -> Locator {
        Locator {
            courses: HashMap::new(),
            by_target: HashMap::new(),
            ended: HashMap::new(),
            pace: Pace::new(rate),
        }
    }

    /// Begins a search. The three ports are ours alone with this target while it lasts, and a little
    /// longer; `seed` is a number that nobody can foresee.
    pub fn begin(
        &mut self,
        id: CourseId,
        subject: Subject,
        settings: Settings,
        ports: [u16; FLOWS],
        seed: u32,
        now: Time,
    ) {
        let course = Course::new(subject, settings, ports, seed, now);
        self.by_target.entry(course.target()).or_default().push(id);
        self.courses.insert(id, UnderWay { course, due: now });
    }

    /// How many searches are under way.
    pub fn len(&self) -> usize {
        self.courses.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.courses.is_empty()
    }

    /// Takes a packet that came in, from the IP header on.
    pub fn heard(&mut self, octets: &[u8], now: Time) -> Polled {
        let mut polled = Polled::default();
        let mut dissected = Dissected::NONE;
        if dissect(octets, octets.len() as u32, &mut dissected).is_err() {
            return polled;
        }
        let view = packet(&dissected, 0, Direction::Reverse);
        let target = match view.icmp() {
            Some(icmp) => icmp.quoted().map(|quoted| quoted.ip().destination()),
            None => Some(view.ip().source()),
        };
        let Some(target) = target else { return polled };
        for id in self.by_target.get(&target).into_iter().flatten() {
            let Some(UnderWay { course, due }) = self.courses.get_mut(id) else { continue };
            if let Some(replies) = course.heard(&view, now) {
                *due = now;
                if let Some((hop, is_first)) = course.take_last() {
                    self.pace.answered(hop, view.ip().source(), !is_first, now);
                }
                polled.send.extend(replies.into_iter().map(|octets| Send { target, octets }));
                return polled;
            }
        }
        if let (Some(tcp), Some((from, to))) = (view.tcp(), view.ports())
            && tcp.has(TcpFlags::ACK)
            && !tcp.has(TcpFlags::RST)
            && self.ended.contains_key(&(SocketAddr::new(target, from), to))
            && let Some(octets) = crate::course::hearing::reset_of(&view, &tcp)
        {
            polled.send.push(Send { target, octets });
        }
        polled
    }

    /// What is to be sent now, and what is over.
    pub fn poll(&mut self, now: Time) -> Polled {
        let mut polled = Polled::default();
        let mut over = Vec::new();
        for (id, UnderWay { course, due }) in &mut self.courses {
            while *due <= now {
                let asked = match course.next(now) {
                    Next::Wait(until) => {
                        course.free(now);
                        *due = until;
                        break;
                    }
                    Next::Over => {
                        over.push(*id);
                        break;
                    }
                    Next::Ask { hop, router } => self.pace.asked(router, hop),
                };
                let when = self.pace.when(asked, now);
                if when > now {
                    course.hold(now);
                    *due = when;
                    break;
                }
                let Some(octets) = course.send(now) else { break };
                self.pace.sent(asked, now);
                polled.send.push(Send { target: course.target(), octets });
            }
        }
        for id in over {
            self.end(id, now, &mut polled);
        }
        polled
    }

    /// Ends all searches with what they know.
    pub fn give_up(&mut self, now: Time) -> Polled {
        let mut polled = Polled::default();
        let ids: Vec<CourseId> = self.courses.keys().copied().collect();
        for id in ids {
            self.end(id, now, &mut polled);
        }
        polled
    }

    fn end(&mut self, id: CourseId, now: Time, polled: &mut Polled) {
        let Some(UnderWay { course, .. }) = self.courses.remove(&id) else { return };
        let target = course.target();
        if let Some(ids) = self.by_target.get_mut(&target) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_target.remove(&target);
            }
        }
        self.ended.retain(|_, until| *until > now);
        for end in course.ends() {
            self.ended.insert(end, now + AFTER);
        }
        let (closing, location) = course.end(now);
        polled.send.extend(closing.into_iter().map(|octets| Send { target, octets }));
        polled.ended.push((id, location));
    }

    /// When to call [`poll`](Locator::poll) again; `None` where nothing is under way.
    pub fn next(&self) -> Option<Time> {
        self.courses.values().map(|search| search.due).min()
    }
}
