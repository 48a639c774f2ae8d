//! Rows of one table in one partition, column by column, as Parquet wants them.

use std::sync::Arc;

use pathspider_records::record::parse_time;

use super::declared::Table;
use super::kind::{Kind, Simple};
use super::schema::Schema;
use crate::json::{What, octets};

/// What stands for no name where a folder is named. There is a word for null that readers know, but pyarrow
/// reads nothing where all folders have it.
pub(crate) const NONE: &str = "none";

/// What the folder of rows is named by: all of them have it in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Partition {
    pub(crate) measurement: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) vantage: Option<String>,
    /// As in `2026-11-22`, of UTC.
    pub(crate) date: Option<String>,
}

/// The values of a partition, in the order of [`PARTITION`](super::declared::PARTITION).
pub(crate) type Names<'n> = [Option<&'n str>; 4];

impl Partition {
    /// With these values. Names that name nothing are none.
    pub(crate) fn new(names: Names<'_>) -> Partition {
        let [measurement, campaign, vantage, date] =
            Partition::named(names).map(|name| name.map(str::to_owned));
        Partition { measurement, campaign, vantage, date }
    }

    /// The values that name something.
    fn named(names: Names<'_>) -> Names<'_> {
        names.map(|name| name.filter(|name| !name.is_empty() && *name != NONE))
    }

    /// Whether it has these values.
    pub(crate) fn has(&self, names: Names<'_>) -> bool {
        self.values() == Partition::named(names)
    }

    /// Its values.
    pub(crate) fn values(&self) -> Names<'_> {
        [&self.measurement, &self.campaign, &self.vantage, &self.date].map(Option::as_deref)
    }
}

/// Texts or octets, one after the other.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Texts {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        self.ends.push(self.octets.len());
    }

    fn append(&mut self, other: &Texts) {
        let begin = self.octets.len();
        self.octets.extend_from_slice(&other.octets);
        self.ends.extend(other.ends.iter().map(|end| begin + end));
    }

    fn get(&self, number: usize) -> &[u8] {
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.octets[begin..self.ends[number]]
    }

    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.octets.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Takes all octets.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }

    /// Has this memory for the next values.
    pub(crate) fn keep(&mut self, memory: Vec<u8>) {
        self.octets = memory;
        self.octets.clear();
    }

    /// Where each value ends.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|number| self.get(number))
    }
}

/// The values of a column, without those that are null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Bool(Vec<bool>),
    /// Times are microseconds since the epoch.
    Int(Vec<i64>),
    Float(Vec<f64>),
    /// Texts, octets, JSON.
    Text(Texts),
}

/// A column. Its levels are those of Parquet: of one that is no list, 1 where there is a value; of a
/// list 0 where there is none, 1 where it is empty, 2 for a null in it and 3 for a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector {
    kind: Kind,
    rows: usize,
    defined: Vec<i16>,
    /// Of a list: 0 where a row begins.
    repeated: Vec<i16>,
    values: Values,
}

