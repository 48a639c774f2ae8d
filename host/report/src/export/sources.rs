//! What is known of each file before its records are read, and the columns that its first ones have.

use pathspider_records::condition::measurement;
use pathspider_records::{About, Begun, Remark, Source};
use serde_json::{Map, Value};

use super::schema::Learning;

/// What stands beside a file, and which measurement its records are of.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// The file's name, as people are shown it.
    pub(crate) name: String,
    pub(crate) about: About,
    /// The measurement of records that do not say it: that of the others, if it is one.
    pub(crate) measurement: Option<String>,
}

/// Looks at the first records of each source.
pub(crate) fn look(
    sources: Vec<Source>,
    abouts: impl IntoIterator<Item = About>,
    learning: &mut Learning,
) -> (Vec<Begun>, Vec<Beside>) {
    let looked = sources.into_iter().zip(abouts).map(|(source, about)| {
        let name = source.to_string();
        let mut begun = Begun::new(source);
        let mut records: Vec<(Option<String>, Map<String, Value>)> = Vec::new();
        begun.look(|record| records.push((named(&record, &about), record)));
        let mut names = records.iter().filter_map(|(name, _)| name.clone());
        let first = about.measurement.clone().or_else(|| names.next());
        let is_one = names.all(|name| Some(name) == first);
        let of_others = first.filter(|_| is_one);
        learning.about(&about);
        for (name, record) in &records {
            learning.record(name.as_deref().or(of_others.as_deref()), record);
        }
        (begun, Beside { name, about, measurement: of_others })
    });
    looked.unzip()
}

/// The measurement that a record says it is of.
fn named(record: &Map<String, Value>, about: &About) -> Option<String> {
    let own = record.get("plugin").and_then(Value::as_str).map(str::to_owned);
    own.or_else(|| about.measurement.clone()).or_else(|| {
        let conditions = record.get("conditions").and_then(Value::as_array)?;
        let mut conditions = conditions.iter().filter_map(Value::as_str);
        let own = conditions.find(|condition| Remark::of(condition).is_none())?;
        Some(measurement(own).to_owned())
    })
}
