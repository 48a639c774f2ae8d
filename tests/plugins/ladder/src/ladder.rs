//! What two ladders show: how far each rung came, and from where on the marked one fares worse.

use pathspider_plugin_api::chains::icmp::{self, IcmpError};
use pathspider_plugin_api::{Flow, State};

/// How far a SYN with this many hops came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// It was not sent, or not as it was meant, or not seen.
    Unknown,
    /// Nothing came back.
    Silent,
    /// To a router, to which it came with this mark.
    Router(u8),
    /// To the target.
    Target,
    /// To whoever refused it.
    Refused,
}

impl Rung {
    pub(crate) fn of(flow: Flow<'_>) -> Rung {
        let exceeded = icmp::errors(flow).find(IcmpError::is_time_exceeded);
        match exceeded.and_then(|error| error.quote) {
            _ if flow.accepted_syn() => Rung::Target,
            Some(quote) => Rung::Router(quote.dscp),
            None if flow.state() == State::Failed => Rung::Refused,
            None => Rung::Silent,
        }
    }

    /// Whether it shows that its SYN went on at the rungs below.
    fn is_through(self) -> bool {
        matches!(self, Rung::Router(_) | Rung::Target)
    }
}

/// What befell the marked SYNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    Changed,
    Dropped,
    Refused,
}

impl Harm {
    /// The first harm on the way up, and where: at one hop, or between what is known on either side.
    /// `is_lost` says that the marked SYN with all hops was not accepted.
    pub(crate) fn between(
        plain: &[Rung],
        marked: &[Rung],
        mark: u8,
        is_lost: bool,
    ) -> Option<(Harm, String)> {
        let is_changed = |rung: &Rung| matches!(rung, Rung::Router(other) if *other != mark);
        let pairs = || plain.iter().zip(marked);
        let changed = marked.iter().position(is_changed).map(|at| (Harm::Changed, at));
        let refused = pairs().position(|pair| *pair.1 == Rung::Refused && pair.0.is_through());
        let (harm, at) = changed.or(refused.map(|at| (Harm::Refused, at))).or_else(|| {
            let at = dropped(plain, marked).filter(|_| is_lost)?;
            Some((Harm::Dropped, at))
        })?;
        let known = marked[..at].iter().rposition(|rung| *rung == Rung::Router(mark));
        let (first, last) = (known.map_or(1, |known| known + 2), at + 1);
        let place = if first == last { last.to_string() } else { format!("{first}-{last}") };
        Some((harm, place))
    }
}

/// From where on nothing came back of marked SYNs where plain ones went on: at two rungs, or at the
/// target. One silent rung alone may be a router that says little.
fn dropped(plain: &[Rung], marked: &[Rung]) -> Option<usize> {
    let from = marked.iter().rposition(|rung| rung.is_through()).map_or(0, |last| last + 1);
    let beyond = || plain.iter().zip(marked).enumerate().skip(from);
    let through: Vec<_> = beyond().filter(|(_, (plain, _))| plain.is_through()).collect();
    let is_proof = through.len() > 1 || through.iter().any(|(_, pair)| *pair.0 == Rung::Target);
    let is_lost = through.iter().all(|(_, pair)| *pair.1 == Rung::Silent);
    through.first().filter(|_| is_proof && is_lost).map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::Rung::{Refused, Router, Silent, Target, Unknown};
    use super::*;

    fn found(plain: &[Rung], marked: &[Rung]) -> Option<(Harm, String)> {
        let is_lost = marked.last() != Some(&Target);
        Harm::between(plain, marked, 46, is_lost)
    }

    fn at(harm: Harm, place: &str) -> Option<(Harm, String)> {
        Some((harm, place.to_owned()))
    }

    const PLAIN: [Rung; 4] = [Router(0), Router(0), Router(0), Target];

    #[test]
    fn a_mark_that_stays_is_no_harm() {
        assert_eq!(found(&PLAIN, &[Router(46), Router(46), Router(46), Target]), None);
        assert_eq!(found(&PLAIN, &[Router(46), Silent, Router(46), Target]), None);
        assert_eq!(found(&[Silent; 4], &[Silent; 4]), None);
        assert_eq!(found(&PLAIN, &[Router(46), Router(46), Router(46), Unknown]), None);
    }

    #[test]
    fn the_first_router_that_shows_it_is_named_or_those_between() {
        assert_eq!(
            found(&PLAIN, &[Router(46), Router(46), Router(0), Target]),
            at(Harm::Changed, "3")
        );
        assert_eq!(
            found(&PLAIN, &[Router(46), Silent, Router(0), Target]),
            at(Harm::Changed, "2-3")
        );
        assert_eq!(found(&PLAIN, &[Router(8), Router(0), Silent, Silent]), at(Harm::Changed, "1"));
    }

    #[test]
    fn what_is_lost_is_lost_where_plain_ones_went_on() {
        assert_eq!(
            found(&PLAIN, &[Router(46), Router(46), Silent, Silent]),
            at(Harm::Dropped, "3")
        );
        assert_eq!(
            found(&PLAIN, &[Router(46), Router(46), Router(46), Silent]),
            at(Harm::Dropped, "4")
        );
        let silent = [Router(0), Silent, Router(0), Target];
        assert_eq!(found(&silent, &[Router(46), Silent, Silent, Silent]), at(Harm::Dropped, "2-3"));
        let dead = [Router(0), Router(0), Silent, Silent];
        assert_eq!(found(&dead, &[Router(46), Silent, Silent, Silent]), None, "one rung alone");
        assert_eq!(found(&PLAIN, &[Router(46), Silent, Unknown, Silent]), None);
    }

    #[test]
    fn a_refusal_is_one_where_plain_ones_are_not_refused() {
        assert_eq!(found(&PLAIN, &[Router(46), Refused, Refused, Refused]), at(Harm::Refused, "2"));
        let both = [Router(0), Refused, Refused, Refused];
        assert_eq!(found(&both, &[Router(46), Refused, Refused, Refused]), None);
    }
}
