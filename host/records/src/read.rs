//! Reads files of records with several threads, in memory that does not grow with them. What is no
//! record is counted by what it is, and the rest is read.

use std::collections::BTreeMap;
use std::io;
use std::thread;

use crossbeam::channel::bounded;
use serde::Serialize;

use crate::blocks::{Block, Blocks, LONGEST_LINE};
use crate::find::Source;
use crate::names::SCHEMA_VERSION;

/// What a line or a file is that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The file cannot be opened.
    Closed,
    /// The file cannot be read to its end.
    CutShort,
    /// The metadata beside the file cannot be read; what is in the file counts.
    Metadata,
    /// The last line of a file has no end and is no JSON: a run was killed while it wrote.
    Torn,
    /// No JSON, or not of the right shape.
    NoRecord,
    /// An object without conditions: a target, or of another program.
    NoConditions,
    /// A record of a newer version of the format, which may mean other things by its keys.
    Newer,
    /// A line of more than 64 MiB.
    TooLong,
}

impl Fault {
    /// In words, for this many.
    pub fn words(self, count: u64) -> &'static str {
        let of = |one, more| if count == 1 { one } else { more };
        match self {
            Fault::Closed => of("file cannot be opened", "files cannot be opened"),
            Fault::CutShort => {
                of("file cannot be read to its end", "files cannot be read to their end")
            }
            Fault::Metadata => {
                of("file of metadata cannot be read", "files of metadata cannot be read")
            }
            Fault::Torn => of("last line is torn", "last lines are torn"),
            Fault::NoRecord => of("line is no record", "lines are no records"),
            Fault::NoConditions => {
                of("line is an object without conditions", "lines are objects without conditions")
            }
            Fault::Newer => of("record is of a newer format", "records are of a newer format"),
            Fault::TooLong => of("line is too long", "lines are too long"),
        }
    }
}

/// What was not read of one source, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bad {
    faults: BTreeMap<(usize, Fault), Example>,
}

/// How often, and the first of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// How often.
    pub count: u64,
    /// The first one's line; 0 for a file.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Bad {
    /// Counts one.
    pub fn add(&mut self, source: usize, fault: Fault, line: u64, reason: impl ToString) {
        self.merge_one(
            (source, fault),
            || Example { count: 1, line, reason: reason.to_string() },
            line,
            1,
        );
    }

    fn merge_one(
        &mut self,
        key: (usize, Fault),
        example: impl FnOnce() -> Example,
        line: u64,
        count: u64,
    ) {
        match self.faults.get_mut(&key) {
            None => {
                self.faults.insert(key, example());
            }
            Some(there) => {
                let count = there.count + count;
                if line < there.line {
                    *there = example();
                }
                there.count = count;
            }
        }
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: Bad) {
        for (key, example) in other.faults {
            let (line, count) = (example.line, example.count);
            self.merge_one(key, || example, line, count);
        }
    }

    /// All of it, by source and fault.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Fault, &Example)> {
        self.faults.iter().map(|(&(source, fault), example)| (source, fault, example))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Reads all sources with this many threads, each with what `make` gives: `take` gets each line, and the
/// number of its source. Returns what the threads have, and what was not read.
pub fn read<S: Send>(
    sources: &[Source],
    threads: usize,
    make: impl Fn() -> S,
    take: impl Fn(&mut S, usize, &[u8]) -> Result<(), Wrong> + Sync,
) -> (Vec<S>, Bad) {
    let begun = sources.iter().cloned().map(Begun::new).collect();
    pieces(begun, threads, make, |state, piece, bad| {
        piece.lines(bad, |_, line| take(state, piece.source, line));
        true
    })
}

/// A source whose first lines may have been looked at.
pub struct Begun {
    source: Source,
    /// Where it is read on, if it cannot be opened once more.
    blocks: Option<Blocks<Box<dyn io::Read + Send>>>,
}

impl Begun {
    /// A source that is not open yet.
    pub fn new(source: Source) -> Begun {
        Begun { source, blocks: None }
    }

    /// Looks at its first lines, without those that are no JSON object. Whatever fails is found again
    /// where it is read.
    pub fn look(&mut self, mut each: impl FnMut(serde_json::Map<String, serde_json::Value>)) {
        let Ok(mut blocks) = self.blocks() else { return };
        let lines = blocks.look().into_iter().flat_map(Block::lines);
        lines.filter_map(|(_, line, _)| serde_json::from_slice(line).ok()).for_each(&mut each);
        if !self.source.is_lasting() {
            self.blocks = Some(blocks);
        }
    }

    fn blocks(&mut self) -> io::Result<Blocks<Box<dyn io::Read + Send>>> {
        self.blocks.take().map_or_else(|| self.source.open().map(Blocks::new), Ok)
    }
}

/// Some whole lines of a source.
#[derive(Debug)]
pub struct Piece {
    /// The number of the source.
    pub source: usize,
    /// Its place among all pieces of all sources.
    pub place: u64,
    block: Block,
}

/// Why a line is no record that can be read here.
#[derive(Debug)]
pub enum Wrong {
    /// No JSON, or not of the right shape.
    NoRecord(serde_json::Error),
    /// An object without conditions.
    NoConditions,
    /// Of this version of the format.
    Newer(u64),
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Wrong {
        Wrong::NoRecord(error)
    }
}

/// Whether an object with or without conditions, of this version of the format, is a record.
///
/// # Errors
///
/// Why it is none.
pub fn is_record(has_conditions: bool, schema: Option<u64>) -> Result<(), Wrong> {
    match schema {
        _ if !has_conditions => Err(Wrong::NoConditions),
        Some(version) if version > SCHEMA_VERSION => Err(Wrong::Newer(version)),
        _ => Ok(()),
    }
}

