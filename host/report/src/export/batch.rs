//! Rows of one table in one partition, column by column, as Parquet wants them.

use std::sync::Arc;

use pathspider_records::cells::Cell;
use pathspider_records::record::parse_time;

use super::declared::Table;
use super::kind::{Kind, Simple};
use super::schema::Schema;

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

    fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
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
        self.defined.resize(self.defined.len() + more, 0);
        if self.kind.is_list {
            self.repeated.resize(self.defined.len(), 0);
        }
        self.rows += more;
    }

    /// Adds a row with this value.
    ///
    /// # Errors
    ///
    /// The value, where it is of another type.
    pub(crate) fn push<'c>(&mut self, cell: Cell<'c>) -> Result<(), Cell<'c>> {
        match cell {
            Cell::List(cells) if self.kind.is_list => {
                if !cells.iter().all(|cell| fits(self.kind.of, cell)) {
                    return Err(Cell::List(cells));
                }
                let begin = self.defined.len();
                for cell in cells {
                    // All fit.
                    let is_there = self.values.push(self.kind.of, cell).unwrap_or_default();
                    self.defined.push(if is_there { 3 } else { 2 });
                }
                if self.defined.len() == begin {
                    self.defined.push(1);
                }
                self.repeated.resize(self.defined.len(), 1);
                self.repeated[begin] = 0;
            }
            cell if self.kind.is_list => return Err(cell),
            cell => {
                let is_there = self.values.push(self.kind.of, cell)?;
                self.defined.push(i16::from(is_there));
            }
        }
        self.rows += 1;
        Ok(())
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
        match &mut self.values {
            Values::Bool(values) => values.clear(),
            Values::Int(values) => values.clear(),
            Values::Float(values) => values.clear(),
            Values::Text(texts) => texts.clear(),
        }
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

/// Whether a list of this type takes a value, or null.
fn fits(of: Simple, cell: &Cell<'_>) -> bool {
    match (of, cell) {
        (_, Cell::Null) | (Simple::Json, _) => true,
        (Simple::Bool, Cell::Bool(_)) => true,
        (Simple::Int, Cell::Int(_)) => true,
        (Simple::Float, Cell::Int(_) | Cell::Float(_)) => true,
        (Simple::Text, Cell::Text(_)) => true,
        (Simple::Octets, Cell::Text(_) | Cell::Octets(_)) => true,
        (Simple::Time, Cell::Text(text)) => micros(text).is_some(),
        _ => false,
    }
}

/// A time as microseconds since the epoch.
fn micros(text: &str) -> Option<i64> {
    let since = parse_time(text)?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

impl Values {
    /// Adds a value; whether it is one, and not null.
    ///
    /// # Errors
    ///
    /// The value, where it does not fit.
    fn push<'c>(&mut self, of: Simple, cell: Cell<'c>) -> Result<bool, Cell<'c>> {
        match (self, cell) {
            (_, Cell::Null) => return Ok(false),
            (Values::Bool(values), Cell::Bool(value)) => values.push(value),
            (Values::Int(values), Cell::Int(number)) if of == Simple::Int => values.push(number),
            (Values::Int(values), Cell::Text(text)) if of == Simple::Time => match micros(&text) {
                Some(micros) => values.push(micros),
                None => return Err(Cell::Text(text)),
            },
            (Values::Float(values), Cell::Float(number)) => values.push(number),
            (Values::Float(values), Cell::Int(number)) => values.push(number as f64),
            (Values::Text(texts), cell) => match (of, cell) {
                (Simple::Text | Simple::Octets, Cell::Text(text)) => texts.push(text.as_bytes()),
                (Simple::Octets, Cell::Octets(octets)) => texts.push(&octets),
                (Simple::Json, cell) => {
                    cell.write(&mut texts.octets);
                    texts.ends.push(texts.octets.len());
                }
                (_, cell) => return Err(cell),
            },
            (_, cell) => return Err(cell),
        }
        Ok(true)
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

    /// Sets a value of the row that is being made.
    ///
    /// # Errors
    ///
    /// The value, where the column is of another type, or has one already.
    pub(crate) fn set<'c>(&mut self, column: usize, cell: Cell<'c>) -> Result<(), Cell<'c>> {
        match self.columns.get_mut(column) {
            Some(vector) if vector.rows <= self.rows => {
                vector.pad(self.rows);
                vector.push(cell)
            }
            _ => Err(cell),
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
    use super::super::kind::{list, one};
    use super::*;

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(text.into())
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut vector = Vector::new(list(Simple::Int));
        vector.push(Cell::List(vec![Cell::Int(1), Cell::Null, Cell::Int(3)])).unwrap();
        vector.pad(2);
        vector.push(Cell::List(Vec::new())).unwrap();
        let odd = Cell::List(vec![Cell::Int(1), text("x")]);
        assert_eq!(vector.push(odd.clone()), Err(odd), "and nothing of it is kept");
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
        vector.push(Cell::List(vec![Cell::Int(7)])).unwrap();
        assert_eq!(vector.rows().next_row(), Some(vec![Some(Shown::Int(7))]));
    }

    #[test]
    fn values_that_do_not_fit_are_given_back() {
        let mut time = Vector::new(one(Simple::Time));
        time.push(text("2026-11-22T02:00:17.5Z")).unwrap();
        assert_eq!(time.push(text("yesterday")), Err(text("yesterday")));
        assert_eq!(time.rows().next_row(), Some(vec![Some(Shown::Time(1_795_312_817_500_000))]));
        let mut octets = Vector::new(one(Simple::Octets));
        octets.push(text("x")).unwrap();
        octets.push(Cell::Octets(vec![255])).unwrap();
        assert!(octets.push(Cell::Int(1)).is_err());
        let mut rows = octets.rows();
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Octets(b"x"))]));
        assert_eq!(rows.next_row(), Some(vec![Some(Shown::Octets(&[255]))]));
        let mut json = Vector::new(one(Simple::Json));
        json.push(text("x")).unwrap();
        assert_eq!(json.rows().next_row(), Some(vec![Some(Shown::Text("\"x\""))]));
    }
}
