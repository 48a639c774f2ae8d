//! The keys of an input line beside ours: what comes back under its own name, what an earlier run
//! wrote, and what is kept under another name because it is named like a key of ours.

use pathspider_plugin_api::Record;
use pathspider_records::names;

use crate::job::Verbatim;

/// Which keys of a line are named like ours, and what becomes of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theirs {
    /// Whether the line is a record of ours, which has a key of each name only if we wrote it.
    is_ours: bool,
    /// Whether it is a record at all: PATHspider's have fewer keys.
    is_record: bool,
    /// Whether this run says in which networks source and target are.
    has_networks: bool,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Back,
    Dropped,
    Aside,
}

impl Theirs {
    /// Of a line. `has_networks`: whether the run says in which networks source and target are.
    pub(crate) fn of(line: &Record, has_networks: bool) -> Theirs {
        let is_record = line.get(names::CONDITIONS).is_some_and(|said| said.as_list().is_some());
        let is_ours =
            is_record && line.get(names::SCHEMA).is_some_and(|said| said.as_u64().is_some());
        Theirs { is_ours, is_record, has_networks }
    }

    fn fate(self, key: &str) -> Fate {
        match key {
            // What an earlier line had there stays there.
            names::INPUT if self.is_ours => Fate::Back,
            key if names::is_pathspiders(key) && self.is_record => Fate::Dropped,
            key if names::is_ours(key) && self.is_ours => Fate::Dropped,
            key if names::is_ours(key) => Fate::Aside,
            key if self.has_networks && names::is_of_networks(key) => {
                if self.is_ours {
                    Fate::Dropped
                } else {
                    Fate::Aside
                }
            }
            _ => Fate::Back,
        }
    }

    /// A line's keys as its record has them.
    pub(crate) fn keys(self, mut line: Record) -> Record {
        let named: Vec<(String, Fate)> = line
            .iter()
            .map(|(key, _)| (key, self.fate(key)))
            .filter(|(_, fate)| *fate != Fate::Back)
            .map(|(key, fate)| (key.to_owned(), fate))
            .collect();
        let mut aside = Record::new();
        for (key, fate) in named {
            if let (Some(value), Fate::Aside) = (line.remove(&key), fate) {
                aside.push(key, value);
            }
        }
        if !aside.is_empty() {
            line.push(names::INPUT, aside);
        }
        line
    }

    /// A record's keys as the line had them that it was made of.
    pub(crate) fn as_it_came(self, record: Record) -> Record {
        let mut line = self.keys(record);
        if self.is_ours
            && let Some(aside) = line.remove(names::INPUT)
        {
            line.extend(aside.as_record().cloned().unwrap_or_default());
        }
        line
    }

    /// The same of what came to the letter.
    pub(crate) fn to_the_letter(self, came: &mut Verbatim) {
        came.retain(|key| self.fate(key) != Fate::Dropped);
        came.put_aside(names::INPUT, |key| self.fate(key) == Fate::Aside);
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::rules;
    use pathspider_records::shape::RECORD;

    use super::*;

    /// What of a line its record has, by both ways.
    fn back(line: &str, has_networks: bool) -> String {
        let record: Record = serde_json::from_str(line).unwrap();
        let theirs = Theirs::of(&record, has_networks);
        let mut came = Verbatim::of(line).unwrap();
        theirs.to_the_letter(&mut came);
        let record = theirs.keys(record);
        let text = serde_json::to_string(&record).unwrap();
        let mut written = Vec::new();
        came.write(&record, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), text, "to the letter");
        text
    }

    #[test]
    fn what_an_earlier_run_wrote_does_not_stay() {
        let line = r#"{"rank":1,"dip":"192.0.2.1","sip":"192.0.2.9","path":["*"],"conditions":["a"],"time":{"from":"x"},"missed_flows":2,"flow_results":[{}],"jobId":"1-0","spdr_error":"plugin: x","lab_path":"clean","sp":7"#;
        let users = r#"{"rank":1,"dip":"192.0.2.1","lab_path":"clean","sp":7"#;
        assert_eq!(back(&format!("{line}}}"), false), format!("{users}}}"));
        let ours = r#","schema":1,"run":"x","plugin":"y","version":"1","tags":{},"failures":[],"input":{"run":7}}"#;
        let input = r#","input":{"run":7}}"#;
        assert_eq!(back(&format!("{line}{ours}"), false), format!("{users}{input}"));
    }

    #[test]
    fn what_is_named_like_ours_is_kept_aside() {
        let line = r#"{"dip":"192.0.2.1","run":7,"k":1,"plugin":"theirs","path":"/x","input":[],"dip_asn":5}"#;
        assert_eq!(
            back(line, false),
            r#"{"dip":"192.0.2.1","k":1,"dip_asn":5,"input":{"run":7,"plugin":"theirs","path":"/x","input":[]}}"#
        );
        assert_eq!(
            back(r#"{"dip":"192.0.2.1","dip_asn":5}"#, true),
            r#"{"dip":"192.0.2.1","input":{"dip_asn":5}}"#
        );
        // PATHspider's records have no such keys, so they are the user's.
        assert_eq!(
            back(r#"{"dip":"192.0.2.1","conditions":[],"run":7}"#, false),
            r#"{"dip":"192.0.2.1","input":{"run":7}}"#
        );
        let line = r#"{"dip":"192.0.2.1","schema":1,"conditions":"theirs"}"#;
        let aside = r#"{"dip":"192.0.2.1","input":{"schema":1,"conditions":"theirs"}}"#;
        assert_eq!(back(line, false), aside, "conditions of ours are a list");
    }

    #[test]
    fn what_the_contract_reserves_is_ours() {
        assert!(rules::JOB_KEYS.iter().all(|key| names::is_ours(key)));
        // Those that say where the target is are the job's.
        let jobs = ["dip", "dp", "domain", "domain_ascii"];
        for key in RECORD.iter().map(|key| key.name).filter(|key| !jobs.contains(key)) {
            let is_reserved = rules::JOB_KEYS.contains(&key);
            assert_eq!(is_reserved, names::is_ours(key), "{key}");
            assert!(is_reserved || names::is_of_networks(key), "{key}");
        }
    }

    #[test]
    fn what_is_kept_aside_comes_back_to_the_letter() {
        let line = r#"{"dip":"192.0.2.1","run":123456789012345678901234567890,"run":1e2}"#;
        let record: Record = serde_json::from_str(r#"{"dip":"192.0.2.1","run":100}"#).unwrap();
        let theirs = Theirs::of(&record, false);
        let mut came = Verbatim::of(line).unwrap();
        theirs.to_the_letter(&mut came);
        let mut written = Vec::new();
        came.write(&theirs.keys(record), &mut written);
        let expected =
            r#"{"dip":"192.0.2.1","input":{"run":123456789012345678901234567890,"run":1e2}}"#;
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
