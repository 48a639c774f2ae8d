//! A job of an earlier run, from its records: the job, and its connections as they ended.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use pathspider_observer::{Claim, ConnectionId, JobNumber, Round, last_ns};
use pathspider_plugin_api::driver::{Conclusion, Ended, Restored, restore};
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{Condition, ConfigId, Error, Job, Outcome, Record, Value, ValueRef};

use super::RejudgeError;
use crate::job::{Identity, Input, Lines, Verbatim, in_ascii, parse_to_the_letter};
use crate::merger::{Theirs, failures};
use crate::output::{ReadJobId, Told};
use crate::rounds::is_fold;
use pathspider_records::condition::{is_of_forward, is_of_location};
use pathspider_records::names;

/// A line longer than this is no record: it bounds the memory that a damaged file can take.
const LONGEST_LINE: u64 = 64 << 20;

/// The keys that a new conclusion has the say of, beside those of the plugin's rows.
const JUDGED: [&str; 7] = [
    names::ERROR,
    names::CONDITIONS,
    names::FAILURES,
    names::MISSED_FLOWS,
    names::FLOW_RESULTS,
    names::JOB_ID,
    names::VERSION,
];

/// A job of an earlier run.
pub(super) struct Past {
    /// The line of its first record.
    line: u64,
    /// The `jobId` of its connections, without the number of a row.
    pub(super) id: String,
    /// The job's number in its run.
    number: u64,
    /// Its round; `None` where the run had none.
    pub(super) round: Option<u32>,
    /// Its records: several where the plugin made several.
    pub(super) records: Vec<Record>,
    /// What they said to the letter, where a record does not say it so.
    came: Vec<Option<Box<Verbatim>>>,
}

impl Past {
    /// The job's records with a new conclusion in them, of this version of the measurement.
    pub(super) fn judged(
        &self,
        concluded: Conclusion,
        folded: &[Condition],
        version: &str,
    ) -> Vec<Told> {
        let Conclusion { flows, conditions, added, rows, missed, .. } = concluded;
        // The capture has neither the packets of the search nor the target's own word.
        let past = self.conditions();
        let kept = past.iter().map(String::as_str);
        let kept = kept.filter(|one| is_of_location(one) || is_of_forward(one));
        let texts = conditions.iter().chain(&added).map(Condition::as_str).chain(kept);
        let texts = texts.chain(folded.iter().map(Condition::as_str));
        let conditions: Value = texts.map(Value::from).collect();
        let failures = failures(&flows);
        let failures = (!failures.is_empty()).then(|| failures.into_iter().collect::<Value>());
        let flows = flows.into_iter().map(Ended::into_record);
        let flows = flows.map(|flow| flow.with(names::JOB_ID, self.id.as_str()));
        let flows: Value = flows.collect();
        let several = rows.len() > 1;
        let rows = if rows.is_empty() { vec![Record::new()] } else { rows };
        let numbered = rows.into_iter().enumerate();
        numbered
            .map(|(k, row)| {
                let at = k.min(self.records.len() - 1);
                let (mut record, mut came) = (self.records[at].clone(), self.came(at));
                if let Some(came) = &mut came {
                    let found = row.iter().map(|(key, _)| key).chain(JUDGED);
                    found.for_each(|key| came.unsay(key));
                }
                record.remove(names::ERROR);
                record.extend(row);
                record.set(names::CONDITIONS, conditions.clone());
                match &failures {
                    Some(failures) => record.set(names::FAILURES, failures.clone()),
                    None => drop(record.remove(names::FAILURES)),
                }
                record.set(names::MISSED_FLOWS, missed);
                record.set(names::FLOW_RESULTS, flows.clone());
                if record.get(names::SCHEMA).is_some() {
                    record.set(names::VERSION, version.to_owned());
                }
                let id = if several { format!("{}.{k}", self.id) } else { self.id.clone() };
                Told { record: record.with(names::JOB_ID, id), came }
            })
            .collect()
    }

    /// The job's records as they were, but for what all rounds come to.
    pub(super) fn unchanged(&self, folded: &[Condition]) -> Vec<Told> {
        let conditions = self.conditions();
        let own = conditions.iter().filter(|condition| !is_fold(condition)).map(String::as_str);
        let now: Value = own.chain(folded.iter().map(Condition::as_str)).map(Value::from).collect();
        let told = |(at, record): (usize, &Record)| {
            let mut record = record.clone();
            if self.round.is_some() {
                record.set(names::CONDITIONS, now.clone());
            }
            Told { record, came: self.came(at) }
        };
        self.records.iter().enumerate().map(told).collect()
    }

    /// What tells its target from others.
    pub(super) fn target(&self) -> Identity {
        let record = &self.records[0];
        Identity {
            line: self.number,
            address: record.str("dip").and_then(|text| text.parse().ok()),
            port: record.u64("dp").and_then(|port| u16::try_from(port).ok()),
            domain: record.str("domain").map(str::to_owned),
        }
    }

    fn came(&self, at: usize) -> Option<Verbatim> {
        self.came[at].as_deref().cloned()
    }

