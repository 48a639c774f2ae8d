//! Lines of records made to rows of tables, in the partition of each record.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use pathspider_asn::Databases;
use pathspider_records::condition::measurement;
use pathspider_records::{Remark, Wrong, is_record, names};
use serde::de::Error;
use serde_json::{Map, Value};

use super::anonymous::Anonymiser;
use super::batch::{Batch, Names, Partition};
use super::declared::{CAMPAIGN, Secrecy, Table};
use super::keys::{Apart, Keys};
use super::schema::Schemas;
use super::sources::Beside;
use crate::gather::ip_version;
use crate::json::{Fields, Json, What};
use crate::parse::{Parser, Row};

/// What all threads have in common.
pub(crate) struct Plan {
    pub(crate) schemas: Schemas,
    pub(crate) sources: Vec<Beside>,
    pub(crate) anonymiser: Option<Anonymiser>,
    databases: Databases,
    /// What keys of targets say beside the value of their column, by the keys' numbers.
    says: Vec<Option<Says>>,
    /// The numbers of the keys of a target's system, prefix and country.
    network: [Option<u32>; 3],
}

/// What the value of a key says beside what is in its column. The first three have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Measurement,
    Campaign,
    Vantage,
    Begin,
    Address,
    Conditions,
    Schema,
    Connections,
}

impl Plan {
    pub(crate) fn new(
        schemas: Schemas,
        sources: Vec<Beside>,
        anonymiser: Option<Anonymiser>,
        databases: Databases,
    ) -> Plan {
        let keys = schemas.keys(Table::Targets).names();
        let says = |name: &String| {
            Some(match &**name {
                names::PLUGIN => Says::Measurement,
                CAMPAIGN => Says::Campaign,
                names::VANTAGE => Says::Vantage,
                "time.from" => Says::Begin,
                "dip" => Says::Address,
                names::CONDITIONS => Says::Conditions,
                names::SCHEMA => Says::Schema,
                names::FLOW_RESULTS => Says::Connections,
                _ => return None,
            })
        };
        let number = |name: &str| keys.iter().position(|key| key == name).map(|at| at as u32);
        let network = ["dip_asn", "dip_prefix", "dip_country"].map(number);
        let says = keys.iter().map(says).collect();
        Plan { schemas, sources, anonymiser, databases, says, network }
    }

    /// Sets the value of a key in a row; where it has no column that takes it, it is one of `others`.
    fn set(
        &self,
        batch: &mut Batch,
        keys: &Keys,
        key: u32,
        what: What<'_>,
        others: &mut Vec<(String, Value)>,
    ) {
        let column = batch.schema.of_key(key);
        let is_set = match (column, &self.anonymiser) {
            (None, _) => false,
            (Some(column), None) => batch.set(column, what),
            (Some(column), Some(anonymiser)) => {
                let of = batch.schema.columns.get(column);
                let secrecy = of.map_or(Secrecy::Hidden, |of| of.secrecy);
                let value = anonymiser.column(secrecy, what.into_value());
                let row = Row::of_value(&value);
                value.is_null() || batch.set(column, Json::new(&row.nodes()).what())
            }
        };
        if !is_set {
            others.push((keys.name(key).to_owned(), what.into_value()));
        }
    }

