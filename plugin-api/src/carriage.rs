//! What proves that a path carried a connection: one rule for each kind, decided from what the
//! socket met and what the capture shows.

use crate::chains::tcp;
use crate::connect::ConnectKind;
use crate::packet::TcpFlags;
use crate::{FlowRecord, Outcome, State, Value};

/// The host's key for the kind of a connection.
pub const KIND: &str = "spdr_kind";

/// The host's key for whether the path carried the connection.
pub const CARRIED: &str = "spdr_carried";

/// What of the target's has to arrive before the path is known to have carried a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// The TCP handshake, whatever follows it.
    Handshake,
    /// Octets of the target's in the connection, whatever they say: a whole response, a part of one
    /// or an alert of TLS. The handshake alone proves nothing of what was asked then.
    Octets,
    /// A DNS response with the identifier and the question of the query (RFC 5452, section 9.1).
    Response,
    /// A SYN/ACK in the capture: nobody goes on with the connection.
    SynAck,
    /// What the connection's state says: the host saw no exchange of its own.
    State,
}

/// How far a connection came, as its socket has met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Met {
    /// The TCP handshake.
    pub handshake: Handshake,
    /// Whether the target sent octets in the connection.
    pub octets: bool,
    /// Whether the target sent the response to what it was asked.
    pub response: bool,
}

/// What a socket knows of its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handshake {
    /// It never came about, as far as the socket knows.
    #[default]
    Unmet,
    /// It must have come about, for the socket was reset in a state that follows it. A target that
    /// opens at the same time as we do can bring a socket there without a handshake.
    Presumed,
    /// The socket was connected.
    Made,
}

impl Proof {
    /// The socket's word on the rule: null where only the capture can decide, absent where the
    /// state does.
    pub fn word(self, met: Met) -> Option<Value> {
        match self {
            Proof::Handshake => Some(match met.handshake {
                Handshake::Unmet => false.into(),
                Handshake::Presumed => Value::NULL,
                Handshake::Made => true.into(),
            }),
            Proof::Octets => Some((met.octets || met.response).into()),
            Proof::Response => Some(met.response.into()),
            Proof::SynAck | Proof::State => None,
        }
    }
}

/// Whether a SYN with these flags accepts the one that it answers.
pub(crate) fn accepts(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::SYN.and(TcpFlags::ACK))
}

