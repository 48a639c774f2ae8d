//! What the server keeps: streams, subjects, and the messages on them. Whoever wrote a message may be of
//! another version, or lie: what is read is checked.

use std::path::Path;

use data_encoding::HEXLOWER;
use pathspider_runtime::text::visible;
use ring::digest::{self, SHA256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::campaign::{Campaign, is_name};
use crate::course::Step;

/// The version of these messages.
pub(crate) const VERSION: u32 = 1;

/// Shards, places and campaigns at the most: they bound what a message can ask for.
pub(crate) const MOST_SHARDS: usize = 50_000;
const MOST_PLACES: usize = 10_000;
const MOST_MEASURES: usize = 1000;

/// Characters of a reason that are shown.
const LONGEST_REASON: usize = 400;

/// The stream of campaigns and of what is wanted of them. The last message of a subject counts.
pub(crate) const CONTROL: &str = "PS_CONTROL";
/// Targets: what is there stays.
pub(crate) const SHARDS: &str = "PS_SHARDS";
/// What agents say of themselves: the last word counts.
pub(crate) const AGENTS: &str = "PS_AGENTS";
/// Results: the first one of each subject stays, whoever writes another.
pub(crate) const RESULTS: &str = "PS_RESULTS";

/// The names of all campaigns: `ps.board`.
pub(crate) const BOARD: &str = "ps.board";

/// What is written to be read again at once, for the server's clock.
pub(crate) const CLOCK: &str = "ps.clock";

/// The names of all campaigns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Board {
    pub(crate) version: u32,
    pub(crate) campaigns: Vec<String>,
}

/// A campaign, as it was submitted: `ps.campaign.NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) version: u32,
    /// The campaign's file. Whoever reads it checks it as the file was checked.
    pub(crate) text: String,
    /// The version of each measurement's plugin where it was submitted; null where it was not there.
    pub(crate) plugins: Vec<Option<String>>,
    /// The SHA-256 of each shard, as it was sent.
    pub(crate) shards: Vec<String>,
    pub(crate) targets: u64,
    /// Whether some lines of the files were no targets.
    pub(crate) has_bad_lines: bool,
}

/// What is wanted of a campaign now: `ps.control.NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Control {
    pub(crate) version: u32,
    pub(crate) wanted: Wanted,
    /// Addresses and prefixes that are never measured, as the text of a file.
    pub(crate) blocklist: String,
}

/// What is wanted of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    Running,
    Paused,
    Cancelled,
    /// All results are in somebody's folder: agents need not keep their files.
    Collected,
}

/// What an agent says of itself and a campaign: `ps.report.NAME.PLACE`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    /// The agent's program.
    pub(crate) program: String,
    /// What it measures just now.
    pub(crate) measuring: Option<String>,
    /// When it sent its last result: RFC 3339, by the server's clock.
    pub(crate) last_result: Option<String>,
    /// Among how many places it takes the rate to be shared out.
    pub(crate) places: usize,
    /// What tells the order of the places in which it takes turns from others; empty without turns.
    #[serde(default)]
    pub(crate) order: String,
    /// Why shards wait.
    pub(crate) troubles: Vec<Trouble>,
}

/// Why shards wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// The measurement, from 1.
    pub(crate) measure: u64,
    /// The shard, from 1; null where all of the measurement's wait.
    pub(crate) shard: Option<u64>,
    pub(crate) reason: String,
    pub(crate) tries: u32,
}

/// The head of a result, which the records and the metadata follow:
/// `ps.result.NAME.PLACE.TIME.MEASURE.SHARD`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u32,
    /// Which campaign it is of, however often its name was used.
    pub(crate) campaign: String,
    /// The SHA-256 of the shard that was measured.
    pub(crate) shard: String,
    /// Octets of the records, which are compressed.
    pub(crate) records: usize,
    pub(crate) sha256: String,
    /// Octets of the metadata.
    pub(crate) metadata: usize,
    /// Whether the run ended with errors of single targets.
    pub(crate) has_errors: bool,
}

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) head: Head,
    pub(crate) records: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
}

impl Outcome {
    /// The result of a campaign's shard.
    pub(crate) fn new(
        (campaign, shard): (String, String),
        records: Vec<u8>,
        metadata: Vec<u8>,
        has_errors: bool,
    ) -> Outcome {
        let head = Head {
            version: VERSION,
            campaign,
            shard,
            records: records.len(),
            sha256: digest(&records),
            metadata: metadata.len(),
            has_errors,
        };
        Outcome { head, records, metadata }
    }

