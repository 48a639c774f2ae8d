//! Observation sets for the Path Transparency Observatory: a file of ndjson for each measurement, in which
//! a line is an observation `["", start, end, path, condition, value?]`, and the last one the metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::Ipv6Addr;
use std::path::PathBuf;

use pathspider_runtime::text;
use serde_json::{Value, json};

use super::batch::{Batch, NONE, Shown};
use super::declared::Table;

/// The most measurements; each is an open file.
const MOST_SETS: usize = 128;

/// Sets of observations.
pub(super) struct Sets {
    folder: PathBuf,
    sets: BTreeMap<String, Set>,
}

struct Set {
    writer: BufWriter<File>,
    conditions: BTreeSet<String>,
    campaigns: BTreeSet<String>,
    vantages: BTreeSet<String>,
}

impl Sets {
    pub(super) fn new(folder: PathBuf) -> Sets {
        Sets { folder, sets: BTreeMap::new() }
    }

    /// Adds the observations of targets.
    pub(super) fn add(&mut self, batch: &Batch) -> io::Result<()> {
        if batch.table != Table::Targets {
            return Ok(());
        }
        let name = batch.partition.measurement.as_deref().unwrap_or(NONE);
        let set = self.set(name)?;
        set.campaigns.extend(batch.partition.campaign.clone());
        set.vantages.extend(batch.partition.vantage.clone());
        let column = |name: &str| batch.column(name).map(super::batch::Vector::rows);
        let columns =
            (column("time.from"), column("time.to"), column("path"), column("conditions"));
        let (Some(mut from), Some(mut to), Some(mut path), Some(mut conditions)) = columns else {
            return Ok(());
        };
        for _ in 0..batch.rows {
            let times = (time(from.next_row()), time(to.next_row()));
            let path = texts(path.next_row());
            let conditions = texts(conditions.next_row());
            // What has no time or path is no observation.
            let (Some(from), Some(to)) = times else { continue };
            if path.is_empty() {
                continue;
            }
            let path: Vec<String> = path.into_iter().map(element).collect();
            let path = path.join(" ");
            for condition in conditions {
                let (name, value) = match condition.split_once(':') {
                    Some((name, value)) => (name, Some(value)),
                    None => (condition, None),
                };
                let mut observation =
                    vec![json!(""), json!(from), json!(to), json!(path), json!(name)];
                observation.extend(value.map(Value::from));
                set.line(&Value::Array(observation))?;
                if !set.conditions.contains(name) {
                    set.conditions.insert(name.to_owned());
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str) -> io::Result<&mut Set> {
        if !self.sets.contains_key(name) {
            if self.sets.len() >= MOST_SETS {
                return Err(io::Error::other(format!(
                    "there are more than {MOST_SETS} measurements"
                )));
            }
            let file = format!("{}.obs.ndjson", super::parquet::folder_name(Some(name)));
            let set = Set {
                writer: BufWriter::new(File::create_new(self.folder.join(file))?),
                conditions: BTreeSet::new(),
                campaigns: BTreeSet::new(),
                vantages: BTreeSet::new(),
            };
            self.sets.insert(name.to_owned(), set);
        }
        self.sets.get_mut(name).ok_or_else(|| io::Error::other("a set is gone"))
    }

    /// Writes the metadata, and what is left.
    pub(super) fn finish(self, sources: &[String]) -> io::Result<()> {
        for (name, mut set) in self.sets {
            let metadata = json!({
                "_analyzer": concat!("pathspider export ", env!("CARGO_PKG_VERSION")),
                "_sources": sources,
                "_conditions": set.conditions,
                "measurement": name,
                "campaign": set.campaigns,
                "vantage": set.vantages,
            });
            set.line(&metadata)?;
            set.writer.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        }
        Ok(())
    }
}

impl Set {
    fn line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.writer, "{}", text::json(&value.to_string()))
    }
}

fn time(values: Option<Vec<Option<Shown<'_>>>>) -> Option<String> {
    match values?.first()? {
        Some(Shown::Time(at)) => Some(super::csv::time(*at)),
        _ => None,
    }
}

fn texts(values: Option<Vec<Option<Shown<'_>>>>) -> Vec<&str> {
    let values = values.unwrap_or_default().into_iter().flatten();
    values
        .filter_map(|value| if let Shown::Text(text) = value { Some(text) } else { None })
        .collect()
}

/// An element of a path: the Observatory has IPv6 addresses in brackets, and none with a blank.
fn element(text: &str) -> String {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => text.split_whitespace().collect::<Vec<_>>().join("_"),
    }
}
