//! Lines of records made to rows of tables, in the partition of each record.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use pathspider_asn::Databases;
use pathspider_records::cells::{Cell, Cells, Keys, Line, Reading};
use pathspider_records::condition::measurement;
use pathspider_records::{Remark, Wrong, is_record, names};
use serde::de::Error;
use serde_json::{Map, Value};

use super::anonymous::Anonymiser;
use super::batch::{Batch, Names, Partition};
use super::declared::{CAMPAIGN, Table};
use super::schema::Schemas;
use super::sources::Beside;
use crate::gather::ip_version;
use crate::parse::Parser;

/// What all threads have in common.
pub(crate) struct Plan {
    pub(crate) schemas: Schemas,
    pub(crate) sources: Vec<Beside>,
    pub(crate) anonymiser: Option<Anonymiser>,
    databases: Databases,
    known: Known,
}

/// The numbers of keys that say more than their value.
struct Known {
    dip: Option<u32>,
    conditions: Option<u32>,
    from: Option<u32>,
    schema: Option<u32>,
    plugin: Option<u32>,
    campaign: Option<u32>,
    vantage: Option<u32>,
    /// Of the target's system, prefix and country.
    network: [Option<u32>; 3],
}

impl Plan {
    pub(crate) fn new(
        schemas: Schemas,
        sources: Vec<Beside>,
        anonymiser: Option<Anonymiser>,
        databases: Databases,
    ) -> Plan {
        let keys = schemas.keys(Table::Targets).names();
        let number = |name: &str| keys.iter().position(|key| key == name).map(|at| at as u32);
        let known = Known {
            dip: number("dip"),
            conditions: number("conditions"),
            from: number("time.from"),
            schema: number(names::SCHEMA),
            plugin: number(names::PLUGIN),
            campaign: number(CAMPAIGN),
            vantage: number(names::VANTAGE),
            network: ["dip_asn", "dip_prefix", "dip_country"].map(number),
        };
        Plan { schemas, sources, anonymiser, databases, known }
    }

    /// Adds the network of a target, as far as its record does not have it.
    fn add_network(&self, address: IpAddr, cells: &mut Vec<(u32, Cell<'_>)>) {
        let network = self.databases.find(address);
        let found = [
            network.asn.map(|asn| Cell::Int(asn.into())),
            network.prefix.map(|prefix| Cell::Text(prefix.to_string().into())),
            network.country.map(|country| Cell::Text(country.as_str().to_owned().into())),
        ];
        for (key, cell) in self.known.network.into_iter().zip(found) {
            if let (Some(key), Some(cell)) = (key, cell)
                && !cells.iter().any(|(other, _)| *other == key)
            {
                cells.push((key, cell));
            }
        }
    }

    /// Sets a value of a row; where it has no column that takes it, it is one of `others`.
    fn set<'c>(
        &self,
        batch: &mut Batch,
        column: usize,
        name: &str,
        cell: Cell<'c>,
        others: &mut Vec<(String, Value)>,
    ) {
        let cell = match (&self.anonymiser, batch.schema.columns.get(column)) {
            (Some(anonymiser), Some(column)) => anonymiser.cell(column.secrecy, cell),
            _ => cell,
        };
        if cell != Cell::Null
            && let Err(cell) = batch.set(column, cell)
        {
            others.push((name.to_owned(), cell.into_value()));
        }
    }

