//! Strict readers of the output: types of their own, so that the writer cannot vouch for itself. Each
//! record is held to the schema that the program gives, too.

use std::sync::OnceLock;
use std::time::SystemTime;

use boon::{Compiler, SchemaIndex, Schemas};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One line of the output.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// The target.
    pub dip: String,
    /// Its port.
    pub dp: u16,
    /// Our address.
    pub sip: Option<String>,
    /// Source, what lies between, target.
    #[serde(default)]
    pub path: Vec<String>,
    /// The prefix of a translated address.
    pub translated: Option<String>,
    /// A hint at who answered.
    pub answered_from: Option<AnsweredFrom>,
    /// The conclusions.
    pub conditions: Vec<String>,
    /// From the first connection to the last.
    pub time: Option<Time>,
    /// Unique in all runs.
    #[serde(rename = "jobId")]
    pub job_id: String,
    /// The plugin's failure.
    pub spdr_error: Option<String>,
    /// With `--output-flows`.
    pub missed_flows: Option<u64>,
    /// With `--output-flows`.
    pub flow_results: Option<Vec<FlowResult>>,
    /// All other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Record {
    /// Whether it has this condition.
    pub fn has(&self, condition: &str) -> bool {
        self.conditions.iter().any(|has| has == condition)
    }
}

/// The key `rank` of all records, in ascending order.
///
/// # Panics
///
/// One has none.
pub fn ranks(records: &[Record]) -> Vec<u64> {
    let rank = |record: &Record| match record.rest.get("rank").and_then(Value::as_u64) {
        Some(rank) => rank,
        None => panic!("no rank: {record:?}"),
    };
    let mut ranks: Vec<u64> = records.iter().map(rank).collect();
    ranks.sort_unstable();
    ranks
}

/// A run's times, RFC 3339.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// The first connection's start.
    pub from: String,
    /// The last connection's end.
    pub to: String,
}

impl Time {
    /// Both, as times of the clock.
    pub fn ends(&self) -> [SystemTime; 2] {
        [&self.from, &self.to].map(|text| match humantime::parse_rfc3339(text) {
            Ok(time) => time,
            Err(error) => panic!("{text}: {error}"),
        })
    }
}

/// From how far the answers came: numbers that stand in it once, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredFrom {
    /// TTLs of the first answers.
    pub ttl: Vec<u8>,
    /// Routers that these imply.
    pub hops: Vec<u8>,
    /// The lowest and the highest TTL of the other packets.
    pub other_ttl: Vec<u8>,
    /// Where that is far from it, over how many routers other targets of the prefix answered.
    #[serde(default)]
    pub prefix_hops: Vec<u8>,
}

/// One connection's result.
#[derive(Debug, Deserialize)]
pub struct FlowResult {
    /// The configuration.
    pub config: u64,
    /// 0 OK, 1 failed, 2 time-out, 3 skipped.
    pub spdr_state: u64,
    /// Its start.
    pub spdr_start: String,
    /// Its end.
    pub spdr_stop: String,
    /// Whether the capture has its flow.
    pub observed: bool,
    /// The job's.
    #[serde(rename = "jobId")]
    pub job_id: String,
    /// All other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Why a record is none by the schema that the program gives.
///
/// # Panics
///
/// There is no schema.
pub fn unlike_schema(record: &Value) -> Option<String> {
    static COMPILED: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();
    let (schemas, index) = COMPILED.get_or_init(|| {
        let written = crate::Program::run(&["schema"]);
        written.expect(0, &[]);
        match compiled(&written.stdout) {
            Ok(compiled) => compiled,
            Err(error) => panic!("{error} in the schema {}", written.stdout),
        }
    });
    schemas.validate(record, *index).err().map(|error| format!("{error:#}"))
}

fn compiled(schema: &str) -> Result<(Schemas, SchemaIndex), Box<dyn std::error::Error>> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource("records.json", serde_json::from_str(schema)?)?;
    let index = compiler.compile("records.json", &mut schemas)?;
    Ok((schemas, index))
}

/// Reads ndjson.
///
/// # Panics
///
/// A line is not a record, or not as the schema has it, or the last line is torn.
pub fn records(text: &str) -> Vec<Record> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    let parse = |line: &str| {
        let parsed = serde_json::from_str(line).and_then(|value: Value| {
            assert_eq!(unlike_schema(&value), None, "{line}");
            serde_json::from_value(value)
        });
        match parsed {
            Ok(record) => record,
            Err(error) => panic!("{error} in {line}"),
        }
    };
    text.lines().map(parse).collect()
}
