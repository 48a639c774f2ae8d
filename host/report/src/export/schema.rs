//! The columns of each measurement's tables: those that are declared, and those that the first records
//! of each file have beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pathspider_records::{About, DeclaredField};
use serde_json::{Map, Value};

use super::declared::{MORE, Secrecy, TABLES, Table, is_same};
use super::keys::Keys;
use super::kind::{Kind, Learned, Simple, one};

/// The most columns that are learned for one table; what goes beyond is in `more`.
const MOST_LEARNED: usize = 512;

/// How deep objects are taken apart.
const DEEPEST: usize = 8;

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) secrecy: Secrecy,
}

/// The columns of a table of one measurement.
#[derive(Debug, PartialEq)]
pub(crate) struct Schema {
    pub(crate) columns: Vec<Column>,
    /// The column of each key, by the key's number.
    of_keys: Vec<Option<usize>>,
}

impl Schema {
    /// The column of a key.
    pub(crate) fn of_key(&self, key: u32) -> Option<usize> {
        self.of_keys.get(key as usize).copied().flatten()
    }

    /// The column of what has none, which is the last one.
    pub(crate) fn more(&self) -> usize {
        self.columns.len() - 1
    }
}

/// The schemas of all measurements.
#[derive(Debug)]
pub(crate) struct Schemas {
    /// The keys of each table.
    keys: [Keys; 3],
    of: BTreeMap<(Table, Option<String>), Arc<Schema>>,
    /// Of a measurement that was not seen before.
    of_others: [Arc<Schema>; 3],
}

impl Schemas {
    pub(crate) fn keys(&self, table: Table) -> &Keys {
        &self.keys[table as usize]
    }

    /// The columns of a measurement's table.
    pub(crate) fn of(&self, table: Table, measurement: Option<&str>) -> Arc<Schema> {
        let named = self.of.get(&(table, measurement.map(str::to_owned)));
        Arc::clone(named.unwrap_or(&self.of_others[table as usize]))
    }

    /// The columns of a table of all measurements; of a name with several types, the first one's.
    pub(crate) fn all(&self, table: Table) -> Vec<&Column> {
        let mut all: Vec<&Column> = Vec::new();
        let of_table = self.of.iter().filter(|((of, _), _)| *of == table).map(|(_, schema)| schema);
        for schema in of_table.chain([&self.of_others[table as usize]]) {
            for column in &schema.columns[..schema.more()] {
                if !all.iter().any(|other| other.name == column.name) {
                    all.push(column);
                }
            }
        }
        all.extend(self.of_others[table as usize].columns.last());
        all
    }
}

type Way = Vec<String>;

/// What was learned of one table of a measurement: the way to each key, and its type.
#[derive(Debug, Default)]
struct LearnedTable {
    columns: BTreeMap<Way, Learned>,
    /// Those that a chain declares, in its order.
    declared: Vec<Way>,
}

/// Learns columns from metadata and records.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    tables: BTreeMap<(Table, Option<String>), LearnedTable>,
}

impl Learning {
    /// Takes what stands beside a source.
    pub(crate) fn about(&mut self, about: &About) {
        let table = self.table(Table::Flows, about.measurement.as_deref());
        for DeclaredField { name, kind, .. } in &about.fields {
            let way = vec![name.clone()];
            if table.columns.insert(way.clone(), Learned::declared(kind)).is_none() {
                table.declared.push(way);
            }
        }
    }

    /// Takes a record of a measurement.
    pub(crate) fn record(&mut self, measurement: Option<&str>, record: &Map<String, Value>) {
        if let Some(Value::Array(flows)) = record.get("flow_results") {
            let table = self.table(Table::Flows, measurement);
            for flow in flows.iter().filter_map(Value::as_object) {
                table.object(Table::Flows, flow, &mut Vec::new());
            }
        }
        self.table(Table::Targets, measurement).object(Table::Targets, record, &mut Vec::new());
    }

    fn table(&mut self, table: Table, measurement: Option<&str>) -> &mut LearnedTable {
        self.tables.entry((table, measurement.map(str::to_owned))).or_default()
    }

    /// The schemas; `secrecy` says of the keys that nobody declares what becomes of them.
    pub(crate) fn schemas(self, secrecy: impl Fn(&str) -> Secrecy) -> Schemas {
        let mut keys = TABLES.map(|table| {
            let mut keys = Keys::default();
            table.declared().iter().for_each(|column| {
                keys.add(&column.way);
            });
            table.apart().iter().for_each(|key| {
                keys.add(&[key]);
            });
            keys
        });
        for ((table, _), learned) in &self.tables {
            for way in learned.columns.keys() {
                let way: Vec<&str> = way.iter().map(String::as_str).collect();
                keys[*table as usize].add(&way);
            }
        }
        let schema = |table: Table, learned: &LearnedTable| {
            let schema = Schema::new(table, &keys[table as usize], learned, &secrecy);
            Arc::new(schema)
        };
        let of = self.tables.iter().map(|((table, measurement), learned)| {
            ((*table, measurement.clone()), schema(*table, learned))
        });
        let of = of.collect();
        let nothing = LearnedTable::default();
        let of_others = TABLES.map(|table| schema(table, &nothing));
        Schemas { of, of_others, keys }
    }
}

impl LearnedTable {
    fn object(&mut self, table: Table, object: &Map<String, Value>, way: &mut Way) {
        for (key, value) in object {
            way.push(key.clone());
            let is_declared = table.declared().iter().any(|column| column.way == *way);
            let is_elsewhere = way.len() == 1 && table.has_elsewhere(key);
            match value {
                _ if is_declared || is_elsewhere => {}
                Value::Object(below)
                    if way.len() < DEEPEST && crate::json::octets(below).is_none() =>
                {
                    self.object(table, below, way);
                }
                Value::Null => {}
                value => {
                    if let Some(learned) = self.columns.get_mut(way) {
                        learned.see(value);
                    } else if self.columns.len() < MOST_LEARNED {
                        self.columns.entry(way.clone()).or_default().see(value);
                    }
                }
            }
            way.pop();
        }
    }
}

