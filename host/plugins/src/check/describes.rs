//! Rules about what a plugin says of itself.

use pathspider_plugin_api::{Info, OptionKind, OptionSpec, Value};

use super::subject::{Subject, declined};
use super::{Answer, Troubles};

/// Panics are caught in the library as it was built.
pub(super) fn panics(subject: &mut Subject<'_>) -> Answer {
    subject
        .reporter
        .step("it was to catch a panic (a plugin that is built with panic = \"abort\" cannot)");
    match subject.plugin.canary() {
        Ok(()) => Answer::Pass,
        Err(error) => Answer::Fail(vec![error.to_string()]),
    }
}

/// Everything is said, and well-formed.
pub(super) fn metadata(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Troubles::default();
    let mut names = Vec::new();
    for sample in subject.samples() {
        judge_info(&sample.info, &mut troubles);
        names.push(sample.info.name);
    }
    for chain in subject.plugin.chains() {
        let Ok(info) = chain.describe() else { continue };
        if info.description.is_empty() {
            troubles.note(format!("the chain {} has no description", info.name));
        }
        for field in info.fields.iter().filter(|field| field.meaning.is_empty()) {
            troubles.note(format!("{}: the field {} has no meaning", info.name, field.name));
        }
        names.push(format!("the chain {}", info.name));
    }
    names.sort();
    for twice in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        troubles.note(format!("{} is there twice", twice[0]));
    }
    troubles.answer()
}

fn judge_info(info: &Info, troubles: &mut Troubles) {
    let name = &info.name;
    if name.to_ascii_lowercase() != *name {
        troubles.note(format!("{name}: the name has capitals"));
    }
    for (what, text) in [
        ("description", &info.description),
        ("version", &info.version),
        ("contact (a mail address or URL)", &info.contact),
    ] {
        if text.trim().is_empty() {
            troubles.note(format!("{name}: there is no {what}"));
        }
        if text.contains('\n') {
            troubles.note(format!("{name}: {what} is more than one line"));
        }
    }
    if !info.version.starts_with(|c: char| c.is_ascii_digit()) {
        troubles.note(format!("{name}: the version {:?} begins with no digit", info.version));
    }
    for (index, condition) in info.conditions.iter().enumerate() {
        if condition.name.split('.').any(str::is_empty) || !condition.name.contains('.') {
            troubles.note(format!("the condition {:?} is not words and dots", condition.name));
        }
        if condition.name.starts_with("pathspider.") {
            troubles.note(format!("the condition {} is the host's own", condition.name));
        }
        if condition.meaning.is_empty() {
            troubles.note(format!("the condition {} has no meaning", condition.name));
        }
        if condition.name.contains(char::is_whitespace)
            || condition.name.matches('<').count() != condition.name.matches('>').count()
        {
            troubles.note(format!("the condition {:?} is not well-formed", condition.name));
        }
        if info.conditions[..index].iter().any(|other| other.name == condition.name) {
            troubles.note(format!("the condition {} is declared twice", condition.name));
        }
    }
}

/// Options are consistent, and `new` takes what they allow.
pub(super) fn options(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Troubles::default();
    for sample in subject.samples() {
        let specs: Vec<&OptionSpec> = sample.options.iter().collect();
        for (index, spec) in specs.iter().enumerate() {
            let twice = specs[..index].iter().any(|other| other.name == spec.name);
            let trouble = if twice { Some("it is declared twice".to_owned()) } else { wrong(spec) };
            if let Some(trouble) = trouble {
                troubles.note(format!("{} --{}: {trouble}", sample.info.name, spec.name));
            }
        }
        subject.reporter.step(&format!("{} was made with its options", sample.info.name));
        match subject.variants(&sample) {
            Ok(variants) => {
                for variant in variants {
                    let made = sample.handle.instantiate(variant.values);
                    if let Some(error) = made.err().filter(|error| !declined(error)) {
                        troubles.note(format!("{}{}: {error}", sample.info.name, variant.label));
                    }
                }
            }
            Err(error) => troubles.note(format!("{}: {error}", sample.info.name)),
        }
    }
    troubles.answer()
}

/// What is wrong with an option.
fn wrong(spec: &OptionSpec) -> Option<String> {
    let usable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !spec.name.starts_with(|c: char| c.is_ascii_lowercase()) || !spec.name.chars().all(usable) {
        return Some("its name is not of lower-case letters, digits and dashes".to_owned());
    }
    if ["help", "version"].contains(&spec.name.as_str()) {
        return Some("the host has an option of that name".to_owned());
    }
    if spec.help.is_empty() {
        return Some("it has no help".to_owned());
    }
    match &spec.kind {
        OptionKind::Integer { min, max } if min > max => Some(format!("{min} to {max} is empty")),
        OptionKind::Number { min, max } if min > max || !min.is_finite() || !max.is_finite() => {
            Some(format!("{min} to {max} is no range"))
        }
        OptionKind::Choice(words) if words.is_empty() => Some("there is no choice".to_owned()),
        OptionKind::Choice(words)
            if words.iter().enumerate().any(|(n, w)| words[..n].contains(w)) =>
        {
            Some("a word of the choice is there twice".to_owned())
        }
        _ => wrong_default(spec),
    }
}

fn wrong_default(spec: &OptionSpec) -> Option<String> {
    let default = &spec.default;
    let fits = match (spec.several, default.as_list()) {
        (true, Some(list)) => list.iter().all(|value| allows(&spec.kind, value)),
        (false, None) => default.is_null() || allows(&spec.kind, default),
        (true, None) => default.is_null(),
        (false, Some(_)) => false,
    };
    (!fits).then(|| format!("its default {default:?} is none of its values"))
}

fn allows(kind: &OptionKind, value: &Value) -> bool {
    match kind {
        OptionKind::Flag => value.as_bool().is_some(),
        OptionKind::Integer { min, max } => {
            value.as_i64().is_some_and(|number| (min..=max).contains(&&number))
        }
        OptionKind::Number { min, max } => {
            value.as_f64().is_some_and(|number| (min..=max).contains(&&number))
        }
        OptionKind::Choice(words) => value.as_str().is_some_and(|w| words.iter().any(|x| x == w)),
        _ => value.as_str().is_some(),
    }
}