    /// Ends a row with these cells and values of keys.
    fn row(&self, batch: &mut Batch, keys: &Keys, computed: &[Cell<'_>], cells: Cells<'_>) {
        let Cells { known, mut others } = cells;
        for (column, cell) in computed.iter().enumerate() {
            // They are of the type that was declared.
            let _ = batch.set(column, cell.clone());
        }
        for (key, cell) in known {
            if matches!(cell, Cell::Null) {
                continue;
            }
            let name = keys.names().get(key as usize).map_or("", String::as_str);
            match batch.schema.of_key(key) {
                Some(column) => self.set(batch, column, name, cell, &mut others),
                None => others.push((name.to_owned(), cell.into_value())),
            }
        }
        if !others.is_empty() && self.anonymiser.is_none() {
            let others: Map<String, Value> = others.into_iter().collect();
            let more = batch.schema.more();
            // A column of JSON takes any.
            let _ = batch.set(more, Cell::Json(Value::Object(others).to_string()));
        }
        batch.end_row();
    }

    /// The runs of all sources, as rows.
    pub(crate) fn runs(&self) -> Batches {
        let mut batches = Batches::default();
        let keys = self.schemas.keys(Table::Runs);
        for (number, beside) in self.sources.iter().enumerate() {
            let nothing = [Value::Object(Map::new())];
            let runs = match &beside.about.all_of_runs[..] {
                [] => &nothing[..],
                runs => runs,
            };
            for run in runs {
                let mut run = run.clone();
                if let Value::Object(run) = &mut run {
                    run.insert("file".to_owned(), beside.name.clone().into());
                    let version = beside.about.version.clone();
                    run.insert(
                        "plugin_version".to_owned(),
                        version.map_or(Value::Null, Value::from),
                    );
                }
                let Ok(cells) = Line::of_object(&run, keys) else { continue };
                let names = [
                    beside.measurement.as_deref(),
                    beside.about.campaign.as_deref(),
                    beside.about.vantage.as_deref(),
                    run.get("started").and_then(Value::as_str).and_then(date),
                ];
                let batch = batches.of(names).table(Table::Runs, &self.schemas);
                self.row(batch, keys, &[Cell::Int(number as i64)], cells);
            }
        }
        batches
    }
}

/// Of how many partitions a thread keeps the memory.
const KEPT: usize = 8;

/// The rows of one partition.
struct Rows {
    partition: Arc<Partition>,
    tables: [Option<Batch>; 3],
}

impl Rows {
    fn table(&mut self, table: Table, schemas: &Schemas) -> &mut Batch {
        let partition = &self.partition;
        self.tables[table as usize].get_or_insert_with(|| {
            let schema = schemas.of(table, partition.measurement.as_deref());
            Batch::new(table, Arc::clone(partition), schema)
        })
    }
}

/// The rows of all partitions.
#[derive(Default)]
pub(crate) struct Batches {
    rows: Vec<Rows>,
    places: HashMap<Arc<Partition>, usize>,
    /// The place of the last row's, which is the next one's most of the time.
    last: usize,
}

impl Batches {
    fn of(&mut self, names: Names<'_>) -> &mut Rows {
        let is_last = self.rows.get(self.last).is_some_and(|rows| rows.partition.has(names));
        if !is_last {
            let next = self.rows.len();
            let partition = Arc::new(Partition::new(names));
            self.last = *self.places.entry(Arc::clone(&partition)).or_insert(next);
            if self.last == next {
                self.rows.push(Rows { partition, tables: [None, None, None] });
            }
        }
        &mut self.rows[self.last]
    }

    /// Ends all batches that have rows, and gives them.
    pub(crate) fn ended(&mut self) -> Vec<&Batch> {
        let tables = self.rows.iter_mut().flat_map(|rows| &mut rows.tables).flatten();
        let mut ended = Vec::new();
        for batch in tables.filter(|batch| batch.rows > 0) {
            batch.end();
            ended.push(&*batch);
        }
        ended
    }

    /// Forgets all rows. The memory of a few partitions is kept, for the next rows are of these.
    fn clear(&mut self) {
        if self.rows.len() > KEPT {
            *self = Batches::default();
        }
        self.rows.iter_mut().flat_map(|rows| &mut rows.tables).flatten().for_each(Batch::clear);
    }
}

/// Makes rows of the lines that one thread reads.
pub(crate) struct Making<'p> {
    plan: &'p Plan,
    parser: Parser,
    batches: Batches,
    /// How many records it read.
    pub(crate) records: u64,
}