    /// As one message: a line of JSON, the records, the metadata.
    pub(crate) fn write(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(&self.head)?;
        text.push(b'\n');
        text.extend(&self.records);
        text.extend(&self.metadata);
        Ok(text)
    }

    /// # Errors
    ///
    /// Why the message is no result.
    pub(crate) fn read(text: &[u8]) -> Result<Outcome, String> {
        let end = text.iter().position(|&octet| octet == b'\n').ok_or("it has no head")?;
        let (head, rest) = text.split_at(end);
        let head: Head = parse(head)?;
        let rest = rest.get(1..).unwrap_or_default();
        if head.records.checked_add(head.metadata) != Some(rest.len()) {
            return Err("its length is not the one that its head names".to_owned());
        }
        let (records, metadata) = rest.split_at(head.records);
        if digest(records) != head.sha256 {
            return Err("the sum of its records is not the one that its head names".to_owned());
        }
        Ok(Outcome { records: records.to_vec(), metadata: metadata.to_vec(), head })
    }
}

/// One piece of work of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Work {
    pub(crate) step: Step,
    pub(crate) shard: u32,
}

pub(crate) fn campaign(name: &str) -> String {
    format!("ps.campaign.{name}")
}

pub(crate) fn control(name: &str) -> String {
    format!("ps.control.{name}")
}

pub(crate) fn report(name: &str, place: &str) -> String {
    format!("ps.report.{name}.{place}")
}

/// That a place measures a campaign.
pub(crate) fn member(name: &str, place: &str) -> String {
    format!("ps.member.{name}.{place}")
}

/// That a place has measured all of a campaign.
pub(crate) fn ready(name: &str, place: &str) -> String {
    format!("ps.member.{name}.{place}.ready")
}

/// All that places say of their part in a campaign.
pub(crate) fn members(name: &str) -> String {
    format!("ps.member.{name}.>")
}

/// Who works under a place's name.
pub(crate) fn holder(place: &str) -> String {
    format!("ps.holder.{place}")
}

pub(crate) fn shard(name: &str, shard: u32) -> String {
    format!("ps.shard.{name}.{shard}")
}

pub(crate) fn result(name: &str, place: &str, work: Work) -> String {
    let Work { step, shard } = work;
    format!("ps.result.{name}.{place}.{}.{}.{shard}", step.time, step.measure)
}

/// All results of a place.
pub(crate) fn results(name: &str, place: &str) -> String {
    format!("ps.result.{name}.{place}.>")
}

/// The work that a result's subject is of.
pub(crate) fn work_of(subject: &str) -> Option<Work> {
    let mut parts = subject.split('.').skip(4);
    let (time, measure, shard) = (parts.next()?, parts.next()?, parts.next()?);
    let step = Step { time: time.parse().ok()?, measure: measure.parse().ok()? };
    Some(Work { step, shard: shard.parse().ok()? })
}

/// The places that measure a campaign, and those of them that have measured all.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Members {
    pub(crate) places: Vec<String>,
    pub(crate) ready: Vec<String>,
}

impl Members {
    /// Those that these subjects name, in the order of their names.
    pub(crate) fn of<'a>(subjects: impl IntoIterator<Item = &'a str>) -> Members {
        let mut members = Members::default();
        for subject in subjects.into_iter().take(2 * MOST_PLACES) {
            let mut parts = subject.split('.').skip(3);
            let Some(place) = parts.next().filter(|place| is_name(place)) else { continue };
            match parts.next() {
                None => members.places.push(place.to_owned()),
                Some(_) => members.ready.push(place.to_owned()),
            }
        }
        members.places.sort();
        members.ready.sort();
        members
    }
}

/// Reads a message of ours.
///
/// # Errors
///
/// It is of another version, or none.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Only {
        version: u32,
    }
    let none = |error: serde_json::Error| format!("it cannot be read: {error}");
    let Only { version } = serde_json::from_slice(text).map_err(none)?;
    if version != VERSION {
        return Err(format!("it is of version {version}, and this program has version {VERSION}"));
    }
    serde_json::from_slice(text).map_err(none)
}

