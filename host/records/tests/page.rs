//! The tables of `docs/records.md` are the lists of keys. Write them anew with
//! `WRITE_DOCS=1 cargo test -p pathspider-records --test page`.

use std::fs;
use std::path::Path;

use pathspider_records::shape::{DNS_INFO, FLOW, HTTP, Key, QUIC_INFO, RECORD, TLS_INFO, table};

/// What stands before a table, and behind it.
const TABLES: [(&str, &[Key]); 6] = [
    ("<!-- keys of a record -->\n", RECORD),
    ("<!-- keys of a flow result -->\n", FLOW),
    ("<!-- keys of HTTP -->\n", HTTP),
    ("<!-- keys of TLS -->\n", TLS_INFO),
    ("<!-- keys of DNS -->\n", DNS_INFO),
    ("<!-- keys of QUIC -->\n", QUIC_INFO),
];
const END: &str = "<!-- end of keys -->\n";

#[test]
fn the_tables_are_what_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/records.md");
    let mut page = fs::read_to_string(&path).unwrap();
    for (begin, keys) in TABLES {
        let (before, rest) = page.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
        let (_, after) = rest.split_once(END).unwrap();
        page = format!("{before}{begin}\n{}\n{END}{after}", table(keys));
    }
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == page, "write it anew; see the head of this test");
}