impl<'p> Making<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Making<'p> {
        Making { plan, parser: Parser::default(), batches: Batches::default(), records: 0 }
    }

    /// Takes a line of a source.
    pub(crate) fn line(&mut self, source: usize, number: u64, line: &[u8]) -> Result<(), Wrong> {
        let plan = self.plan;
        let (targets, flows) = (plan.schemas.keys(Table::Targets), plan.schemas.keys(Table::Flows));
        let read = self.parser.read(line, Reading { targets, flows })?;
        let Line { mut target, flows: connections } = read;
        let taken = |key| take(&mut target.known, key);
        let [plugin, campaign, vantage] =
            [plan.known.plugin, plan.known.campaign, plan.known.vantage].map(taken);
        let known = |key: Option<u32>| {
            let of_key = |(number, _): &&(u32, Cell<'_>)| Some(*number) == key;
            target.known.iter().find(of_key).map(|(_, cell)| cell)
        };
        let schema = match known(plan.known.schema) {
            Some(Cell::Int(version)) => u64::try_from(*version).ok(),
            _ => None,
        };
        let conditions = known(plan.known.conditions);
        is_record(conditions.is_some(), schema)?;
        let conditions = match conditions {
            Some(Cell::List(list)) if list.iter().all(|cell| cell.as_str().is_some()) => list,
            _ => return Err(Wrong::NoRecord(Error::custom("conditions is not a list of texts"))),
        };
        let address = known(plan.known.dip).and_then(Cell::as_str);
        let address: Option<IpAddr> = address.and_then(|address| address.parse().ok());
        let beside = plan.sources.get(source);
        let about = beside.map(|beside| &beside.about);
        let named = || {
            let mut own = conditions.iter().filter_map(Cell::as_str);
            own.find(|condition| Remark::of(condition).is_none()).map(measurement)
        };
        let rows = self.batches.of([
            plugin
                .as_deref()
                .or_else(|| about?.measurement.as_deref())
                .or_else(named)
                .or_else(|| beside?.measurement.as_deref()),
            campaign.as_deref().or_else(|| about?.campaign.as_deref()),
            vantage.as_deref().or_else(|| about?.vantage.as_deref()),
            known(plan.known.from).and_then(Cell::as_str).and_then(date),
        ]);
        let place = [Cell::Int(source as i64), Cell::Int(number as i64)];
        if !connections.is_empty() {
            let batch = rows.table(Table::Flows, &plan.schemas);
            for connection in connections {
                plan.row(batch, flows, &place, connection);
            }
        }
        let [of, line] = place;
        let version = address.map_or(Cell::Null, |address| Cell::Text(ip_version(address).into()));
        if let Some(address) = address.filter(|_| !plan.databases.is_empty()) {
            plan.add_network(address, &mut target.known);
        }
        let batch = rows.table(Table::Targets, &plan.schemas);
        plan.row(batch, targets, &[of, line, version], target);
        self.records += 1;
        Ok(())
    }

    /// The rows that were made since they were forgotten the last time.
    pub(crate) fn ended(&mut self) -> Vec<&Batch> {
        self.batches.ended()
    }

    /// Forgets these rows.
    pub(crate) fn clear(&mut self) {
        self.batches.clear();
    }
}

/// Takes a key's value, as it is shown. Lists and objects stay.
fn take<'c>(known: &mut [(u32, Cell<'c>)], key: Option<u32>) -> Option<Cow<'c, str>> {
    let (_, cell) = known.iter_mut().find(|(number, _)| Some(*number) == key)?;
    match cell {
        Cell::Text(_) | Cell::Bool(_) | Cell::Int(_) | Cell::Float(_) => {}
        Cell::Null | Cell::Octets(_) | Cell::List(_) | Cell::Json(_) => return None,
    }
    Some(match std::mem::replace(cell, Cell::Null) {
        Cell::Text(text) => text,
        other => other.into_value().to_string().into(),
    })
}

/// The day of a time: `2026-11-22` of `2026-11-22T02:00:17Z`.
fn date(time: &str) -> Option<&str> {
    let day = time.get(..10)?;
    let is_day = day.bytes().enumerate().all(|(place, octet)| match place {
        4 | 7 => octet == b'-',
        _ => octet.is_ascii_digit(),
    });
    is_day.then_some(day)
}
