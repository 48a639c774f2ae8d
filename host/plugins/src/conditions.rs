//! What is wrong with the conditions that a measurement declares: a run refuses the plugin for it, and
//! `pathspider check` tells of it.

use pathspider_plugin_api::{ConditionInfo, Info};

/// What is wrong with the first condition that no record can have.
pub fn unusable(info: &Info) -> Option<String> {
    wrong(info).next()
}

/// What is wrong with each.
pub(super) fn wrong(info: &Info) -> impl Iterator<Item = String> {
    let is_twice = |at: usize| {
        let (before, rest) = info.conditions.split_at(at);
        before.iter().any(|other| other.name == rest[0].name)
    };
    info.conditions.iter().enumerate().filter_map(move |(at, condition)| {
        let what = if is_twice(at) { "is declared twice" } else { wrong_by_itself(condition)? };
        Some(format!("the condition {:?} {what}", condition.name))
    })
}

fn wrong_by_itself(condition: &ConditionInfo) -> Option<&'static str> {
    let name = &condition.name;
    if name.split('.').any(str::is_empty) || !name.contains('.') {
        return Some("is not words joined by dots, the measurement's name first");
    }
    if name.starts_with("pathspider.") {
        return Some("is the host's own: begin it with the measurement's name");
    }
    let is_open = name.matches('<').count() != name.matches('>').count();
    (is_open || name.contains(char::is_whitespace)).then_some("is not well-formed")
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::Class;

    use super::*;

    #[test]
    fn conditions_that_no_record_can_have_are_named() {
        for (names, words) in [
            (&["works"][..], "the condition \"works\" is not words joined by dots"),
            (&["x..works"], "is not words joined by dots"),
            (&["pathspider.sent"], "is the host's own"),
            (&["x.two words"], "is not well-formed"),
            (&["x.<n.works"], "is not well-formed"),
            (&["x.a", "x.b", "x.a"], "the condition \"x.a\" is declared twice"),
        ] {
            let mut info = Info::new("x", "1", "x");
            let declared = |name: &&str| ConditionInfo {
                name: (*name).to_owned(),
                class: Class::Good,
                meaning: "seen".to_owned(),
            };
            info.conditions = names.iter().map(declared).collect();
            let said = unusable(&info).unwrap();
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(unusable(&Info::new("x", "1", "x")), None);
    }
}