/// Settles whether the path carried a connection, now that the observer has answered for its flow.
///
/// Where the handshake is all that was asked for, the capture decides: the socket has one last
/// word, and whether it is "connected" or "reset" is a matter of chance where a reset follows the
/// handshake. An outcome that is settled stays as it is when it is settled again.
pub fn settle(mut outcome: Outcome, flow: Option<&FlowRecord>) -> Outcome {
    let kind = outcome.record.str(KIND).and_then(ConnectKind::from_name);
    let carried = match kind.map(ConnectKind::proof) {
        Some(Proof::Handshake) => {
            let seen = flow.and_then(|flow| flow.get(tcp::CONNECTED));
            match outcome.record.bool(CARRIED) {
                Some(true) => true,
                Some(false) => seen == Some(true),
                None => seen.unwrap_or(true),
            }
        }
        Some(Proof::SynAck) => {
            // No field of the chain `tcp` but this one is never null: it says whether the chain was there.
            match flow.filter(|flow| flow.get(tcp::CONNECTED).is_some()) {
                Some(flow) => flow.get(tcp::SYNFLAGS_REV).is_some_and(accepts),
                None => outcome.state == State::Ok,
            }
        }
        _ => return outcome,
    };
    outcome.record.set(CARRIED, carried);
    if carried && outcome.state != State::Ok {
        outcome.state = State::Ok;
        outcome.record.remove("spdr_error");
        outcome.record.remove("spdr_phase");
        outcome.record.remove("spdr_icmp");
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::basic;

    /// A connection that the socket says was reset while it connected.
    fn reset(kind: ConnectKind, met: Met) -> Outcome {
        let outcome = Outcome::new(State::Failed)
            .with(KIND, kind.name())
            .with("spdr_error", "reset")
            .with("spdr_phase", "connect");
        match kind.proof().word(met) {
            Some(word) => outcome.with(CARRIED, word),
            None => outcome,
        }
    }

    fn met(handshake: Handshake) -> Met {
        Met { handshake, ..Met::default() }
    }

    #[test]
    fn the_capture_decides_over_a_handshake() {
        let seen = |connected: bool| {
            FlowRecord::of_chains(&[tcp::CHAIN.into()]).with(tcp::CONNECTED, connected)
        };
        let other = FlowRecord::of_chains(&[basic::CHAIN.into()]).with(basic::PACKETS_FWD, 3);
        let (yes, no) = (seen(true), seen(false));
        let (unmet, presumed) = (Handshake::Unmet, Handshake::Presumed);
        for (handshake, flow, carried) in [
            (unmet, Some(&yes), true),
            (unmet, Some(&no), false),
            (unmet, None, false),
            (presumed, Some(&yes), true),
            (presumed, Some(&no), false),
            // Without the chain `tcp`, and without a capture, the socket's word is all there is.
            (presumed, Some(&other), true),
            (presumed, None, true),
        ] {
            let settled = settle(reset(ConnectKind::Tcp, met(handshake)), flow);
            assert_eq!(settled.record.bool(CARRIED), Some(carried), "{handshake:?} {flow:?}");
            assert_eq!(settled.state == State::Ok, carried);
            assert_eq!(settled.failure().is_some(), !carried);
            assert_eq!(settle(settled.clone(), flow), settled, "settled twice");
        }
    }

    #[test]
    fn a_handshake_alone_answers_no_request() {
        let seen = FlowRecord::of_chains(&[tcp::CHAIN.into()]).with(tcp::CONNECTED, true);
        for kind in ConnectKind::ALL {
            let outcome = reset(kind, met(Handshake::Made));
            let settled = settle(outcome.clone(), Some(&seen));
            let carried = settled.record.bool(CARRIED);
            match kind.proof() {
                Proof::Handshake => assert_eq!(carried, Some(true), "{kind:?}"),
                Proof::SynAck => assert_eq!(carried, Some(false), "{kind:?}"),
                Proof::State => assert_eq!(carried, None, "{kind:?}"),
                Proof::Octets | Proof::Response => {
                    assert_eq!(carried, Some(false), "{kind:?}");
                    assert_eq!(settled, outcome, "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_syn_was_carried_that_a_syn_ack_answered() {
        let seen = |flags: Option<TcpFlags>| {
            let flow = FlowRecord::of_chains(&[tcp::CHAIN.into()]).with(tcp::CONNECTED, false);
            flow.with(tcp::SYNFLAGS_REV, flags)
        };
        let syn_ack = TcpFlags::SYN.and(TcpFlags::ACK).and(TcpFlags::ECE);
        let other = FlowRecord::of_chains(&[basic::CHAIN.into()]).with(basic::PACKETS_FWD, 1);
        for (state, flow, carried) in [
            (State::Ok, Some(seen(Some(syn_ack))), true),
            (State::Timeout, Some(seen(Some(syn_ack))), true),
            // Another answer, such as an acknowledgment of something else.
            (State::Ok, Some(seen(None)), false),
            (State::Ok, Some(seen(Some(TcpFlags::SYN))), false),
            (State::Failed, Some(seen(None)), false),
            // Without the chain `tcp`, and without a capture, the first answer is all there is.
            (State::Ok, Some(other), true),
            (State::Failed, None, false),
        ] {
            let outcome = Outcome::new(state).with(KIND, ConnectKind::Syn.name());
            let settled = settle(outcome, flow.as_ref());
            assert_eq!(settled.record.bool(CARRIED), Some(carried), "{state:?} {flow:?}");
            assert_eq!(settle(settled.clone(), flow.as_ref()), settled, "settled twice");
        }
    }

    #[test]
    fn what_was_answered_was_carried_however_it_ended() {
        let part = Met { octets: true, ..met(Handshake::Made) };
        let whole = Met { response: true, ..part };
        let word = |proof: Proof, met| proof.word(met).and_then(|word| word.as_bool());
        assert_eq!(word(Proof::Octets, part), Some(true));
        assert_eq!(word(Proof::Response, part), Some(false), "another one's response");
        assert_eq!(word(Proof::Response, whole), Some(true));
    }
}