/// A value of a column, as whoever writes a text shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shown<'v> {
    Bool(bool),
    Int(i64),
    /// Microseconds since the epoch.
    Time(i64),
    Float(f64),
    Text(&'v str),
    Octets(&'v [u8]),
}

impl Vector {
    pub(crate) fn new(kind: Kind) -> Vector {
        let values = match kind.of {
            Simple::Bool => Values::Bool(Vec::new()),
            Simple::Int | Simple::Time => Values::Int(Vec::new()),
            Simple::Float => Values::Float(Vec::new()),
            Simple::Text | Simple::Octets | Simple::Json => Values::Text(Texts::default()),
        };
        Vector { kind, rows: 0, defined: Vec::new(), repeated: Vec::new(), values }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds nulls until it has this many rows.
    pub(crate) fn pad(&mut self, rows: usize) {
        let more = rows.saturating_sub(self.rows);
        if more == 0 {
            return;
        }
        self.defined.resize(self.defined.len() + more, 0);
        if self.kind.is_list {
            self.repeated.resize(self.defined.len(), 0);
        }
        self.rows += more;
    }

    /// Adds a row with this value; `false`, and none, where it is of another type.
    pub(crate) fn push(&mut self, what: What<'_>) -> bool {
        match what {
            What::List(items) if self.kind.is_list => {
                let (levels, values) = (self.defined.len(), self.values.len());
                for item in items {
                    let Some(is_there) = self.values.push(self.kind.of, item.what()) else {
                        self.defined.truncate(levels);
                        self.values.truncate(values);
                        return false;
                    };
                    self.defined.push(if is_there { 3 } else { 2 });
                }
                if self.defined.len() == levels {
                    self.defined.push(1);
                }
                self.repeated.resize(self.defined.len(), 1);
                self.repeated[levels] = 0;
            }
            _ if self.kind.is_list => return false,
            what => {
                let Some(is_there) = self.values.push(self.kind.of, what) else { return false };
                self.defined.push(i16::from(is_there));
            }
        }
        self.rows += 1;
        true
    }

    /// Adds the rows of another one of the same type.
    pub(crate) fn append(&mut self, other: &Vector) {
        self.defined.extend_from_slice(&other.defined);
        self.repeated.extend_from_slice(&other.repeated);
        match (&mut self.values, &other.values) {
            (Values::Bool(mine), Values::Bool(theirs)) => mine.extend_from_slice(theirs),
            (Values::Int(mine), Values::Int(theirs)) => mine.extend_from_slice(theirs),
            (Values::Float(mine), Values::Float(theirs)) => mine.extend_from_slice(theirs),
            (Values::Text(mine), Values::Text(theirs)) => mine.append(theirs),
            // Both are of one schema.
            _ => {}
        }
        self.rows += other.rows;
    }

    /// Memory that its values take.
    pub(crate) fn octets(&self) -> usize {
        let values = match &self.values {
            Values::Bool(values) => values.len(),
            Values::Int(values) => values.len() * 8,
            Values::Float(values) => values.len() * 8,
            Values::Text(texts) => texts.octets.len() + texts.ends.len() * 8,
        };
        values + (self.defined.len() + self.repeated.len()) * 2
    }

    /// Its levels of definition and repetition, and its values.
    pub(crate) fn parts(&mut self) -> (&[i16], &[i16], &mut Values) {
        (&self.defined, &self.repeated, &mut self.values)
    }

    /// Forgets its rows, and keeps their memory for others.
    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        self.defined.clear();
        self.repeated.clear();
        self.values.truncate(0);
    }

    /// Its values, where they are whole numbers.
    pub(crate) fn numbers(&self) -> &[i64] {
        match &self.values {
            Values::Int(values) => values,
            _ => &[],
        }
    }

    /// Its rows: `None` for null, else whether it is a list, and its values. One of these may be null.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { vector: self, level: 0, value: 0 }
    }

    fn shown(&self, number: usize) -> Shown<'_> {
        match &self.values {
            Values::Bool(values) => Shown::Bool(values[number]),
            Values::Int(values) if self.kind.of == Simple::Time => Shown::Time(values[number]),
            Values::Int(values) => Shown::Int(values[number]),
            Values::Float(values) => Shown::Float(values[number]),
            Values::Text(texts) => match self.kind.of {
                Simple::Octets => Shown::Octets(texts.get(number)),
                // They came as texts.
                _ => Shown::Text(std::str::from_utf8(texts.get(number)).unwrap_or_default()),
            },
        }
    }
}

/// The rows of a column.
pub(crate) struct Rows<'v> {
    vector: &'v Vector,
    level: usize,
    value: usize,
}

impl<'v> Rows<'v> {
    fn take(&mut self, is_there: bool) -> Option<Shown<'v>> {
        is_there.then(|| {
            self.value += 1;
            self.vector.shown(self.value - 1)
        })
    }

    /// Whether a row is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.vector.kind.is_list
    }

    /// The next row's values: `None` where it is null.
    pub(crate) fn next_row(&mut self) -> Option<Vec<Option<Shown<'v>>>> {
        let defined = self.vector.defined.get(self.level).copied().unwrap_or_default();
        self.level += 1;
        if !self.vector.kind.is_list {
            return self.take(defined == 1).map(|value| vec![Some(value)]);
        }
        if defined < 2 {
            return (defined == 1).then(Vec::new);
        }
        let mut list = vec![self.take(defined == 3)];
        while self.vector.repeated.get(self.level) == Some(&1) {
            let defined = self.vector.defined.get(self.level).copied().unwrap_or_default();
            self.level += 1;
            list.push(self.take(defined == 3));
        }
        Some(list)
    }
}

/// A time as microseconds since the epoch.
fn micros(text: &str) -> Option<i64> {
    let since = parse_time(text)?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Bool(values) => values.len(),
            Values::Int(values) => values.len(),
            Values::Float(values) => values.len(),
            Values::Text(texts) => texts.ends.len(),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Values::Bool(values) => values.truncate(len),
            Values::Int(values) => values.truncate(len),
            Values::Float(values) => values.truncate(len),
            Values::Text(texts) => texts.truncate(len),
        }
    }

    /// Adds a value; whether it is one, and not null. `None` where it does not fit.
    fn push(&mut self, of: Simple, what: What<'_>) -> Option<bool> {
        match (self, what) {
            (_, What::Null) => return Some(false),
            (Values::Text(texts), What::Text(text))
                if matches!(of, Simple::Text | Simple::Octets) =>
            {
                texts.push(text.as_bytes());
            }
            (Values::Int(values), What::Int(number)) if of == Simple::Int => values.push(number),
            (Values::Int(values), What::Text(text)) if of == Simple::Time => {
                values.push(micros(text)?);
            }
            (Values::Bool(values), What::Bool(value)) => values.push(value),
            (Values::Float(values), What::Float(number)) => values.push(number),
            (Values::Float(values), What::Int(number)) => values.push(number as f64),
            (Values::Text(texts), what) if of == Simple::Json => {
                // Nothing fails that is written into memory.
                let _ = serde_json::to_writer(&mut texts.octets, &what.into_value());
                texts.ends.push(texts.octets.len());
            }
            (Values::Text(texts), What::Object(fields)) if of == Simple::Octets => {
                texts.push(&octets(&fields.into_map())?);
            }
            _ => return None,
        }
        Some(true)
    }
}