impl Definition {
    /// Reads the message of a campaign of this name, and what its file says: as its agents may measure
    /// it, without the files that it names.
    ///
    /// # Errors
    ///
    /// It is of another version, damaged, or asks for what no campaign can.
    pub(crate) fn read(text: &[u8], name: &str) -> Result<(Definition, Campaign), String> {
        let definition: Definition = parse(text)?;
        let mut campaign = Campaign::parse(&definition.text, Path::new("/"))
            .map_err(|wrong| format!("its file: {}", visible(&wrong.reason, LONGEST_REASON)))?;
        let is_sound = campaign.name == name
            && (1..=MOST_SHARDS).contains(&definition.shards.len())
            && (1..=MOST_MEASURES).contains(&campaign.measures.len())
            && definition.plugins.len() == campaign.measures.len()
            && campaign.measures.iter().all(|measure| is_name(&measure.plugin));
        if !is_sound {
            return Err("this program would not submit such a campaign".to_owned());
        }
        // No campaign names files of another machine.
        campaign.targets.clear();
        campaign.courtesy.blocklists.clear();
        for (measure, version) in campaign.measures.iter_mut().zip(&definition.plugins) {
            measure.capture = false;
            measure.version = measure.version.take().or_else(|| version.clone());
        }
        Ok((definition, campaign))
    }

    /// Which campaign it is, however often its name was used.
    pub(crate) fn id(&self) -> String {
        let mut sum = digest::Context::new(&SHA256);
        sum.update(self.text.as_bytes());
        self.shards.iter().for_each(|shard| sum.update(shard.as_bytes()));
        HEXLOWER.encode(sum.finish().as_ref())
    }
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn digest(text: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&SHA256, text).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_what_was_written_or_refused() {
        let of = ("id".to_owned(), "sum".to_owned());
        let outcome = Outcome::new(of, b"records".to_vec(), b"{}".to_vec(), true);
        let text = outcome.write().unwrap();
        assert_eq!(Outcome::read(&text).unwrap(), outcome);
        assert!(Outcome::read(&text[..text.len() - 1]).unwrap_err().contains("length"));
        let end = text.iter().position(|&octet| octet == b'\n').unwrap();
        let mut damaged = text.clone();
        damaged[end + 1] ^= 1;
        assert!(Outcome::read(&damaged).unwrap_err().contains("sum"));
        let newer = String::from_utf8(text).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(Outcome::read(newer.as_bytes()).unwrap_err().contains("version 2"));
        for text in ["", "\n", "{}\n", "x"] {
            assert!(Outcome::read(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn subjects_name_their_work() {
        let work = Work { step: Step { time: 3, measure: 1 }, shard: 17 };
        let subject = result("spring", "zurich", work);
        assert_eq!(subject, "ps.result.spring.zurich.3.1.17");
        assert_eq!(work_of(&subject), Some(work));
        for subject in ["ps.result.a.b.1.2", "ps.result.a.b.x.1.2", ""] {
            assert_eq!(work_of(subject), None);
        }
    }

    #[test]
    fn subjects_name_places_and_those_that_have_measured_all() {
        let subjects = ["ps.member.a.z", "ps.member.a.b", "ps.member.a.b.ready", "ps.member.a. "];
        let members = Members::of(subjects);
        assert_eq!(
            (members.places, members.ready),
            (vec!["b".into(), "z".into()], vec!["b".into()])
        );
    }

    #[test]
    fn a_campaign_of_another_machine_names_no_files_here() {
        let text = "name = 'a'\ntargets = '/etc/shadow'\nblocklists = ['/etc/passwd']\n\
            [[measure]]\nplugin = 'ecn'\ncapture = true\n";
        let definition = Definition {
            version: VERSION,
            text: text.to_owned(),
            plugins: vec![Some("0.1.0".to_owned())],
            shards: vec!["x".to_owned()],
            targets: 1,
            has_bad_lines: false,
        };
        let sent = serde_json::to_vec(&definition).unwrap();
        let (read, campaign) = Definition::read(&sent, "a").unwrap();
        assert_eq!(read, definition);
        assert!(campaign.targets.is_empty() && campaign.courtesy.blocklists.is_empty());
        assert!(!campaign.measures[0].capture);
        assert_eq!(campaign.measures[0].version.as_deref(), Some("0.1.0"));
        assert!(Definition::read(&sent, "b").unwrap_err().contains("not submit such a campaign"));
        let path = text.replace("'ecn'", "'/tmp/x.so'");
        let sent = serde_json::to_vec(&Definition { text: path, ..definition.clone() }).unwrap();
        assert!(Definition::read(&sent, "a").unwrap_err().contains("not submit such a campaign"));
        let more = format!("interface = 'eth0'\n{text}");
        let sent = serde_json::to_vec(&Definition { text: more, ..definition }).unwrap();
        assert!(Definition::read(&sent, "a").unwrap_err().contains("interface"));
    }
}