impl Schema {
    fn new(
        table: Table,
        keys: &Keys,
        learned: &LearnedTable,
        secrecy: impl Fn(&str) -> Secrecy,
    ) -> Schema {
        let column = |name: &str, kind, secrecy| Column { name: name.to_owned(), kind, secrecy };
        let mut columns: Vec<Column> = table
            .computed()
            .iter()
            .map(|(name, kind)| column(name, *kind, Secrecy::Kept))
            .collect();
        let declared = table.declared().iter();
        columns.extend(declared.map(|key| column(&key.way.join("."), key.kind, key.secrecy)));
        let others = learned.columns.keys().filter(|way| !learned.declared.contains(way));
        for way in learned.declared.iter().chain(others) {
            let name = way.join(".");
            let Some(kind) = learned.columns.get(way).map(|learned| learned.kind()) else {
                continue;
            };
            if !columns.iter().any(|other| is_same(&other.name, &name)) {
                // A flow's numbers and marks are what was measured; a target's keys are its list's.
                let secrecy = match table {
                    Table::Flows => Secrecy::Addresses,
                    _ => secrecy(&name),
                };
                columns.push(column(&name, kind, secrecy));
            }
        }
        let computed = table.computed().len();
        let place = |name: &String| {
            let there = columns.iter().skip(computed).position(|column| column.name == *name);
            there.map(|there| there + computed)
        };
        let of_keys = keys.names().iter().map(place).collect();
        columns.push(column(MORE, one(Simple::Json), Secrecy::Hidden));
        Schema { columns, of_keys }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::declared::SOURCE;
    use super::super::kind::list;
    use super::*;

    fn learned() -> Schemas {
        let mut learning = Learning::default();
        let field = |name: &str, kind: &str| DeclaredField {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..DeclaredField::default()
        };
        learning.about(&About {
            measurement: Some("ecn".to_owned()),
            fields: vec![field("z_first", "uint"), field("options", "list")],
            ..About::default()
        });
        let record = json!({"dip": "192.0.2.1", "conditions": [], "info": {"ASN": 1, "geo": {"c": "x"}},
            "line": "theirs", "vantage": "x", "tags": ["a"], "plugin": "ecn", "Date": "x", "DIP": "y",
            "Rank": 1, "rank": 2,
            "flow_results": [{"sp": 1, "options": [2, 4], "a": {"base64": "AA=="}}]});
        learning.record(Some("ecn"), record.as_object().unwrap());
        learning.schemas(|_| Secrecy::Hidden)
    }

    fn kind_of(schema: &Schema, name: &str) -> Option<Kind> {
        schema.columns.iter().find(|column| column.name == name).map(|column| column.kind)
    }

    #[test]
    fn columns_are_declared_or_seen() {
        let schemas = learned();
        let targets = schemas.of(Table::Targets, Some("ecn"));
        assert_eq!(kind_of(&targets, "info.ASN"), Some(one(Simple::Int)));
        assert_eq!(kind_of(&targets, "info.geo.c"), Some(one(Simple::Text)));
        assert_eq!(kind_of(&targets, "tags"), Some(list(Simple::Text)));
        assert_eq!(kind_of(&targets, "time.from"), Some(one(Simple::Time)));
        assert_eq!(kind_of(&targets, "vantage"), None, "it names a folder");
        assert_eq!(kind_of(&targets, "line"), Some(one(Simple::Int)), "ours");
        // What SQL takes for another column has none of its own: the first one is it.
        let [date, dip, rank, other] =
            ["Date", "DIP", "Rank", "rank"].map(|name| kind_of(&targets, name));
        assert_eq!((date, dip, rank, other), (None, None, Some(one(Simple::Int)), None));
        assert_eq!(targets.columns.last().unwrap().name, MORE);
        let flows = schemas.of(Table::Flows, Some("ecn"));
        let names: Vec<&str> = flows.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(
            names[names.len() - 4..],
            ["z_first", "options", "a", MORE],
            "as chains have them"
        );
        assert_eq!(kind_of(&flows, "options"), Some(list(Simple::Int)));
        assert_eq!(kind_of(&flows, "a"), Some(one(Simple::Octets)));
        // Another measurement has the declared ones alone, and all has each once.
        let others = schemas.of(Table::Targets, Some("tfo"));
        assert_eq!(kind_of(&others, "info.ASN"), None);
        let all = schemas.all(Table::Targets);
        assert_eq!(all.iter().filter(|column| column.name == "dip").count(), 1);
        assert_eq!((&*all[0].name, &*all.last().unwrap().name), (SOURCE, MORE));
        // Keys lead to their columns.
        let key = schemas.keys(Table::Targets).names().iter().position(|name| name == "info.ASN");
        let place = targets.of_key(key.unwrap() as u32).unwrap();
        assert_eq!(targets.columns[place].name, "info.ASN");
        assert_eq!(others.of_key(key.unwrap() as u32), None);
    }

    #[test]
    fn a_million_keys_are_no_columns() {
        let mut learning = Learning::default();
        let record = (0..2000).map(|key| (format!("k{key}"), json!(1))).collect();
        learning.record(None, &record);
        let schemas = learning.schemas(|_| Secrecy::Hidden);
        let columns = schemas.of(Table::Targets, None).columns.len();
        let fixed = Table::Targets.declared().len() + Table::Targets.computed().len() + 1;
        assert_eq!(columns, MOST_LEARNED + fixed);
    }
}
