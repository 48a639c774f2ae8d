//! Tables as Parquet: a folder for each table and partition, in memory that does not grow with the records.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::batch::{Batch, NONE, Partition, Vector};
use super::chunk::Encoders;
use super::declared::{PARTITION, Table};
use super::kind::{Kind, Simple};
use super::schema::Schema;

/// Rows of a row group at most, beyond those of one batch: what readers take for a piece of work.
const ROWS: usize = 122_880;

/// Octets of a row group at most, beyond those of one batch.
const OCTETS: usize = 24 << 20;

/// Octets that wait for their row groups at most, all together.
const WAITING: usize = 64 << 20;

/// Files that are open at the same time.
const MOST_OPEN: usize = 128;

/// The most octets of a value in a folder's name, in which each may take three; names end at 255.
const LONGEST: usize = 72;

/// A folder of tables.
pub(super) struct Dataset {
    folder: PathBuf,
    encoders: Encoders,
    parts: HashMap<(Table, Arc<Partition>), Part>,
    /// How many files each partition has that are closed.
    closed: HashMap<(Table, Arc<Partition>), u32>,
    waiting: usize,
    /// Counts batches, to know which part was used last.
    now: u64,
}

/// The file of a partition that rows are added to.
struct Part {
    schema: Arc<Schema>,
    path: PathBuf,
    columns: Vec<Vector>,
    rows: usize,
    octets: usize,
    writer: Option<SerializedFileWriter<File>>,
    used: u64,
}

impl Dataset {
    pub(super) fn new(folder: PathBuf, threads: usize) -> Dataset {
        Dataset {
            folder,
            encoders: Encoders::new(threads),
            parts: HashMap::new(),
            closed: HashMap::new(),
            waiting: 0,
            now: 0,
        }
    }

    /// Adds rows.
    pub(super) fn add(&mut self, batch: &Batch) -> io::Result<()> {
        let key = (batch.table, Arc::clone(&batch.partition));
        self.now += 1;
        if !self.parts.contains_key(&key) {
            if self.parts.len() >= MOST_OPEN {
                self.close_oldest()?;
            }
            let number = self.closed.get(&key).copied().unwrap_or(0);
            let part = Part::new(&self.folder, batch, number);
            self.parts.insert(key.clone(), part);
        }
        let Some(part) = self.parts.get_mut(&key) else { return Ok(()) };
        part.used = self.now;
        let octets = batch.octets();
        part.columns.iter_mut().zip(&batch.columns).for_each(|(mine, new)| mine.append(new));
        part.rows += batch.rows;
        part.octets += octets;
        self.waiting += octets;
        if part.rows >= ROWS || part.octets >= OCTETS {
            self.waiting -= part.write(&self.encoders)?;
        }
        while self.waiting > WAITING {
            let largest = self.parts.values_mut().max_by_key(|part| part.octets);
            let Some(largest) = largest else { break };
            self.waiting -= largest.write(&self.encoders)?;
        }
        Ok(())
    }

    fn close_oldest(&mut self) -> io::Result<()> {
        let oldest = self.parts.iter().min_by_key(|(_, part)| part.used);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else { return Ok(()) };
        let Some(mut part) = self.parts.remove(&key) else { return Ok(()) };
        self.waiting -= part.write(&self.encoders)?;
        *self.closed.entry(key).or_default() += 1;
        part.close()
    }

    /// Writes what is left, and the files' ends.
    pub(super) fn finish(mut self) -> io::Result<()> {
        for (_, mut part) in self.parts.drain() {
            part.write(&self.encoders)?;
            part.close()?;
        }
        Ok(())
    }
}

impl Part {
    fn new(folder: &Path, batch: &Batch, number: u32) -> Part {
        let mut path = folder.join(batch.table.name());
        for (name, value) in PARTITION.iter().zip(batch.partition.values()) {
            path.push(format!("{name}={}", folder_name(value)));
        }
        path.push(format!("part-{number}.parquet"));
        let columns = batch.schema.columns.iter().map(|column| Vector::new(column.kind)).collect();
        let schema = Arc::clone(&batch.schema);
        Part { schema, path, columns, rows: 0, octets: 0, writer: None, used: 0 }
    }

    /// Writes what waits as a row group; returns how many octets that were.
    fn write(&mut self, encoders: &Encoders) -> io::Result<usize> {
        if self.rows == 0 {
            return Ok(0);
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder)?;
                }
                let file = File::create_new(&self.path)?;
                let schema = message(&self.schema).map_err(failed)?;
                let writer = SerializedFileWriter::new(file, schema, encoders.of_file());
                none.insert(writer.map_err(failed)?)
            }
        };
        let columns = writer.schema_descr().columns();
        let chunks = encoders.encode(&mut self.columns, columns).map_err(failed)?;
        let mut group = writer.next_row_group().map_err(failed)?;
        for chunk in chunks {
            group.append_column(&chunk.octets, chunk.close).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.rows = 0;
        Ok(std::mem::take(&mut self.octets))
    }

    fn close(self) -> io::Result<()> {
        let Some(writer) = self.writer else { return Ok(()) };
        let file = writer.into_inner().map_err(failed)?;
        file.sync_all()
    }
}

/// What the disk said, or the format.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

/// A value as a part of a folder's name. Readers decode what is encoded; of a long one there is its begin,
/// and what tells it from others that begin alike.
pub(super) fn folder_name(value: Option<&str>) -> String {
    let Some(value) = value else { return NONE.to_owned() };
    let mut ends = (0..=value.len().min(LONGEST)).rev();
    let end = ends.find(|&end| value.is_char_boundary(end)).unwrap_or(0);
    let (begin, rest) = value.split_at(end);
    let mut name = String::with_capacity(value.len());
    for octet in begin.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(octet.into()),
            _ => name += &format!("%{octet:02X}"),
        }
    }
    if !rest.is_empty() {
        // The same in each process.
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        name += &format!("-{:016x}", hasher.finish());
    }
    name
}

/// The columns in Parquet's terms.
fn message(schema: &Schema) -> parquet::errors::Result<TypePtr> {
    let fields = schema.columns.iter().map(|column| field(&column.name, column.kind));
    let fields = fields.collect::<parquet::errors::Result<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
}

fn field(name: &str, kind: Kind) -> parquet::errors::Result<TypePtr> {
    if !kind.is_list {
        return value(name, kind.of);
    }
    let element = value("element", kind.of)?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    let field = Type::group_type_builder(name)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()?;
    Ok(Arc::new(field))
}

fn value(name: &str, of: Simple) -> parquet::errors::Result<TypePtr> {
    let (physical, logical) = match of {
        Simple::Bool => (Physical::BOOLEAN, None),
        Simple::Int => (Physical::INT64, None),
        Simple::Float => (Physical::DOUBLE, None),
        Simple::Octets => (Physical::BYTE_ARRAY, None),
        // Not all readers know that a text is JSON, and it is one without their knowing.
        Simple::Text | Simple::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Simple::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
    };
    let value = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()?;
    Ok(Arc::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_name_folders_and_lead_nowhere() {
        assert_eq!(folder_name(Some("ecn")), "ecn");
        assert_eq!(folder_name(Some("../x=y z")), "..%2Fx%3Dy%20z");
        assert_eq!(folder_name(None), NONE);
        let long = "é".repeat(500);
        let name = folder_name(Some(&long));
        assert!(name.len() < 240 && name != folder_name(Some(&(long + "x"))));
        for value in ["a\0b", "\u{202e}"] {
            assert!(folder_name(Some(value)).bytes().all(|octet| octet.is_ascii_graphic()));
        }
    }
}
