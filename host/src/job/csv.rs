//! One job as a comma-separated row (RFC 4180): `ip,port,host` (PATHspider 0.9) or
//! `ip,port,host,rank` (1.0).

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
    rows.read_record(&mut row)
        .map_err(|error| error.to_string())?;
    if !(3..=4).contains(&row.len()) {
        return Err(format!(
            "the row has {} fields, not 3 (ip,port,host) or 4 (ip,port,host,rank)",
            row.len()
        ));
    }
    let address = address(&row[0])?;
    let port: u16 = row[1]
        .parse()
        .ok()
        .filter(|&port| port != 0)
        .ok_or_else(|| format!("{:?} is not a port (1 to 65535)", &row[1]))?;
    let mut record = Record::new()
        .with("dip", address)
        .with("dp", port)
        .with("domain", &row[2]);
    if let Some(rank) = row.get(3) {
        record.set(
            "rank",
            rank.parse::<u64>()
                .map_or_else(|_| Value::from(rank), Value::from),
        );
    }
    Ok(Target {
        address,
        port: Some(port),
        record,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes() {
        let target = parse(br#"192.0.2.1, 80, "a, b.example""#).unwrap();
        assert_eq!(target.record.str("domain"), Some("a, b.example"));
        let target = parse(b"2001:db8::1,443,example.org,12").unwrap();
        assert_eq!(target.record.u64("rank"), Some(12));
        assert_eq!(target.port, Some(443));
    }

    #[test]
    fn reasons_say_what_is_wrong() {
        assert!(parse(b"1,example.org").unwrap_err().contains("2 fields"));
        assert!(
            parse(b"ip,port,host")
                .unwrap_err()
                .contains("not an IP address")
        );
        assert!(
            parse(b"192.0.2.1,http,host")
                .unwrap_err()
                .contains("not a port")
        );
    }
}
