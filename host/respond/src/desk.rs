//! Whether a datagram is answered. Whatever is not asked with our key, now and for the first time, gets
//! nothing.

use std::net::IpAddr;

use pathspider_arrivals::{Answer, Key, PATIENCE, Question};

use crate::Time;
use crate::limit::Limit;
use crate::noted::NotedFlows;
use crate::seen::Seen;

/// Who decides.
pub(crate) struct Desk {
    key: Key,
    limit: Limit,
    seen: Seen,
}

/// What becomes of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is answered.
    Asked(Question),
    /// It gets nothing: it is no question of who has our key, or one that was answered before, or one too many.
    Silence,
    /// It gets nothing: by the clock of who asks it is so many seconds later than here, or earlier.
    Clock(i64),
}

/// When a datagram came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// By a clock that nobody sets.
    pub(crate) at: Time,
    /// Seconds since the Unix epoch.
    pub(crate) wall: u64,
}

impl Desk {
    /// With so many answers a second to all, and to each network.
    pub(crate) fn new(key: Key, (rate, rate_of_each): (f64, f64), now: Time) -> Desk {
        Desk { key, limit: Limit::new(rate, rate_of_each, now), seen: Seen::new(now) }
    }

    /// Decides on a datagram.
    pub(crate) fn decide(&mut self, octets: &[u8], from: IpAddr, came: Came) -> Verdict {
        let Some(question) = Question::read(octets, &self.key) else { return Verdict::Silence };
        let apart = i128::from(question.time) - i128::from(came.wall);
        if apart.unsigned_abs() > PATIENCE.into() {
            return Verdict::Clock(apart.try_into().unwrap_or(i64::MAX));
        }
        // Whoever repeats recorded questions does not use up the limit of who asked them.
        if self.seen.knows(&question.nonce) {
            return Verdict::Silence;
        }
        // What is over the limit may be asked again: only what is answered counts as seen.
        if !self.limit.takes(from, came.at) || !self.seen.is_new(&question.nonce, came.at) {
            return Verdict::Silence;
        }
        Verdict::Asked(question)
    }

    /// The answer to a question. Of flows from other addresses than that which asks, it says nothing.
    pub(crate) fn answer(
        &self,
        question: &Question,
        noted: &NotedFlows,
        (from, to): (IpAddr, IpAddr),
        now: Time,
    ) -> Vec<u8> {
        let found = noted.find(&question.sought, from, to, now);
        let answer = Answer {
            nonce: question.nonce,
            found: found.how,
            kept_us: noted.kept(now).as_micros().try_into().unwrap_or(u64::MAX),
            count: found.count,
            from,
            arrivals: found.arrivals,
        };
        answer.written(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use pathspider_arrivals::{LENGTH, Mark, Match, Sought};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const WALL: u64 = 1_700_000_000;

    fn key() -> Key {
        Key::of(b"the key of these tests")
    }

    fn desk() -> Desk {
        Desk::new(key(), (1_000.0, 100.0), Time::ZERO)
    }

    fn question(time: u64) -> Question {
        let mark = Mark::of_sequence(7);
        let sought = Sought { is_tcp: true, source_port: 4_000, destination_port: 80, mark };
        Question::new(sought, time).unwrap()
    }

    fn came(millis: u64) -> Came {
        Came { at: Time::from_millis(millis), wall: WALL }
    }

    #[test]
    fn who_has_not_the_key_gets_silence() {
        let mut desk = desk();
        let right = question(WALL).written(&key());
        let strange = question(WALL).written(&Key::of(b"another key"));
        let mut cases: Vec<Vec<u8>> = vec![strange.into(), vec![], vec![0; LENGTH], b"?".into()];
        cases.extend((0..LENGTH).step_by(7).map(|at| {
            let mut changed = right.to_vec();
            changed[at] ^= 0x40;
            changed
        }));
        cases.push(right[..LENGTH - 1].into());
        // An answer sent back is no question.
        let noted = NotedFlows::new(10, Time::from_secs(60), Time::ZERO);
        cases.push(desk.answer(&question(WALL), &noted, (THERE, HERE), Time::ZERO));
        for octets in cases {
            assert_eq!(desk.decide(&octets, THERE, came(0)), Verdict::Silence);
        }
        assert!(matches!(desk.decide(&right, THERE, came(0)), Verdict::Asked(_)));
    }

    #[test]
    fn a_question_is_answered_once_and_in_its_time() {
        let mut desk = desk();
        let asked = question(WALL).written(&key());
        assert!(matches!(desk.decide(&asked, THERE, came(0)), Verdict::Asked(_)));
        assert_eq!(desk.decide(&asked, THERE, came(1)), Verdict::Silence);
        assert_eq!(desk.decide(&asked, HERE, came(2)), Verdict::Silence, "from elsewhere too");
        for apart in [-31_i64, 31, 100_000] {
            let asked = question(WALL.saturating_add_signed(apart)).written(&key());
            assert_eq!(desk.decide(&asked, THERE, came(3)), Verdict::Clock(apart));
        }
        assert_eq!(
            desk.decide(&question(u64::MAX).written(&key()), THERE, came(3)),
            Verdict::Clock(i64::MAX)
        );
        let asked = question(WALL + PATIENCE).written(&key());
        assert!(matches!(desk.decide(&asked, THERE, came(4)), Verdict::Asked(_)));
    }

    #[test]
    fn more_questions_than_the_limit_get_silence_and_may_be_asked_again() {
        let mut desk = Desk::new(key(), (1_000.0, 5.0), Time::ZERO);
        let asked: Vec<_> = (0..20).map(|_| question(WALL).written(&key())).collect();
        let answered = |desk: &mut Desk, at| {
            let decided = asked.iter().map(|octets| desk.decide(octets, THERE, came(at)));
            decided.filter(|verdict| matches!(verdict, Verdict::Asked(_))).count()
        };
        assert_eq!(answered(&mut desk, 0), 5);
        // Those that were answered are asked first, and do not count.
        assert_eq!(answered(&mut desk, 1_000), 5);
        let rest = &asked[5..];
        let later = rest.iter().map(|octets| desk.decide(octets, THERE, came(2_000)));
        assert_eq!(later.filter(|verdict| matches!(verdict, Verdict::Asked(_))).count(), 5);
    }

    #[test]
    fn the_answer_is_for_who_asked_and_no_longer_than_the_question() {
        let desk = desk();
        let noted = NotedFlows::new(10, Time::from_secs(60), Time::ZERO);
        let question = question(WALL);
        let octets = desk.answer(&question, &noted, (THERE, HERE), Time::from_secs(5));
        assert!(octets.len() <= LENGTH);
        let answer = Answer::read(&octets, &key()).unwrap();
        assert_eq!((answer.nonce, answer.from), (question.nonce, THERE));
        assert_eq!((answer.found, answer.kept_us), (Match::Nothing, 5_000_000));
    }
}
