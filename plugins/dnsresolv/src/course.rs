//! Which server to ask next for one name, and when none is worth asking any more.

use std::time::Duration;

use crate::reason::Reason;

/// How often a server is asked that says at once that it cannot answer now: it ends connections,
/// or nothing listens.
const ATTEMPTS: usize = 6;

/// How often a server is asked that answers with an error.
const REFUSALS: usize = 2;

/// The pause before servers that failed at once are asked again. It doubles each time.
const PAUSE: Duration = Duration::from_millis(50);

/// The servers in turn, as often as each is worth it.
pub(crate) struct Course {
    servers: Vec<Standing>,
    /// Whose turn it is, unless it is not asked any more.
    turn: usize,
    /// How often a silent server is asked.
    attempts: usize,
}

/// What came of asking a server so far.
struct Standing {
    server: usize,
    asked: usize,
    silences: usize,
    refusals: usize,
}

/// A server to ask, for the how manieth time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Try {
    /// Which server.
    pub(crate) server: usize,
    /// How often it was asked before.
    pub(crate) before: usize,
    /// Whether it answered with an error before.
    pub(crate) is_refused: bool,
}

impl Course {
    /// In this order. A server that is silent is asked `attempts` times.
    pub(crate) fn new(order: &[usize], attempts: usize) -> Course {
        let standing = |&server| Standing { server, asked: 0, silences: 0, refusals: 0 };
        Course { servers: order.iter().map(standing).collect(), turn: 0, attempts }
    }

    /// Whom to ask next, if anybody.
    pub(crate) fn next(&mut self) -> Option<Try> {
        let at = self.whose_turn()?;
        let count = self.servers.len();
        let standing = &mut self.servers[at];
        let next = Try {
            server: standing.server,
            before: standing.asked,
            is_refused: standing.refusals > 0,
        };
        standing.asked += 1;
        self.turn = (at + 1) % count;
        Some(next)
    }

    /// How long to wait before that, when the server before failed at once: only before all are
    /// asked anew.
    pub(crate) fn pause(&self) -> Duration {
        let next = self.whose_turn().map_or(0, |at| self.servers[at].asked);
        let is_anew = self.servers.iter().all(|standing| standing.asked <= next);
        match next {
            1.. if is_anew => PAUSE * (1 << (next - 1).min(ATTEMPTS)),
            _ => Duration::ZERO,
        }
    }

    /// Notes that a server was silent for as long as it had.
    pub(crate) fn was_silent(&mut self, server: usize) {
        if let Some(standing) = self.standing(server) {
            standing.silences += 1;
        }
    }

    /// Notes that a server failed.
    pub(crate) fn failed(&mut self, server: usize, reason: Reason) {
        let Some(standing) = self.standing(server) else { return };
        match reason {
            // A route hardly comes while one name is looked up.
            Reason::NoRoute => standing.refusals = REFUSALS,
            reason if reason.is_of_the_server() => standing.refusals += 1,
            _ => {}
        }
    }

    fn standing(&mut self, server: usize) -> Option<&mut Standing> {
        self.servers.iter_mut().find(|standing| standing.server == server)
    }

    fn whose_turn(&self) -> Option<usize> {
        let count = self.servers.len();
        let mut turns = (0..count).map(|more| (self.turn + more) % count);
        turns.find(|&at| {
            let Standing { asked, silences, refusals, .. } = self.servers[at];
            asked < ATTEMPTS.max(self.attempts) && silences < self.attempts && refusals < REFUSALS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is asked, if all that are asked fail in this way.
    fn asked(order: &[usize], fail: impl Fn(&mut Course, usize)) -> Vec<usize> {
        let mut course = Course::new(order, 3);
        let mut asked = Vec::new();
        while let Some(next) = course.next() {
            asked.push(next.server);
            fail(&mut course, next.server);
        }
        asked
    }

    #[test]
    fn all_are_asked_in_turn() {
        let silent = asked(&[1, 0], |course, server| course.was_silent(server));
        assert_eq!(silent, [1, 0, 1, 0, 1, 0]);
        let closed = asked(&[0], |course, server| course.failed(server, Reason::Closed));
        assert_eq!(closed, [0; ATTEMPTS]);
        let unrouted = asked(&[0, 1], |course, server| course.failed(server, Reason::NoRoute));
        assert_eq!(unrouted, [0, 1]);
    }

    #[test]
    fn whoever_answers_with_an_error_is_soon_left_alone() {
        let end = asked(&[0, 1], |course, server| match server {
            0 => course.failed(server, Reason::ServerFailure),
            _ => course.was_silent(server),
        });
        assert_eq!(end, [0, 1, 0, 1, 1]);
    }

    #[test]
    fn a_pause_is_made_before_all_are_asked_anew() {
        let mut course = Course::new(&[0, 1], 3);
        let pauses: Vec<Duration> = std::iter::from_fn(|| {
            let pause = course.pause();
            course.next().map(|_| pause)
        })
        .collect();
        assert_eq!(pauses[..6], [0, 0, 50, 0, 100, 0].map(Duration::from_millis));
    }
}
