//! What the databases say, of files that are made here.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::*;

/// A value of a MaxMind DB.
enum Value {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

use Value::{List, Long, Map, Number, Short, Text};

/// Writes a value as the format's second version has it. Sizes are below 29.
fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Text(text) => {
            out.push(2 << 5 | text.len() as u8);
            out.extend(text.as_bytes());
        }
        Short(number) => {
            out.push(5 << 5 | 2);
            out.extend(number.to_be_bytes());
        }
        // Types beyond the seventh stand in an octet of their own.
        Long(number) => {
            out.extend([8, 9 - 7]);
            out.extend(number.to_be_bytes());
        }
        List(values) => {
            out.extend([values.len() as u8, 11 - 7]);
            values.iter().for_each(|value| encode(value, out));
        }
        Number(number) => {
            out.push(6 << 5 | 4);
            out.extend(number.to_be_bytes());
        }
        Map(members) => {
            out.push(7 << 5 | members.len() as u8);
            for (key, value) in members {
                encode(&Text(key), out);
                encode(value, out);
            }
        }
    }
}

/// A MaxMind DB of IPv4 prefixes.
fn mmdb(kind: &'static str, entries: Vec<(&str, Value)>) -> Vec<u8> {
    // A node's two records: another node, or an entry beyond all nodes.
    #[derive(Clone, Copy)]
    enum Record {
        None,
        Node(usize),
        Entry(usize),
    }
    let (mut nodes, mut data) = (vec![[Record::None; 2]], Vec::new());
    for (prefix, value) in &entries {
        let prefix: ipnet::Ipv4Net = prefix.parse().unwrap();
        let (bits, mut at) = (u32::from(prefix.network()), 0);
        for depth in 0..prefix.prefix_len() {
            let side = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == prefix.prefix_len() {
                nodes[at][side] = Record::Entry(data.len());
            } else if let Record::Node(next) = nodes[at][side] {
                at = next;
            } else {
                nodes.push([Record::None; 2]);
                nodes[at][side] = Record::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
        encode(value, &mut data);
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match *record {
            Record::None => nodes.len(),
            Record::Node(node) => node,
            Record::Entry(offset) => nodes.len() + 16 + offset,
        };
        file.extend(&(number as u32).to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Map(vec![
        ("binary_format_major_version", Short(2)),
        ("binary_format_minor_version", Short(0)),
        ("build_epoch", Long(1_700_000_000)),
        ("database_type", Text(kind)),
        ("description", Map(vec![("en", Text("made for a test"))])),
        ("ip_version", Short(4)),
        ("languages", List(vec![Text("en")])),
        ("node_count", Number(nodes.len() as u32)),
        ("record_size", Short(24)),
    ]);
    encode(&metadata, &mut file);
    file
}

fn open(name: &str, octets: &[u8]) -> Result<Databases, AsnError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, octets).unwrap();
    Databases::open(&[path])
}

fn opened(files: &[(&str, Vec<u8>)]) -> Databases {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, octets): &(&str, Vec<u8>)| {
        let path = folder.path().join(name);
        fs::write(&path, octets).unwrap();
        path
    };
    let paths: Vec<PathBuf> = files.iter().map(write).collect();
    Databases::open(&paths).unwrap()
}

/// System, prefix and country of an address, as texts.
fn found(databases: &Databases, address: &str) -> (Option<u32>, String, String) {
    let Network { asn, prefix, country } = databases.find(address.parse().unwrap());
    let prefix = prefix.map(|prefix| prefix.to_string()).unwrap_or_default();
    (asn, prefix, country.map(|country| country.as_str().to_owned()).unwrap_or_default())
}

fn is(asn: u32, prefix: &str, country: &str) -> (Option<u32>, String, String) {
    (Some(asn), prefix.to_owned(), country.to_owned())
}

const NOTHING: (Option<u32>, String, String) = (None, String::new(), String::new());

const PREFIXES: &str = "192.0.2.0\t24\t64500\n192.0.2.128\t25\t64501_64502\n\
                        2001:db8::\t32\t64503,64504\n198.51.100.7\t24\t4200000000\n";

#[test]
fn the_longest_announced_prefix_counts() {
    let databases = opened(&[("a", PREFIXES.into())]);
    assert_eq!(found(&databases, "192.0.2.1"), is(64500, "192.0.2.0/24", ""));
    assert_eq!(found(&databases, "192.0.2.200"), is(64501, "192.0.2.128/25", ""));
    assert_eq!(found(&databases, "::ffff:192.0.2.1"), is(64500, "192.0.2.0/24", ""));
    assert_eq!(found(&databases, "2001:db8::1"), is(64503, "2001:db8::/32", ""));
    assert_eq!(found(&databases, "198.51.100.1"), is(4_200_000_000, "198.51.100.0/24", ""));
    assert_eq!(found(&databases, "203.0.113.1"), NOTHING);
    let described = databases.described();
    assert_eq!((described[0].format, described[0].prefixes), ("prefix2as", Some(4)));
}

#[test]
fn entries_of_each_publisher_are_read() {
    let geolite = || Map(vec![("autonomous_system_number", Number(64500))]);
    let country = || Map(vec![("country", Map(vec![("iso_code", Text("CH"))]))]);
    let ipinfo = || Map(vec![("asn", Text("AS64501")), ("country", Text("de"))]);
    let lite = || Map(vec![("country", Text("Germany")), ("country_code", Text("DE"))]);
    for (entry, asn, code) in [
        (geolite(), Some(64500), ""),
        (country(), None, "CH"),
        (ipinfo(), Some(64501), "DE"),
        (lite(), None, "DE"),
    ] {
        let databases = opened(&[("a", mmdb("Test", vec![("192.0.2.0/25", entry)]))]);
        let prefix = if asn.is_some() { "192.0.2.0/25" } else { "" };
        let expected = (asn, prefix.to_owned(), code.to_owned());
        assert_eq!(found(&databases, "192.0.2.1"), expected);
        assert_eq!(found(&databases, "192.0.2.129"), NOTHING);
        assert_eq!(found(&databases, "2001:db8::1"), NOTHING, "it has IPv4 alone");
        let described = &databases.described()[0];
        let name = described.database.as_deref();
        assert_eq!((name, described.built), (Some("Test"), Some(1_700_000_000)));
    }
}

#[test]
fn the_first_file_that_knows_counts() {
    let country = Map(vec![("country", Map(vec![("iso_code", Text("CH"))]))]);
    let other = Map(vec![("asn", Number(7)), ("country", Text("FR"))]);
    let databases = opened(&[
        ("country", mmdb("Country", vec![("192.0.2.0/24", country)])),
        ("prefixes", PREFIXES.into()),
        ("other", mmdb("Other", vec![("192.0.0.0/8", other)])),
    ]);
    assert_eq!(found(&databases, "192.0.2.1"), is(64500, "192.0.2.0/24", "CH"));
    assert_eq!(found(&databases, "192.0.3.1"), is(7, "192.0.0.0/8", "FR"));
}

#[test]
fn files_may_be_compressed() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(PREFIXES.as_bytes()).unwrap();
    let databases = opened(&[("a.gz", packed.finish().unwrap())]);
    assert_eq!(found(&databases, "192.0.2.1"), is(64500, "192.0.2.0/24", ""));
}

#[test]
fn what_is_no_database_is_refused_with_one_line() {
    let nothing = Map(vec![("domain", Text("x.example"))]);
    let mut torn = mmdb("Torn", vec![("192.0.2.0/24", Map(vec![("asn", Number(7))]))]);
    torn.drain(3..30);
    let cases: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        ("it is empty", Vec::new()),
        ("its first line is no prefix", b"rank,domain\n1,x.example\n".to_vec()),
        ("it is no text", vec![0xff, 0xfe, 0, 1]),
        (
            ":2: \"192.0.2.0\\t99\\t1\" is no prefix",
            b"192.0.2.0\t24\t1\n192.0.2.0\t99\t1\n".to_vec(),
        ),
        (
            "(\"Domain\") say neither AS nor country",
            mmdb("Domain", vec![("192.0.2.0/24", nothing)]),
        ),
        ("is no database", torn),
    ]);
    for (reason, octets) in cases {
        let error = open("x", &octets).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = Databases::open(&["/nowhere/x"]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the database /nowhere/x: "), "{error}");
}