/// Rows of a table.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) table: Table,
    pub(crate) partition: Arc<Partition>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Vector>,
}

impl Batch {
    pub(crate) fn new(table: Table, partition: Arc<Partition>, schema: Arc<Schema>) -> Batch {
        let columns = schema.columns.iter().map(|column| Vector::new(column.kind)).collect();
        Batch { table, partition, schema, rows: 0, columns }
    }

    /// Sets a value of the row that is being made; `false` where the column is of another type, or has a
    /// value already.
    pub(crate) fn set(&mut self, column: usize, what: What<'_>) -> bool {
        match self.columns.get_mut(column) {
            Some(vector) if vector.rows <= self.rows => {
                vector.pad(self.rows);
                vector.push(what)
            }
            _ => false,
        }
    }

    /// Ends the row that was made.
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Ends the batch: all columns have as many rows.
    pub(crate) fn end(&mut self) {
        self.columns.iter_mut().for_each(|column| column.pad(self.rows));
    }

    /// Forgets its rows, and keeps their memory for others.
    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        self.columns.iter_mut().for_each(Vector::clear);
    }

    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Vector> {
        let place = self.schema.columns.iter().position(|column| column.name == name)?;
        self.columns.get(place)
    }

    pub(crate) fn octets(&self) -> usize {
        self.columns.iter().map(Vector::octets).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::kind::{list, one};
    use super::*;
    use crate::json::Json;
    use crate::parse::Row;

    /// Adds a row with this value.
    fn push(vector: &mut Vector, value: &Value) -> bool {
        vector.push(Json::new(&Row::of_value(value).nodes()).what())
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut vector = Vector::new(list(Simple::Int));
        assert!(push(&mut vector, &json!([1, null, 3])));
        vector.pad(2);
        assert!(push(&mut vector, &json!([])));
        assert!(!push(&mut vector, &json!([1, "x"])), "and nothing of it is kept");
        let mut twice = vector.clone();
        twice.append(&vector);
        let mut rows = twice.rows();
        for _ in 0..2 {
            let first = vec![Some(Shown::Int(1)), None, Some(Shown::Int(3))];
            assert_eq!(rows.next_row(), Some(first));
            assert_eq!(rows.next_row(), None);
            assert_eq!(rows.next_row(), Some(Vec::new()));
        }
        let (defined, repeated, _) = vector.parts();
        assert_eq!((defined, repeated), (&[3, 2, 3, 0, 1][..], &[0, 1, 1, 0, 0][..]));
        vector.clear();
        assert!(push(&mut vector, &json!([7])));
        assert_eq!(vector.rows().next_row(), Some(vec![Some(Shown::Int(7))]));
        let mut texts = Vector::new(list(Simple::Text));
        assert!(push(&mut texts, &json!(["a"])) && !push(&mut texts, &json!(["b", 1])));
        assert!(push(&mut texts, &json!(["c"])));
        let mut rows = texts.rows();
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Text("a"))]));
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Text("c"))]));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let mut time = Vector::new(one(Simple::Time));
        assert!(push(&mut time, &json!("2026-11-22T02:00:17.5Z")));
        assert!(!push(&mut time, &json!("yesterday")));
        assert_eq!(time.rows().next_row(), Some(vec![Some(Shown::Time(1_795_312_817_500_000))]));
        let mut octets = Vector::new(one(Simple::Octets));
        assert!(push(&mut octets, &json!("x")) && push(&mut octets, &json!({"base64": "/w=="})));
        for odd in [json!(1), json!({"base64": "?"}), json!({"base64": "/w==", "x": 1})] {
            assert!(!push(&mut octets, &odd), "{odd}");
        }
        let mut rows = octets.rows();
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Octets(b"x"))]));
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Octets(&[255]))]));
        let value =
            json!({"z": [1, -2, 0.5, true, "x", {"base64": "Z3L832U="}, [1], u64::MAX], "a": {}});
        let mut json = Vector::new(one(Simple::Json));
        assert!(push(&mut json, &json!("x")) && push(&mut json, &value));
        let mut rows = json.rows();
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Text("\"x\""))]));
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Text(&value.to_string()))]));
    }
}
