//! Rules about what a plugin says of itself.

use pathspider_plugin_api::{Info, OptionSpec};

use super::lives::declines;
use super::subject::{Sample, Subject, declined};
use super::{Answer, Troubles};
use crate::conditions;
use crate::options::wrong;

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
    for (what, text, remedy) in [
        ("description", &info.description, "give one to Info::new"),
        ("version", &info.version, "give one to Info::new, such as env!(\"CARGO_PKG_VERSION\")"),
        ("contact", &info.contact, "give a mail address or URL to Info::contact"),
    ] {
        if text.trim().is_empty() {
            troubles.note(format!("{name}: there is no {what}; {remedy}"));
        }
        if text.contains('\n') {
            troubles.note(format!("{name}: its {what} is more than one line"));
        }
    }
    if !info.version.is_empty() && !info.version.starts_with(|c: char| c.is_ascii_digit()) {
        troubles.note(format!("{name}: the version {:?} begins with no digit", info.version));
    }
    conditions::wrong(info).for_each(|trouble| troubles.note(trouble));
    for condition in info.conditions.iter().filter(|condition| condition.meaning.is_empty()) {
        troubles.note(format!("the condition {} has no meaning", condition.name));
    }
}

/// Options are consistent, and `new` takes what they allow.
pub(super) fn options(subject: &mut Subject<'_>) -> Answer {
    let mut troubles = Troubles::default();
    for sample in subject.samples() {
        let name = &sample.info.name;
        let specs: Vec<&OptionSpec> = sample.options.iter().collect();
        for (index, spec) in specs.iter().enumerate() {
            let twice = specs[..index].iter().any(|other| other.name == spec.name);
            let trouble = if twice { Some("it is declared twice".to_owned()) } else { wrong(spec) };
            if let Some(trouble) = trouble {
                troubles.note(format!("{name} --{}: {trouble}", spec.name));
            }
        }
        // What `new` makes of such options is no matter.
        if troubles.is_empty() {
            try_new(subject, &sample, &mut troubles);
        }
    }
    troubles.answer()
}

fn try_new(subject: &mut Subject<'_>, sample: &Sample, troubles: &mut Troubles) {
    let name = &sample.info.name;
    let variants = match subject.variants(sample) {
        Ok(variants) => variants,
        Err(error) => return troubles.note(format!("{name}: {error}")),
    };
    for (index, variant) in variants.into_iter().enumerate() {
        let label = format!("{name}{}", variant.label);
        subject.reporter.step(&format!("{label} was made with its options"));
        match sample.handle.instantiate(variant.values) {
            Err(error) if !declined(&error) => troubles.note(format!("{label}: new: {error}")),
            // The first are the defaults, or what was asked for.
            Err(error) if index == 0 => troubles.note(declines(&label, &error)),
            _ => {}
        }
    }
}
