//! Rows of every shape, good and bad.

use std::io::Cursor;

use super::super::place::Place;
use super::*;

/// The rows of a text: each target's keys as they are written, or what is wrong, with the line's number.
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
            Ok(Row::Target(target)) => found.push(written(&target)),
            Err(wrong) => found.push(format!("{number}: {wrong}")),
        }
    }
}

fn written(target: &Target) -> String {
    let mut out = Vec::new();
    match &target.came {
        Some(came) => came.write(&target.record, &mut out),
        None => serde_json::to_writer(&mut out, &target.record).unwrap(),
    }
    String::from_utf8(out).unwrap()
}

/// Where a row leads to that stands alone, or below a header.
fn place(text: &str) -> (String, Option<u16>) {
    let mut lines = Lines::new("t".into(), Box::new(Cursor::new(text.as_bytes().to_vec())));
    let mut rows = Rows::new();
    loop {
        let mut line = Vec::new();
        assert!(lines.read(&mut line).unwrap() > 0, "{text}");
        if let Row::Target(target) = rows.read(&mut line, &mut lines).unwrap().unwrap() {
            let place = match target.place {
                Place::Address(address) => address.to_string(),
                Place::Name(name) => name,
            };
            return (place, target.port);
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
    assert_eq!(place("www.example.org,80,x.example"), ("www.example.org".into(), Some(80)));
}

#[test]
fn lists_of_other_programs_need_no_header() {
    let at = |port| ("192.0.2.1".to_owned(), port);
    for row in [
        "192.0.2.1",
        "  192.0.2.1  # the gateway",
        "\"192.0.2.1\"",
        "192.0.2.1,",
        "192.0.2.1,,,,,",
        "192.0.2.1,www.example.org",
        "www.example.org,192.0.2.1",
        "192.0.2.1,www.example.org,tag",
        "192.0.2.1,,www.example.org",
        "::ffff:192.0.2.1",
    ] {
        assert_eq!(place(row), at(None), "{row}");
    }
    for row in [
        "192.0.2.1:8080",
        "192.0.2.1:8080 # web",
        "192.0.2.1,8080",
        "192.0.2.1, 8080 ,",
        "192.0.2.1\t8080",
        "192.0.2.1;8080",
        "192.0.2.1,www.example.org,tag,8080",
        "192.0.2.1:8080,www.example.org",
        "192.0.2.1,8080,www.example.org,7",
        "192.0.2.1,08080,,,",
        "192.0.2.1,8080.0",
    ] {
        assert_eq!(place(row), at(Some(8080)), "{row}");
    }
    assert_eq!(place("[2001:DB8::1]:443"), ("2001:db8::1".into(), Some(443)));
    assert_eq!(place("2001:db8::1,443"), ("2001:db8::1".into(), Some(443)));
    for row in ["www.example.org", ",www.example.org", "7,www.example.org"] {
        assert_eq!(place(row), ("www.example.org".into(), None), "{row}");
    }
    let (place, port) = place("www.example.org:443");
    assert_eq!((&*place, port), ("www.example.org", Some(443)));
}

#[test]
fn a_row_that_may_mean_two_things_is_refused() {
    for row in [
        "foo,www.example.org",
        "foo,192.0.2.1",
        "80,192.0.2.1",
        "www.example.org,80",
        "7,8",
        "192.0.2.1,,tag,8080",
        "1,www.example.org,80",
        "192.0.2.1,80,a.example,1,2",
        "192.0.2.1,192.0.2.2,80",
    ] {
        let found = rows(row);
        assert!(found[0].contains("may mean several things"), "{row}: {found:?}");
    }
    for (row, word) in [
        ("192.0.2.1,http", "is not a port"),
        ("192.0.2.1,0", "is not a port"),
        ("192.0.2.1,65536", "is not a port"),
        ("192.0.2.1,192.0.2.2", "is not a port"),
        ("192.0.2.1:80,443", "twice"),
        ("192.0.2.1 80", "commas"),
        ("192.0.2.0/24", "many addresses"),
        ("fe80::1%eth0,80", "-i"),
        (",,", "neither dip"),
    ] {
        let found = rows(row);
        assert!(found[0].contains(word), "{row}: {found:?}");
    }
}

#[test]
fn headers_of_other_programs_are_known() {
    let at = ("192.0.2.1".to_owned(), Some(8080));
    for text in [
        "ip,port\n192.0.2.1,8080\n",
        "Port,IP\n8080,192.0.2.1\n",
        "ip\tport\n192.0.2.1\t8080\n",
        "ip;port;note\n192.0.2.1;8080;a,b\n",
        "\"ip\",\"port\"\n\"192.0.2.1\",\"8080\"\n",
        "ip,port,,\n192.0.2.1,8080,,\n",
        "ip,port\n192.0.2.1,8080,,\n",
        "saddr,daddr,sport,dport,success\n192.0.2.1,10.0.0.1,8080,44123,1\n",
        "dip,dport,sport\n192.0.2.1,8080,44123\n",
        "ip,port\nip,port\n192.0.2.1,8080\n",
    ] {
        assert_eq!(place(text), at, "{text}");
    }
    assert_eq!(place("saddr\n192.0.2.1\n"), ("192.0.2.1".into(), None));
    // A second header where files were joined, and another one.
    let joined = rows("192.0.2.1\nip,note\n192.0.2.2,x\nip,note\n192.0.2.3,y\n");
    assert_eq!(joined[1..2], ["header"]);
    assert_eq!(joined[3..], ["header", r#"{"dip":"192.0.2.3","note":"y"}"#]);
}

#[test]
fn a_name_in_another_script_comes_back_as_it_came() {
    let spelled = r#"{"dip":"192.0.2.1","dp":80,"domain":"münchen.example","domain_ascii":"xn--mnchen-3ya.example"}"#;
    assert_eq!(rows("192.0.2.1,80,münchen.example\n"), [spelled]);
    assert_eq!(place("7,münchen.example").0, "xn--mnchen-3ya.example");
    assert_eq!(
        rows("192.0.2.1,80,a.example,007"),
        [r#"{"dip":"192.0.2.1","dp":80,"domain":"a.example","rank":"007"}"#]
    );
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
        rows("192.0.2.1,80,\"a\n192.0.2.2,80,b\n192.0.2.3\n"),
        [
            "1: a quoted field has no end",
            r#"{"dip":"192.0.2.2","dp":80,"domain":"b"}"#,
            r#"{"dip":"192.0.2.3"}"#
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