    /// The job's record where the plugin fails now: as the run writes it, and with its flows.
    pub(super) fn failed(&self, error: Error, folded: &[Condition]) -> Vec<Told> {
        let (mut record, mut came) = (self.records[0].clone(), self.came(0));
        came.iter_mut().for_each(|came| JUDGED.into_iter().for_each(|key| came.unsay(key)));
        let folded: Value = folded.iter().map(|one| Value::from(one.as_str())).collect();
        record.set(names::CONDITIONS, folded);
        record.set(names::ERROR, format!("plugin: {error}"));
        vec![Told { record: record.with(names::JOB_ID, self.id.as_str()), came }]
    }
}

/// The jobs of a file of records.
pub(super) struct Pasts {
    lines: Lines,
    buffer: Vec<u8>,
    /// The job that was read beyond the last one.
    ahead: Option<Past>,
}

impl Pasts {
    pub(super) fn open(path: &Path) -> Result<Pasts, RejudgeError> {
        let lines = Lines::open(&Input::File(path.to_owned()))?.with_longest(LONGEST_LINE);
        Ok(Pasts { lines, buffer: Vec::new(), ahead: None })
    }

    /// The next job; `None` at the file's end.
    pub(super) fn next(&mut self) -> Result<Option<Past>, RejudgeError> {
        let mut past = match self.ahead.take() {
            Some(past) => past,
            None => match self.read()? {
                Some(past) => past,
                None => return Ok(None),
            },
        };
        while let Some(next) = self.read()? {
            if next.id != past.id {
                self.ahead = Some(next);
                break;
            }
            past.records.extend(next.records);
            past.came.extend(next.came);
        }
        Ok(Some(past))
    }

