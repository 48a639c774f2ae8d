//! Columns of a row group, encoded in memory: so several threads encode one row group, and the file gets
//! the columns in their order.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, unbounded};
use parquet::basic::Compression;
use parquet::column::writer::{
    ColumnCloseResult, ColumnWriter, ColumnWriterImpl, get_column_writer,
};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::batch::{Texts, Values, Vector};

/// Texts that are made into values at a time: as many as the processor keeps near.
const STEP: usize = 2048;

/// Values that tell whether most of a column's differ.
const SAMPLE: usize = 1024;

/// How columns are encoded.
struct Properties {
    /// Each value is kept once, and rows have its number.
    repeated: WriterPropertiesPtr,
    /// Each row has its value.
    varied: WriterPropertiesPtr,
}

impl Properties {
    fn new() -> Properties {
        let builder = || {
            WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .set_created_by(concat!("pathspider ", env!("CARGO_PKG_VERSION")).to_owned())
        };
        Properties {
            repeated: Arc::new(builder().build()),
            varied: Arc::new(builder().set_dictionary_enabled(false).build()),
        }
    }

    /// Those of a file.
    fn of_file(&self) -> WriterPropertiesPtr {
        Arc::clone(&self.repeated)
    }

    fn of_column(&self, values: &Values) -> WriterPropertiesPtr {
        Arc::clone(if is_varied(values) { &self.varied } else { &self.repeated })
    }
}

/// A column that is encoded.
pub(super) struct Chunk {
    pub(super) octets: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// A column that is to be encoded.
struct Job {
    place: usize,
    vector: Vector,
    column: ColumnDescPtr,
    properties: Arc<Properties>,
    /// Who waits for it. Where this goes without an answer, the thread that had it is gone.
    done: Sender<Done>,
}

/// A column's place, its memory for the next row group, and what it came to.
type Done = (usize, Vector, Result<Chunk>);

impl Job {
    fn run(self) {
        let Job { place, mut vector, column, properties, done } = self;
        let chunk = one(&mut vector, &column, &properties);
        // Who waited may have given up.
        let _ = done.send((place, vector, chunk));
    }
}

/// The threads that encode. They live as long as the export, so that their memory is used again.
pub(super) struct Encoders {
    properties: Arc<Properties>,
    jobs: Option<Sender<Job>>,
    waiting: Receiver<Job>,
    others: Vec<JoinHandle<()>>,
}

impl Encoders {
    /// As many threads as these: the caller's, and others where the system lets us have them.
    pub(super) fn new(threads: usize) -> Encoders {
        let (jobs, waiting) = unbounded::<Job>();
        let others = (1..threads).filter_map(|_| {
            let waiting = waiting.clone();
            thread::Builder::new().spawn(move || waiting.into_iter().for_each(Job::run)).ok()
        });
        let others = others.collect();
        Encoders { properties: Arc::new(Properties::new()), jobs: Some(jobs), waiting, others }
    }

    /// How a file's columns are encoded.
    pub(super) fn of_file(&self) -> WriterPropertiesPtr {
        self.properties.of_file()
    }

