//! Conditions: what a measurement concludes, and the declaration of those it can give.

use std::borrow::Cow;
use std::fmt;

use crate::Record;
use crate::carriage;
use crate::measurement::ConfigId;
use crate::outcome::State;

/// One conclusion about a path, such as `ecn.connectivity.works`.
///
/// Words joined by dots, the measurement's name first; a value may follow after a colon. A
/// condition means *seen*; its absence means *no evidence*.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition(Cow<'static, str>);

impl Condition {
    /// A condition without a value.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Condition {
        Condition(name.into())
    }

    /// A condition with a value: `name:value`.
    pub fn with_value(name: &str, value: impl fmt::Display) -> Condition {
        Condition(format!("{name}:{value}").into())
    }

    /// `pathspider.not_applied:<config>`: the capture shows packets of this configuration that
    /// were not sent as it demands, so nothing can be concluded from it.
    pub fn not_applied(config: ConfigId) -> Condition {
        Condition::with_value("pathspider.not_applied", config.index())
    }

    /// `pathspider.not_observed`: what would prove a conclusion is not in the capture. The host
    /// gives it for flows that were missed; a plugin, for the one packet that counts.
    pub fn not_observed() -> Condition {
        Condition::new("pathspider.not_observed")
    }

    /// The comparison of a baseline A with an experimental B that every A/B measurement makes:
    /// `<prefix>.connectivity.works`, `broken`, `offline` or `transient`.
    ///
    /// `None` where one of the two was not observed: without evidence there is no verdict.
    pub fn connectivity(prefix: &str, a: &Record, b: &Record) -> Option<Condition> {
        let both = observed(a) && observed(b);
        both.then(|| Condition::compared(prefix, connected(a), connected(b)))
    }

    /// The same comparison by the plugin's own measure of success, for flows that were observed.
    pub fn compared(prefix: &str, a: bool, b: bool) -> Condition {
        let word = match (a, b) {
            (true, true) => "works",
            (true, false) => "broken",
            (false, true) => "transient",
            (false, false) => "offline",
        };
        Condition(format!("{prefix}.connectivity.{word}").into())
    }

    /// The verdict of a measurement with a single configuration: `<prefix>.connectivity.online`
    /// or `offline`; `None` where the flow was not observed.
    pub fn online(prefix: &str, flow: &Record) -> Option<Condition> {
        observed(flow).then(|| {
            let word = if connected(flow) { "online" } else { "offline" };
            Condition(format!("{prefix}.connectivity.{word}").into())
        })
    }

    /// The whole condition.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The condition's text, given up.
    pub fn into_text(self) -> Cow<'static, str> {
        self.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the capture has this connection's flow.
pub fn observed(flow: &Record) -> bool {
    flow.bool("observed") == Some(true)
}

/// Whether the path carried the connection ([`carriage`]); by its state, where nobody has said.
pub fn connected(flow: &Record) -> bool {
    let is_ok = || flow.u64("spdr_state") == Some(State::Ok.number().into());
    flow.bool(carriage::CARRIED).unwrap_or_else(is_ok)
}

/// A condition that a measurement declares, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionInfo {
    /// The condition's name. A word in angle brackets stands for any word or value:
    /// `dscp.<codepoint>.replymark:<mark>`.
    pub name: String,
    /// What was seen when it is given.
    pub meaning: String,
}

impl ConditionInfo {
    /// Whether a condition is one of those declared by this name.
    pub fn covers(&self, condition: &str) -> bool {
        let mut rest = condition;
        let mut pattern = self.name.as_str();
        while let Some((literal, after)) = pattern.split_once('<') {
            let Some((_, after)) = after.split_once('>') else {
                break;
            };
            let Some(value) = rest.strip_prefix(literal) else {
                return false;
            };
            // A placeholder for a value takes all that follows the colon, else one word.
            let end = if literal.ends_with(':') && after.is_empty() {
                value.len()
            } else {
                value.find(['.', ':']).unwrap_or(value.len())
            };
            if end == 0 {
                return false;
            }
            rest = &value[end..];
            pattern = after;
        }
        rest == pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(name: &str, condition: &str) -> bool {
        ConditionInfo { name: name.into(), meaning: String::new() }.covers(condition)
    }

    #[test]
    fn placeholders_take_one_word_or_a_value() {
        assert!(covers("ecn.connectivity.works", "ecn.connectivity.works"));
        assert!(!covers("ecn.connectivity.works", "ecn.connectivity.works:1"));
        assert!(covers("dscp.<n>.replymark:<m>", "dscp.46.replymark:0"));
        assert!(!covers("dscp.<n>.replymark:<m>", "dscp.46.x.replymark:0"));
        assert!(!covers("dscp.<n>.replymark:<m>", "dscp.46.replymark:"));
        assert!(covers("quic.vn.versions:<list>", "quic.vn.versions:0x1,draft-29.a"));
    }

    #[test]
    fn connectivity_needs_both_flows() {
        let flow = |state: State, seen: bool| {
            Record::new().with("spdr_state", state.number()).with("observed", seen)
        };
        let verdict = |a, b| Condition::connectivity("x", &a, &b).map(|c| c.to_string());
        let (ok, failed) = (flow(State::Ok, true), flow(State::Timeout, true));
        assert_eq!(verdict(ok.clone(), ok.clone()).as_deref(), Some("x.connectivity.works"));
        assert_eq!(verdict(ok.clone(), failed.clone()).as_deref(), Some("x.connectivity.broken"));
        assert_eq!(
            verdict(failed.clone(), ok.clone()).as_deref(),
            Some("x.connectivity.transient")
        );
        assert_eq!(verdict(failed.clone(), failed).as_deref(), Some("x.connectivity.offline"));
        assert_eq!(verdict(ok.clone(), flow(State::Failed, false)), None);
        let carried = flow(State::Timeout, true).with(carriage::CARRIED, true);
        assert_eq!(verdict(ok.clone(), carried).as_deref(), Some("x.connectivity.works"));
        let lost = flow(State::Ok, true).with(carriage::CARRIED, false);
        assert_eq!(verdict(ok, lost).as_deref(), Some("x.connectivity.broken"));
    }
}