    /// The next line's record, as if it were all of its job.
    fn read(&mut self) -> Result<Option<Past>, RejudgeError> {
        loop {
            self.buffer.clear();
            if self.lines.read(&mut self.buffer)? == 0 {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let line = self.lines.number();
        let unfit = |reason| unfit(self.lines.name(), line, reason);
        if self.buffer.len() as u64 > LONGEST_LINE {
            return Err(unfit(format!("the line is longer than {LONGEST_LINE} octets")));
        }
        let (record, came) = parse_to_the_letter(self.buffer.trim_ascii())
            .map_err(|reason| unfit(format!("it is not a record: {reason}")))?;
        let id = record.str(names::JOB_ID).and_then(ReadJobId::parse);
        let ReadJobId { base, number, .. } =
            id.ok_or_else(|| unfit("it has no jobId of a run".to_owned()))?;
        let id = base.to_owned();
        let round = record.u64(names::ROUND).and_then(|round| u32::try_from(round).ok());
        Ok(Some(Past { line, id, number, round, records: vec![record], came: vec![came] }))
    }

    /// A job's connections, in the order of the configurations; `None` where the plugin had failed
    /// for it, so that its record has none.
    pub(super) fn connections(
        &self,
        past: &Past,
        configurations: usize,
    ) -> Result<Option<Vec<Restored>>, RejudgeError> {
        let record = &past.records[0];
        let Some(flows) = record.get("flow_results").and_then(Value::as_list) else {
            if record.get("spdr_error").is_some() {
                return Ok(None);
            }
            let reason = "it has no flow_results; measure with --output-flows to have them";
            return Err(self.unfit(past, reason));
        };
        if flows.len() != configurations {
            let reason = format!(
                "it has {} connections, and the plugin has {configurations} configurations",
                flows.len()
            );
            return Err(self.unfit(past, reason));
        }
        let restore = |flow: &Value| {
            let restored = flow.as_record().ok_or_else(|| "a flow result is none".to_owned());
            let restored = restored.and_then(|flow| {
                restore(flow).map_err(|lacking| {
                    format!("a flow result is not of this version of pathspider: {lacking}")
                })
            })?;
            let state = restored.outcome.state();
            let record = octets_in(restored.outcome.record());
            Ok(Restored { outcome: Outcome::with_record(state, record), ..restored })
        };
        let restored: Result<Vec<Restored>, String> = flows.iter().map(restore).collect();
        restored.map(Some).map_err(|reason| self.unfit(past, reason))
    }

    /// Why a job cannot be judged.
    pub(super) fn unfit(&self, past: &Past, reason: impl Into<String>) -> RejudgeError {
        unfit(self.lines.name(), past.line, reason.into())
    }
}

fn unfit(file: &str, line: u64, reason: String) -> RejudgeError {
    RejudgeError::Unfit { file: file.to_owned(), line: Some(line), reason }
}

impl Past {
    /// Its connection of this configuration. A file may have the records of several runs, so that the
    /// place in it is what tells jobs apart.
    pub(super) fn connection(&self, config: usize) -> ConnectionId {
        ConnectionId::new(JobNumber::new(self.line), Round::FIRST, ConfigId::new(config))
    }

    /// The job as the run had it. `takes_names`: whether the measurement does; `has_networks`: whether
    /// the run said in which networks source and target are.
    pub(super) fn job(&self, takes_names: bool, default_port: u16, has_networks: bool) -> Job {
        let record = &self.records[0];
        let address = record.str("dip").and_then(|text| text.trim().parse::<IpAddr>().ok());
        let address = address.map(|address| address.to_canonical());
        // A name has no path.
        let address = address.filter(|_| !takes_names || record.get(names::PATH).is_some());
        let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let port = record.u64("dp").and_then(|port| u16::try_from(port).ok());
        let mut own = Theirs::of(record, has_networks).as_it_came(record.clone());
        // Measurements see names as the DNS has them.
        if let Some(ascii) = record.str("domain").filter(|name| !name.is_ascii()).and_then(in_ascii)
        {
            own.set("domain", ascii.into_owned());
        }
        Job::new(self.number, address, port.unwrap_or(default_port), own)
    }

    pub(super) fn conditions(&self) -> Vec<String> {
        conditions(&self.records[0])
    }
}

/// A record's conditions.
pub(super) fn conditions(record: &Record) -> Vec<String> {
    let list = record.get("conditions").and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a connection is claimed again. If its local end is unknown and the run found no flow, the
/// capture has none either.
pub(super) fn is_claimed(restored: &Restored) -> bool {
    let is_known = restored.outcome.record().get("sip").is_some() || restored.last.is_some();
    restored.is_claimed && is_known
}

/// The claim that the run made for a connection.
pub(super) fn claim(restored: &Restored, id: ConnectionId) -> Result<Claim, String> {
    let outcome = restored.outcome.record();
    let end = |address, port| -> Option<SocketAddr> {
        let address: IpAddr = outcome.str(address)?.parse().ok()?;
        Some(SocketAddr::new(address, u16::try_from(outcome.u64(port)?).ok()?))
    };
    let time = |key| -> Option<i64> {
        let time: SystemTime = humantime::parse_rfc3339(outcome.str(key)?).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
    };
    let lacking = |what: &str| format!("the outcome of a connection has no {what}");
    let protocol = outcome.u64("proto").and_then(|number| u8::try_from(number).ok());
    Ok(Claim {
        id,
        protocol: protocol.unwrap_or(protocol::TCP),
        local: end("sip", "sp").ok_or_else(|| lacking("sip and sp"))?,
        remote: end("dip", "dp").ok_or_else(|| lacking("dip and dp"))?,
        started_ns: time("spdr_start").ok_or_else(|| lacking("spdr_start"))?,
        // What is written of it ends with its microsecond.
        ended_ns: time("spdr_stop").ok_or_else(|| lacking("spdr_stop"))?.saturating_add(1_000),
        last_ns: restored.last.map(last_ns),
    })
}

/// A record as it was before it was written as JSON: octets that are no text are octets again.
fn octets_in(record: &Record) -> Record {
    record.iter().map(|(key, value)| (key.to_owned(), octets(value))).collect()
}

fn octets(value: &Value) -> Value {
    match value.view() {
        ValueRef::List(list) => list.iter().map(octets).collect(),
        ValueRef::Map(record) => match (record.len(), record.str("base64")) {
            (1, Some(text)) if let Ok(octets) = BASE64.decode(text.as_bytes()) => octets.into(),
            _ => octets_in(record).into(),
        },
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back_as_they_were() {
        let body = vec![0x47u8, 0xe9, 0, 0xff];
        let outcome = Record::new()
            .with("http_response_body", body.clone())
            .with("tls_info", Record::new().with("alpn", b"\xff".to_vec()).with("sni", "a"));
        let text = serde_json::to_string(&outcome).unwrap();
        assert_eq!(octets_in(&serde_json::from_str(&text).unwrap()), outcome);
        let other = Record::new().with("x", Record::new().with("base64", "no octets"));
        assert_eq!(octets_in(&other), other);
    }

    #[test]
    fn a_connection_is_claimed_as_in_the_run() {
        let outcome = Record::new()
            .with("sip", "192.0.2.9")
            .with("sp", 4000u16)
            .with("dip", "192.0.2.1")
            .with("dp", 53u16)
            .with("proto", 17u8)
            .with("spdr_start", "2026-01-01T00:00:00.000001Z")
            .with("spdr_stop", "2026-01-01T00:00:01.000000Z");
        let outcome = Outcome::with_record(pathspider_plugin_api::State::Ok, outcome);
        let restored = Restored { outcome, is_claimed: true, last: Some(1_767_225_600.5) };
        let id = ConnectionId::new(JobNumber::new(7), Round::FIRST, ConfigId::BASELINE);
        let claim = claim(&restored, id).unwrap();
        assert_eq!((claim.id, claim.protocol), (id, protocol::UDP));
        assert_eq!(claim.local, "192.0.2.9:4000".parse().unwrap());
        assert_eq!(claim.ended_ns - claim.started_ns, 1_000_000_000);
        assert!((0..2_000).contains(&(claim.last_ns.unwrap() - 1_767_225_600_500_000_000)));
        let bare = Restored { outcome: Outcome::new(pathspider_plugin_api::State::Ok), ..restored };
        assert!(super::claim(&bare, id).unwrap_err().contains("sip and sp"));
        assert!(is_claimed(&bare), "the run has seen it");
        assert!(!is_claimed(&Restored { last: None, ..bare }), "the run has looked for it");
    }
}
