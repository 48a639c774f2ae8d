//! The conditions of location, which every measurement has: under the aspect that they explain.

use pathspider_locate::{Finding, Location};
use pathspider_plugin_api::{Condition, ConditionInfo, Info};

use super::Wanted;

/// The conditions as declared, in the order of [`Finding::DECLARED`].
const DECLARED: [Condition; 7] = {
    let [changed, dropped, rejected, beyond, some_paths, not_reproduced, unquoted] =
        Finding::DECLARED;
    [
        Condition::declare("<aspect>.location.changed:<field:hop>", changed.1, changed.2),
        Condition::declare("<aspect>.location.dropped:<hop>", dropped.1, dropped.2),
        Condition::declare("<aspect>.location.rejected:<hop>", rejected.1, rejected.2),
        Condition::declare("<aspect>.location.beyond:<hop>", beyond.1, beyond.2),
        Condition::declare("<aspect>.location.some_paths", some_paths.1, some_paths.2),
        Condition::declare("<aspect>.location.not_reproduced", not_reproduced.1, not_reproduced.2),
        Condition::declare("<aspect>.location.unquoted", unquoted.1, unquoted.2),
    ]
};

/// What was found, as conditions, each once.
pub(crate) fn conditions(located: &[(Wanted, Location)]) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (wanted, location) in located {
        for finding in &location.findings {
            let condition = condition(&wanted.aspect, finding);
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
    }
    conditions
}

fn condition(aspect: &str, finding: &Finding) -> Condition {
    let [changed, dropped, rejected, beyond, some_paths, not_reproduced, unquoted] = DECLARED;
    match finding {
        Finding::Changed { field, hop, .. } => {
            changed.of(aspect).with(format_args!("{field}:{hop}"))
        }
        Finding::Dropped(hop) => dropped.of(aspect).with(hop),
        Finding::Rejected(hop) => rejected.of(aspect).with(hop),
        Finding::Beyond(hop) => beyond.of(aspect).with(hop),
        Finding::SomePaths => some_paths.of(aspect),
        Finding::NotReproduced => not_reproduced.of(aspect),
        Finding::Unquoted => unquoted.of(aspect),
    }
}

/// What a measurement's verdicts are about.
pub(crate) fn aspects_of(info: &Info) -> Vec<&str> {
    let mut aspects: Vec<&str> = Vec::new();
    for condition in &info.conditions {
        if let Some((aspect, _)) = condition.name.split_once(".connectivity.")
            && !aspects.contains(&aspect)
        {
            aspects.push(aspect);
        }
    }
    aspects
}

/// The conditions of location that a measurement's records may have.
pub fn declared(info: &Info) -> Vec<ConditionInfo> {
    let each = |aspect: &str| {
        let named = Finding::DECLARED.map(|(words, class, meaning)| ConditionInfo {
            name: format!("{aspect}.location.{words}"),
            class,
            meaning: meaning.to_owned(),
        });
        Vec::from(named)
    };
    aspects_of(info).into_iter().flat_map(each).collect()
}