    /// Encodes all columns of a row group, and empties them.
    pub(super) fn encode(
        &self,
        vectors: &mut Vec<Vector>,
        columns: &[ColumnDescPtr],
    ) -> Result<Vec<Chunk>> {
        let (done, ready) = unbounded();
        for (place, (vector, column)) in vectors.drain(..).zip(columns).enumerate() {
            let (column, properties) = (Arc::clone(column), Arc::clone(&self.properties));
            let job = Job { place, vector, column, properties, done: done.clone() };
            match &self.jobs {
                Some(jobs) => jobs.send(job).unwrap_or_else(|unsent| unsent.0.run()),
                None => job.run(),
            }
        }
        drop(done);
        self.waiting.try_iter().for_each(Job::run);
        let mut all: Vec<Done> = ready.into_iter().collect();
        all.sort_unstable_by_key(|(place, ..)| *place);
        let mut chunks = Vec::with_capacity(all.len());
        for (_, vector, chunk) in all {
            vectors.push(vector);
            chunks.push(chunk?);
        }
        if chunks.len() != columns.len() {
            let message = "a thread that encodes columns is gone";
            return Err(ParquetError::General(message.to_owned()));
        }
        Ok(chunks)
    }
}

impl Drop for Encoders {
    fn drop(&mut self) {
        self.jobs = None;
        for other in self.others.drain(..) {
            // One that panicked was missed when it was waited for.
            let _ = other.join();
        }
    }
}

fn one(vector: &mut Vector, column: &ColumnDescPtr, properties: &Properties) -> Result<Chunk> {
    let is_list = vector.kind().is_list;
    let (defined, repeated, values) = vector.parts();
    let repeated = is_list.then_some(repeated);
    let properties = properties.of_column(values);
    let mut sink = TrackedWrite::new(Vec::new());
    let pages = Box::new(SerializedPageWriter::new(&mut sink));
    let mut writer = get_column_writer(Arc::clone(column), properties, pages);
    let close = match (&mut writer, values) {
        (ColumnWriter::BoolColumnWriter(to), Values::Bool(values)) => {
            to.write_batch(values, Some(defined), repeated)?;
            writer.close()?
        }
        (ColumnWriter::Int64ColumnWriter(to), Values::Int(values)) => {
            to.write_batch(values, Some(defined), repeated)?;
            writer.close()?
        }
        (ColumnWriter::DoubleColumnWriter(to), Values::Float(values)) => {
            to.write_batch(values, Some(defined), repeated)?;
            writer.close()?
        }
        (ColumnWriter::ByteArrayColumnWriter(to), Values::Text(texts)) => {
            let octets = Bytes::from(texts.take());
            write_texts(to, &octets, texts, defined, repeated)?;
            let close = writer.close()?;
            // Nothing holds them any more, so the next values get their memory.
            texts.keep(octets.try_into_mut().map(Vec::from).unwrap_or_default());
            close
        }
        _ => return Err(ParquetError::General("a column has values of another type".to_owned())),
    };
    vector.clear();
    Ok(Chunk { octets: sink.into_inner()?.into(), close })
}

/// Writes texts, some at a time: a value is as large as many a text.
fn write_texts(
    writer: &mut ColumnWriterImpl<'_, ByteArrayType>,
    octets: &Bytes,
    texts: &Texts,
    defined: &[i16],
    repeated: Option<&[i16]>,
) -> Result<()> {
    let is_value = if repeated.is_some() { 3 } else { 1 };
    let (mut values, mut level, mut begin) = (Vec::with_capacity(STEP), 0, 0);
    let mut ends = texts.ends().iter();
    while level < defined.len() {
        let mut next = (level + STEP).min(defined.len());
        // A row is written as a whole.
        if let Some(repeated) = repeated {
            while repeated.get(next).is_some_and(|repeated| *repeated != 0) {
                next += 1;
            }
        }
        let defined = &defined[level..next];
        let count = defined.iter().filter(|defined| **defined == is_value).count();
        values.clear();
        values.extend(ends.by_ref().take(count).map(|&end| {
            let value = ByteArray::from(octets.slice(begin..end));
            begin = end;
            value
        }));
        let repeated = repeated.map(|repeated| &repeated[level..next]);
        writer.write_batch(&values, Some(defined), repeated)?;
        level = next;
    }
    Ok(())
}

/// Whether most values of a column differ, as its first ones say.
fn is_varied(values: &Values) -> bool {
    match values {
        Values::Bool(_) => false,
        Values::Int(values) => differ(values.iter()),
        Values::Float(values) => differ(values.iter().map(|value| value.to_bits())),
        Values::Text(texts) => differ(texts.iter()),
    }
}

fn differ<T: Hash + Eq>(values: impl Iterator<Item = T>) -> bool {
    let (mut count, mut different) = (0, HashSet::new());
    for value in values.take(SAMPLE) {
        count += 1;
        different.insert(value);
    }
    // The few values of a small table cost nothing either way.
    count == SAMPLE && different.len() > SAMPLE / 2
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::{Simple, list, one};
    use super::*;
    use crate::json::{Json, What};
    use crate::parse::Row;

    #[test]
    fn columns_are_varied_where_most_of_their_first_values_differ() {
        let of = |count: i64, different: i64| {
            let mut vector = Vector::new(one(Simple::Int));
            for number in 0..count {
                assert!(vector.push(What::Int(number % different)));
            }
            is_varied(vector.parts().2)
        };
        assert!(of(5000, 5000) && of(1024, 600));
        assert!(!of(5000, 3) && !of(1024, 500) && !of(1000, 1000));
        let mut texts = Vector::new(list(Simple::Text));
        for number in 0..SAMPLE {
            let text = number.to_string();
            let value = json!([text, null, text]);
            assert!(texts.push(Json::new(&Row::of_value(&value).nodes()).what()));
        }
        assert!(!is_varied(texts.parts().2), "each stands there twice");
    }
}