impl Piece {
    /// Gives `take` each line with its number, and counts what it does not take.
    pub fn lines<'p>(
        &'p self,
        bad: &mut Bad,
        mut take: impl FnMut(u64, &'p [u8]) -> Result<(), Wrong>,
    ) {
        for (number, line, has_end) in self.block.lines() {
            if line.len() > LONGEST_LINE {
                bad.add(self.source, Fault::TooLong, number, "it has more than 64 MiB");
                continue;
            }
            let Err(wrong) = take(number, line) else { continue };
            let (fault, reason) = match wrong {
                Wrong::NoRecord(_) if !has_end => (Fault::Torn, "it has no end".to_owned()),
                Wrong::NoRecord(error) => (Fault::NoRecord, error.to_string()),
                Wrong::NoConditions => (Fault::NoConditions, "it has no conditions".to_owned()),
                Wrong::Newer(version) => (
                    Fault::Newer,
                    format!("its schema is {version}, and {SCHEMA_VERSION} is known"),
                ),
            };
            bad.add(self.source, fault, number, reason);
        }
    }
}

/// Reads all sources piece by piece with this many threads, each with what `make` gives, in the order of
/// the pieces' places. `take` says whether its thread goes on; returns what the threads have, and what
/// was not read.
pub fn pieces<S: Send>(
    sources: Vec<Begun>,
    threads: usize,
    make: impl Fn() -> S,
    take: impl Fn(&mut S, &Piece, &mut Bad) -> bool + Sync,
) -> (Vec<S>, Bad) {
    let threads = threads.max(1);
    let (queue, queued) = bounded::<Piece>(2 * threads);
    // The memory of pieces that are done with: the next ones take it.
    let (given_back, memory) = bounded::<Vec<u8>>(2 * threads);
    thread::scope(|scope| {
        let take = &take;
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (queued, mut state) = (queued.clone(), make());
                let given_back = given_back.clone();
                scope.spawn(move || {
                    let mut bad = Bad::default();
                    for piece in queued {
                        if !take(&mut state, &piece, &mut bad) {
                            break;
                        }
                        // Where there is enough of it, it goes.
                        let _ = given_back.try_send(piece.block.text);
                    }
                    (state, bad)
                })
            })
            .collect();
        drop(queued);
        let (mut bad, mut place) = (Bad::default(), 0);
        'sources: for (source, mut begun) in sources.into_iter().enumerate() {
            let mut text = match begun.blocks() {
                Ok(text) => text,
                Err(error) => {
                    bad.add(source, Fault::Closed, 0, error);
                    continue;
                }
            };
            loop {
                let (block, said) = text.next(memory.try_recv().unwrap_or_default());
                if let Err(error) = said {
                    bad.add(source, Fault::CutShort, 0, reason(&error));
                }
                let Some(block) = block else { break };
                // All workers end only when this queue does, or where they do not go on.
                if queue.send(Piece { source, place, block }).is_err() {
                    break 'sources;
                }
                place += 1;
            }
        }
        drop(queue);
        let mut states = Vec::with_capacity(threads);
        for worker in workers {
            match worker.join() {
                Ok((state, its)) => {
                    states.push(state);
                    bad.merge(its);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (states, bad)
    })
}

/// The system's reason, or the decompressor's, on one line.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::find::find;
    use crate::keys::Wanted;
    use crate::record::Record;

    fn name(names: &mut Vec<(usize, String)>, source: usize, line: &[u8]) -> Result<(), Wrong> {
        let wanted = Wanted::default();
        let record = Record::parse(line, &wanted)?;
        is_record(record.conditions.is_some(), record.schema.as_u64())?;
        names.push((source, record.dip.as_str().unwrap_or_default().to_owned()));
        Ok(())
    }

    fn record(number: usize) -> String {
        format!("{{\"dip\":\"192.0.2.{number}\",\"conditions\":[]}}\n")
    }

    #[test]
    fn files_are_read_whatever_they_have_and_how_they_are_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text: String = (0..5).map(record).collect();
        let mut odd = text.clone() + "no json\n[1]\n{\"dip\":\"192.0.2.1\"}\n";
        odd += "{\"schema\":9,\"conditions\":[]}\n{\"conditions\":[\"torn";
        fs::write(path("a.ndjson"), &odd).unwrap();
        let frame = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
        let frames = [frame(&text), frame(&record(7))].concat();
        fs::write(path("b.ndjson.zst"), &frames[..frames.len() - 5]).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        gzip.write_all(text.as_bytes()).unwrap();
        fs::write(path("c.ndjson.gz"), gzip.finish().unwrap()).unwrap();
        let mut found = find(&[folder.path().to_owned()]);
        found.sources.push(Source::file(path("none.ndjson")));
        let (of_threads, bad) = read(&found.sources, 2, Vec::new, name);
        let mut names: Vec<_> = of_threads.into_iter().flatten().collect();
        names.sort();
        let expected = [0, 1, 2]
            .into_iter()
            .flat_map(|source| (0..5).map(move |number| (source, format!("192.0.2.{number}"))));
        assert_eq!(names, expected.collect::<Vec<_>>());
        let faults: Vec<_> =
            bad.iter().map(|(source, fault, of)| (source, fault, of.count, of.line)).collect();
        assert_eq!(
            faults,
            [
                (0, Fault::Torn, 1, 10),
                (0, Fault::NoRecord, 2, 6),
                (0, Fault::NoConditions, 1, 8),
                (0, Fault::Newer, 1, 9),
                (1, Fault::CutShort, 1, 0),
                (1, Fault::Torn, 1, 6),
                (3, Fault::Closed, 1, 0),
            ]
        );
    }
}
