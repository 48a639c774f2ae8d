//! `docs/chains.md` is what the chains declare. Write it anew with
//! `WRITE_DOCS=1 cargo test -p pathspider --test chains_page`.

use std::fmt::Write;
use std::path::Path;

use pathspider_observer::chains::Catalogue;

fn page() -> String {
    let mut page = String::from(
        "# Observer chains\n\nThe fields that each library chain writes into a flow record, as \
         `pathspider observe --list-chains`\nshows them. *fwd* is the direction of the flow's \
         first packet (in a measurement, ours), *rev* the\nother. Every flow has `pkt_first` and \
         `pkt_last` too, the times of its first and last packet in\nseconds since the Unix epoch. \
         This page is made from the chains' declarations.\n\nIn a measurement, chains see \
         only those incoming packets that answer ours: see\n[what counts as an \
         answer](architecture.md#what-counts-as-an-answer). An ICMP error is no answer: only the \
         chain\n`icmp` sees it.\n",
    );
    for entry in Catalogue::library().list() {
        let info = &entry.info;
        let _ = write!(page, "\n## {}\n\nLooks at: {}.\n", info.name, info.description);
        if !info.fields.is_empty() {
            page += "\n| field | type | unit | meaning |\n|---|---|---|---|\n";
        }
        for field in &info.fields {
            let (kind, meaning) = (field.kind.name(), field.meaning.replace('|', "\\|"));
            let _ = writeln!(page, "| `{}` | {kind} | {} | {meaning} |", field.name, field.unit);
        }
    }
    page
}

#[test]
fn the_page_is_what_the_chains_declare() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/chains.md");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "write it anew; see the head of this test");
}
