//! What an answer to forged packets comes to: the words that a socket would give.

use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Outcome, State, Value};

use super::Failure;
use pathspider_observer::Answer;

/// How a connection ended that got this answer.
pub(super) fn outcome(answer: Answer, number: u8) -> Outcome {
    match answer {
        Answer::Packet => Outcome::new(State::Ok),
        Answer::Reset if number == protocol::TCP => Failure::Refused.outcome(),
        Answer::Reset => Failure::Reset.outcome(),
        Answer::Icmp(word) => Outcome::new(State::Failed).with("spdr_error", Value::text(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_sockets() {
        let word = |answer| outcome(answer, protocol::TCP).failure().map(str::to_owned);
        assert_eq!(word(Answer::Packet), None);
        assert_eq!(word(Answer::Reset).as_deref(), Some("refused"));
        assert_eq!(word(Answer::Icmp("unreachable")).as_deref(), Some("unreachable"));
    }
}
