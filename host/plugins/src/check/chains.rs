//! Rules about observer chains: those that a measurement names, and those that a plugin exports.

use pathspider_plugin_api::abi::{ChainHandle, ChainSet};
use pathspider_plugin_api::{ChainInfo, FieldType, FlowRecord, Value};

use super::subject::{Subject, declined};
use super::traffic::{self, Exchange};
use super::{Answer, Troubles};

/// Exchanges with damaged packets that a chain is shown.
const ROUNDS: usize = 400;

/// The chains that measurements name exist and go together.
pub(super) fn names(subject: &mut Subject<'_>) -> Answer {
    let samples = subject.samples();
    if samples.is_empty() {
        return Answer::Skipped("it exports no measurement".to_owned());
    }
    if let Err(error) = subject.known() {
        return Answer::Fail(vec![error.to_string()]);
    }
    let mut troubles = Troubles::default();
    for sample in samples {
        subject.reporter.step(&format!("the chains of {} were asked for", sample.info.name));
        for variant in subject.variants(&sample).unwrap_or_default() {
            let chains = match sample.handle.instantiate(variant.values) {
                Ok(object) => object.chains(),
                Err(error) if declined(&error) => continue,
                Err(error) => Err(error),
            };
            let found = chains.map_err(|error| error.to_string());
            let found = found.and_then(|names| {
                sample.known.resolve(&names).map(|_| ()).map_err(|error| error.to_string())
            });
            if let Err(error) = found {
                troubles.note(format!("{}{}: {error}", sample.info.name, variant.label));
            }
        }
    }
    troubles.answer()
}

/// Chains write what they declare.
pub(super) fn fields(subject: &mut Subject<'_>) -> Answer {
    each_chain(subject, |info, handle, troubles, _| {
        let mut names: Vec<&str> = info.fields.iter().map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            troubles.note(format!("{}: the field {} is declared twice", info.name, twice[0]));
        }
        let mut seen = Vec::new();
        for exchange in traffic::exchanges() {
            seen.extend(judge_flows(info, handle, &exchange, troubles));
        }
        if is_silent(info, &seen) {
            troubles.note(format!(
                "{}: of the flows that it took it wrote none of its fields, each is null; one at the \
                 least says what was seen",
                info.name
            ));
        }
    })
}

/// Whether a chain takes flows, and writes none of its fields for any.
fn is_silent(info: &ChainInfo, seen: &[FlowRecord]) -> bool {
    let values =
        || seen.iter().flat_map(|record| info.fields.iter().map(|f| record.value(&f.name)));
    let mut written = values().flatten().peekable();
    written.peek().is_some() && written.all(Value::is_null)
}

/// Chains take any packet.
pub(super) fn packets(subject: &mut Subject<'_>) -> Answer {
    each_chain(subject, |info, handle, troubles, random| {
        let good = traffic::exchanges();
        for _ in 0..ROUNDS {
            let exchange = traffic::malformed(&good, random);
            judge_flows(info, handle, &exchange, troubles);
        }
    })
}

fn each_chain(
    subject: &mut Subject<'_>,
    judge: impl Fn(&ChainInfo, ChainHandle, &mut Troubles, &mut fastrand::Rng),
) -> Answer {
    let chains = subject.plugin.chains();
    if chains.is_empty() {
        return Answer::Skipped("it exports no chain".to_owned());
    }
    let mut random = fastrand::Rng::with_seed(subject.seed);
    let mut troubles = Troubles::default();
    for handle in chains {
        match handle.describe() {
            Ok(info) => {
                subject.reporter.step(&format!("the chain {} saw packets", info.name));
                judge(&info, handle, &mut troubles, &mut random);
            }
            Err(error) => troubles.note(error.to_string()),
        }
    }
    troubles.answer()
}

/// Notes what is wrong with the flows of these packets; gives those on which the chain did not fail.
fn judge_flows(
    info: &ChainInfo,
    handle: ChainHandle,
    packets: &Exchange,
    troubles: &mut Troubles,
) -> Vec<FlowRecord> {
    let flows = ChainSet::new(&[handle])
        .map_err(|error| error.to_string())
        .and_then(|chains| traffic::flows(chains, packets));
    let flows = flows.unwrap_or_else(|error| {
        troubles.note(format!("{}: {error}", info.name));
        Vec::new()
    });
    let mut good = Vec::new();
    for (record, failure) in flows {
        match failure.map(|error| error.to_string()).or_else(|| misdeclared(info, &record)) {
            Some(trouble) => troubles.note(format!("{}: {trouble}", info.name)),
            None => good.push(record),
        }
    }
    good
}

/// What the record has otherwise than it is declared.
fn misdeclared(info: &ChainInfo, record: &FlowRecord) -> Option<String> {
    if let Some(defect) = record.to_record().defect() {
        return Some(defect);
    }
    // A flow that the chain ignores has none of them.
    info.fields.iter().find_map(|field| match record.value(&field.name) {
        Some(value) if !fits(field.kind, value) => {
            Some(format!("it wrote {} as {value:?}, which is no {}", field.name, field.kind.name()))
        }
        _ => None,
    })
}

fn fits(kind: FieldType, value: &Value) -> bool {
    value.is_null()
        || match kind {
            FieldType::Bool => value.as_bool().is_some(),
            FieldType::UInt => value.as_u64().is_some(),
            FieldType::Float => value.as_f64().is_some(),
            FieldType::Text => value.as_str().is_some(),
            FieldType::List => value.as_list().is_some(),
            _ => true,
        }
}