    /// Ends a row of these values, and of what is apart of an object in the row that `first` begins.
    fn row(
        &self,
        batch: &mut Batch,
        keys: &Keys,
        computed: &[What<'_>],
        apart: &mut Apart,
        first: Json<'_>,
    ) {
        for (column, what) in computed.iter().enumerate() {
            // They are of the type that was declared.
            batch.set(column, *what);
        }
        for &(key, place) in &apart.known {
            self.set(batch, keys, key, first.at(place).what(), &mut apart.others);
        }
        if !apart.others.is_empty() && self.anonymiser.is_none() {
            let others: Map<String, Value> = apart.others.drain(..).collect();
            let others = Value::Object(others);
            // A column of JSON takes any.
            batch.set(batch.schema.more(), Json::new(&Row::of_value(&others).nodes()).what());
        }
        batch.end_row();
    }

    /// Sets the network of a target, as far as its record does not have it.
    fn network(&self, batch: &mut Batch, address: IpAddr, apart: &mut Apart) {
        if self.databases.is_empty() {
            return;
        }
        let network = self.databases.find(address);
        let prefix = network.prefix.map(|prefix| prefix.to_string());
        let found = [
            network.asn.map(|asn| What::Int(asn.into())),
            prefix.as_deref().map(What::Text),
            network.country.as_ref().map(|country| What::Text(country.as_str())),
        ];
        let keys = self.schemas.keys(Table::Targets);
        for (key, what) in self.network.into_iter().zip(found) {
            if let (Some(key), Some(what)) = (key, what)
                && !apart.known.iter().any(|(other, _)| *other == key)
            {
                self.set(batch, keys, key, what, &mut apart.others);
            }
        }
    }

    /// The runs of all sources, as rows.
    pub(crate) fn runs(&self) -> Batches {
        let mut batches = Batches::default();
        let keys = self.schemas.keys(Table::Runs);
        let mut apart = Apart::default();
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
                let row = Row::of_value(&run);
                let nodes = row.nodes();
                let first = Json::new(&nodes);
                let What::Object(fields) = first.what() else { continue };
                apart.take(fields, keys, first);
                let names = [
                    beside.measurement.as_deref(),
                    beside.about.campaign.as_deref(),
                    beside.about.vantage.as_deref(),
                    run.get("started").and_then(Value::as_str).and_then(date),
                ];
                let batch = batches.of(names).table(Table::Runs, &self.schemas);
                self.row(batch, keys, &[What::Int(number as i64)], &mut apart, first);
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

/// What of a record says where its rows belong, and whether it is one.
#[derive(Default)]
struct Head<'n> {
    /// Its measurement, campaign and vantage point.
    names: [Option<Cow<'n, str>>; 3],
    date: Option<&'n str>,
    address: Option<IpAddr>,
    conditions: Option<What<'n>>,
    schema: Option<u64>,
    connections: Vec<Fields<'n>>,
    /// By [`Says`]: of a key that stands there twice, the first value says it.
    said: [bool; 8],
}

impl<'n> Head<'n> {
    /// Takes it of what is apart of a record; `None` where connections are no list of objects.
    fn take(apart: &mut Apart, first: Json<'n>, says: &[Option<Says>]) -> Option<Head<'n>> {
        let (mut head, mut is_record) = (Head::default(), true);
        apart.known.retain(|&(key, place)| {
            let says = says.get(key as usize).copied().flatten();
            let Some(says) = says else { return true };
            if says == Says::Connections {
                is_record &= head.connect(first.at(place).what());
                return false;
            }
            let is_first = !std::mem::replace(&mut head.said[says as usize], true);
            !(is_first && head.say(says, first.at(place).what()))
        });
        is_record.then_some(head)
    }

    fn connect(&mut self, connections: What<'n>) -> bool {
        let What::List(connections) = connections else { return false };
        connections.map(Json::what).all(|connection| match connection {
            What::Object(fields) => {
                self.connections.push(fields);
                true
            }
            _ => false,
        })
    }

    /// Takes a value; whether it has no column then.
    fn say(&mut self, says: Says, what: What<'n>) -> bool {
        match (says, what) {
            (Says::Measurement | Says::Campaign | Says::Vantage, what) => {
                let name = shown(what);
                let is_name = name.is_some();
                self.names[says as usize] = name;
                return is_name;
            }
            (Says::Begin, What::Text(text)) => self.date = date(text),
            (Says::Address, What::Text(text)) => self.address = text.parse().ok(),
            (Says::Schema, What::Int(version)) => self.schema = u64::try_from(version).ok(),
            (Says::Conditions, what) => self.conditions = Some(what),
            _ => {}
        }
        false
    }
}

/// Makes rows of the lines that one thread reads.
pub(crate) struct Making<'p> {
    plan: &'p Plan,
    parser: Parser,
    target: Apart,
    connection: Apart,
    batches: Batches,
    /// How many records it read.
    pub(crate) records: u64,
}

impl<'p> Making<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Making<'p> {
        Making {
            plan,
            parser: Parser::default(),
            target: Apart::default(),
            connection: Apart::default(),
            batches: Batches::default(),
            records: 0,
        }
    }

    /// Takes a line of a source.
    pub(crate) fn line(&mut self, source: usize, number: u64, line: &[u8]) -> Result<(), Wrong> {
        let Making { plan, parser, target, connection, batches, .. } = self;
        let (targets, flows) = (plan.schemas.keys(Table::Targets), plan.schemas.keys(Table::Flows));
        let taken = parser.values(line, |record| {
            let What::Object(fields) = record.what() else { return None };
            target.take(fields, targets, record);
            let head = Head::take(target, record, &plan.says)?;
            let rows = match belongs(&head, plan.sources.get(source)) {
                Ok(names) => batches.of(names),
                Err(wrong) => return Some(Err(wrong)),
            };
            let [of, line] = [What::Int(source as i64), What::Int(number as i64)];
            if !head.connections.is_empty() {
                let batch = rows.table(Table::Flows, &plan.schemas);
                for fields in head.connections {
                    connection.take(fields, flows, record);
                    plan.row(batch, flows, &[of, line], connection, record);
                }
            }
            let batch = rows.table(Table::Targets, &plan.schemas);
            let version =
                head.address.map_or(What::Null, |address| What::Text(ip_version(address)));
            if let Some(address) = head.address {
                plan.network(batch, address, target);
            }
            plan.row(batch, targets, &[of, line, version], target, record);
            Some(Ok(()))
        })?;
        taken?;
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

/// The partition of a record, beside whose file that stands.
///
/// # Errors
///
/// It is no record.
fn belongs<'n>(head: &'n Head<'_>, beside: Option<&'n Beside>) -> Result<Names<'n>, Wrong> {
    is_record(head.conditions.is_some(), head.schema)?;
    let conditions = match head.conditions {
        Some(What::List(list)) if list.map(Json::what).all(|what| text(what).is_some()) => list,
        _ => return Err(Wrong::NoRecord(Error::custom("conditions is not a list of texts"))),
    };
    let about = beside.map(|beside| &beside.about);
    let named = || {
        let mut own = conditions.map(Json::what).filter_map(text);
        own.find(|condition| Remark::of(condition).is_none()).map(measurement)
    };
    let [plugin, campaign, vantage] = &head.names;
    Ok([
        plugin
            .as_deref()
            .or_else(|| about?.measurement.as_deref())
            .or_else(named)
            .or_else(|| beside?.measurement.as_deref()),
        campaign.as_deref().or_else(|| about?.campaign.as_deref()),
        vantage.as_deref().or_else(|| about?.vantage.as_deref()),
        head.date,
    ])
}

fn text(what: What<'_>) -> Option<&str> {
    match what {
        What::Text(text) => Some(text),
        _ => None,
    }
}

/// A single value, as it is shown.
fn shown(what: What<'_>) -> Option<Cow<'_, str>> {
    match what {
        What::Text(text) => Some(text.into()),
        What::Bool(_) | What::Int(_) | What::Float(_) => Some(what.into_value().to_string().into()),
        What::Null | What::Large(_) | What::List(_) | What::Object(_) => None,
    }
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
