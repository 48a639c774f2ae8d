//! The records of the library chains over the captures of PATHspider's own tests equal those of
//! PATHspider, but for its faults and for the keys that only our chains have.
//!
//! The captures are not in the repository. They are looked for in `../shared/corpus` beside the
//! checkout; where they are absent, the test says so.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pathspider_observer::chains::Catalogue;
use pathspider_observer::{Settings, SourceOptions, observe, open};
use pathspider_plugin_api::ChainName;
use serde_json::Value;

/// The keys that a chain of PATHspider's name gives beside PATHspider's own.
const ADDED: &[(&str, &str)] = &[("icmp", "icmp_errors")];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    chains: Vec<String>,
    flows: Vec<Value>,
}

fn corpus() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let corpus = root.parent()?.join("shared/corpus");
    corpus.join("expected.json").exists().then_some(corpus)
}

fn records(capture: &Path, chains: &[String]) -> Vec<Value> {
    let names: Vec<ChainName> = chains.iter().map(|name| name.as_str().into()).collect();
    let chains = Catalogue::library().resolve(&names).unwrap().chains;
    let mut source = open(capture.to_str().unwrap(), &SourceOptions::default()).unwrap();
    let mut records = Vec::new();
    let observed = observe(
        &mut source,
        chains,
        &Settings::default(),
        &mut |record: &_, failure: Option<_>| {
            assert!(failure.is_none());
            records.push(serde_json::to_value(record).unwrap());
            Ok(())
        },
    );
    assert_eq!(observed.source, Ok(()), "{}", capture.display());
    assert_eq!(observed.counters.malformed_total(), 0, "{}", capture.display());
    records.sort_by(|a, b| {
        a["pkt_first"].as_f64().unwrap().total_cmp(&b["pkt_first"].as_f64().unwrap())
    });
    records
}

#[test]
fn records_equal_pathspiders() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: ../shared/corpus is not there");
        return;
    };
    let expected = std::fs::read_to_string(corpus.join("expected.json")).unwrap();
    let expected: BTreeMap<String, Vec<Case>> = serde_json::from_str(&expected).unwrap();
    assert!(!expected.is_empty());
    let mut differences = Vec::new();
    for (capture, cases) in &expected {
        for case in cases {
            let mut found = records(&corpus.join(capture), &case.chains);
            for (chain, key) in ADDED {
                let asked = case.chains.iter().any(|name| name == chain);
                for record in &mut found {
                    let added = record.as_object_mut().unwrap().remove(*key);
                    assert_eq!(added.is_some(), asked, "{capture}: {key}");
                }
            }
            if found != case.flows {
                differences.push(format!(
                    "{capture} {:?}\n  expected {}\n  found    {}",
                    case.chains,
                    serde_json::to_string(&case.flows).unwrap(),
                    serde_json::to_string(&found).unwrap()
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
