//! One job as a comma-separated row (RFC 4180): `ip,port,host` (PATHspider 0.9),
//! `ip,port,host,rank` (1.0) or `rank,domain` (for measurements that take names).

use pathspider_plugin_api::{Record, Value};

use super::ndjson::{Target, address};

/// Parses one row.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Target, String> {
    let mut rows = csv::ReaderBuilder::new()
        .buffer_capacity(512)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(line);
    let mut row = csv::StringRecord::new();
    rows.read_record(&mut row).map_err(|error| error.to_string())?;
    match row.len() {
        2 => Ok(Target {
            address: None,
            port: None,
            record: Record::new().with("rank", rank(&row[0])).with("domain", &row[1]),
        }),
        3 | 4 => with_address(&row),
        count => Err(format!(
            "the row has {count} fields, not 2 (rank,domain), 3 (ip,port,host) or 4 \
             (ip,port,host,rank)"
        )),
    }
}

fn with_address(row: &csv::StringRecord) -> Result<Target, String> {
    let address = address(&row[0])?;
    let port: u16 = row[1]
        .parse()
        .ok()
        .filter(|&port| port != 0)
        .ok_or_else(|| format!("{:?} is not a port (1 to 65535)", &row[1]))?;
    let mut record = Record::new().with("dip", address).with("dp", port).with("domain", &row[2]);
    if let Some(text) = row.get(3) {
        record.set("rank", rank(text));
    }
    Ok(Target { address: Some(address), port: Some(port), record })
}

/// A rank: a number where it is one.
fn rank(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes() {
        let target = parse(br#"192.0.2.1, 80,"a, b.example""#).unwrap();
        assert_eq!(target.record.str("domain"), Some("a, b.example"));
        let target = parse(b"2001:db8::1,443,example.org,12").unwrap();
        assert_eq!(target.record.u64("rank"), Some(12));
        assert_eq!(target.port, Some(443));
        let target = parse(b"12,example.org").unwrap();
        assert_eq!((target.address, target.record.str("domain")), (None, Some("example.org")));
    }

    #[test]
    fn reasons_say_what_is_wrong() {
        assert!(parse(b"192.0.2.1").unwrap_err().contains("1 fields"));
        assert!(parse(b"ip,port,host").unwrap_err().contains("not an IP address"));
        assert!(parse(b"192.0.2.1,http,host").unwrap_err().contains("not a port"));
    }
}
