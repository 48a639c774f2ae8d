//! Rows of every shape, good and bad.

use std::io::Cursor;

use super::super::target::Place;
use super::*;

/// The rows of a text: each target's record as JSON, or what is wrong, with the line's number.
fn rows(text: &str) -> Vec<String> {
    let mut lines = Lines::new("t".into(), Box::new(Cursor::new(text.as_bytes().to_vec())));
    let mut rows = Rows::new();
    let mut found = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read(&mut line).unwrap() == 0 {
            return found;
        }
        let number = lines.number();
        match rows.read(&mut line, &mut lines).unwrap() {
            Ok(Row::Header) => found.push("header".to_owned()),
            Ok(Row::Target(target)) => {
                found.push(serde_json::to_string(&target.record).unwrap());
            }
            Err(reason) => found.push(format!("{number}: {reason}")),
        }
    }
}

#[test]
fn the_three_shapes() {
    assert_eq!(
        rows("192.0.2.1, 80,\"a, \"\"b\"\".example\"\r\n2001:db8::1,443,example.org,12\n"),
        [
            r#"{"dip":"192.0.2.1","dp":80,"domain":"a, \"b\".example"}"#,
            r#"{"dip":"2001:db8::1","dp":443,"domain":"example.org","rank":12}"#
        ]
    );
    assert_eq!(rows("12,example.org"), [r#"{"rank":12,"domain":"example.org"}"#]);
    assert_eq!(rows("www.example.org,80,"), [r#"{"dip":"www.example.org","dp":80}"#]);
}

#[test]
fn a_header_names_the_columns() {
    assert_eq!(
        rows("Rank,note,HOST,ip,Port\n7,\"x, y\",a.example,192.0.2.1,8080\n,,b.example,,\n1\n"),
        [
            "header",
            r#"{"rank":7,"note":"x, y","domain":"a.example","dip":"192.0.2.1","dp":8080}"#,
            r#"{"domain":"b.example"}"#,
            "4: the row has 1 fields, the header 5"
        ]
    );
    assert!(rows("ip,address\n")[0].contains("two columns of the header mean \"dip\""));
    assert_eq!(rows("rank,domain\n3,host\n"), ["header", r#"{"rank":3,"domain":"host"}"#]);
}

#[test]
fn quoted_fields_may_have_line_ends() {
    assert_eq!(
        rows("ip,note\n192.0.2.1,\"a\r\nb\n\nc\"\nnonsense\n192.0.2.2,d\n"),
        [
            "header",
            r#"{"dip":"192.0.2.1","note":"a\r\nb\n\nc"}"#,
            "6: the row has 1 fields, the header 2",
            r#"{"dip":"192.0.2.2","note":"d"}"#
        ]
    );
}

#[test]
fn a_quote_that_is_a_slip_costs_its_own_line_only() {
    let slips = rows("192.0.2.1,80,\"a\n192.0.2.2,80,\"b\n192.0.2.3,80,c\n");
    assert_eq!(slips.len(), 3, "{slips:?}");
    assert!(slips[0].starts_with("1: ") && slips[1].starts_with("2: "), "{slips:?}");
    assert!(slips[2].contains("192.0.2.3"));
    assert_eq!(
        rows("192.0.2.1,80,\"a\n192.0.2.2,80,b\nx\n"),
        [
            "1: a quoted field has no end",
            r#"{"dip":"192.0.2.2","dp":80,"domain":"b"}"#,
            "3: the row has 1 fields, not 2 (rank,domain), 3 (ip,port,host) or 4 \
             (ip,port,host,rank), and the first row names no columns"
        ]
    );
}

#[test]
fn many_and_long_fields() {
    let long = "x".repeat(5000);
    let header: String = (0..100).map(|n| format!(",c{n}")).collect();
    let row: String = (0..100).map(|n| format!(",{long}{n}")).collect();
    let found = rows(&format!("ip{header}\n192.0.2.1{row}\n192.0.2.2{row}\n"));
    assert_eq!(found.len(), 3);
    assert!(found[2].ends_with(&format!("\"c99\":\"{long}99\"}}")));
}

#[test]
fn reasons_say_what_is_wrong() {
    assert!(rows("192.0.2.1,http,host")[0].contains("not a port"));
    assert!(rows("192.0.2,80,host")[0].contains("neither an IP address nor a name"));
}

#[test]
fn a_name_for_an_address_is_a_name() {
    let fields = ["www.example.org", "80", "x.example"];
    let row = target(&[Column::Address, Column::Port, Column::Domain], &fields).unwrap();
    assert_eq!(row.place, Place::Name("www.example.org".into()));
}
