//! One job as a JSON object: at least `dip` or `domain`; `dp` where given; all other keys kept.

use pathspider_plugin_api::{Record, Value, ValueRef};

use super::target::{self, Target};

/// Parses one line as an object, of whatever keys.
///
/// # Errors
///
/// What is wrong with it.
pub fn parse_record(line: &[u8]) -> Result<Record, String> {
    serde_json::from_slice(line).map_err(|error| {
        // The parser sees one line only, so its own line number would mislead.
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        format!("{reason}, at column {}", error.column())
    })
}

/// Parses one line as a target.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Target, String> {
    let record = parse_record(line)?;
    let dip = match record.get("dip").map(Value::view) {
        Some(ValueRef::Text(text)) => Some(text.to_owned()),
        Some(ValueRef::Null) | None => None,
        Some(_) => return Err("dip is not a text".to_owned()),
    };
    let port = match record.get("dp") {
        None => None,
        Some(value) if value.is_null() => None,
        Some(value) => Some(port(value)?),
    };
    Target::new(dip.as_deref(), port, record)
}

fn port(value: &Value) -> Result<u16, String> {
    let port = match value.view() {
        ValueRef::Text(text) => target::port(text),
        _ => value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|&port| port != 0),
    };
    port.ok_or_else(|| format!("dp is {value:?}, which is not a port (1 to 65535)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> String {
        parse(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn keys_keep_their_order() {
        let target =
            parse(br#"{"rank":1,"dip":"192.0.2.1","info":{"ASN":64500},"dp":"8080"}"#).unwrap();
        assert_eq!(target.port, Some(8080));
        let text = serde_json::to_string(&target.record).unwrap();
        assert_eq!(text, r#"{"rank":1,"dip":"192.0.2.1","info":{"ASN":64500},"dp":"8080"}"#);
    }

    #[test]
    fn reasons_say_what_is_wrong() {
        assert!(reason("{").contains("at column 1"));
        assert!(reason("[1]").contains("expected an object"));
        assert!(reason("{}").contains("neither dip"));
        assert!(reason(r#"{"dip":null,"domain":""}"#).contains("neither dip"));
        assert!(reason(r#"{"dip":5}"#).contains("not a text"));
        assert!(reason(r#"{"dip":"192.0.2.300"}"#).contains("neither an IP address nor a name"));
        assert!(reason(r#"{"dip":"192.0.2.1","dp":0}"#).contains("not a port"));
        assert!(reason(r#"{"dip":"192.0.2.1","dp":65536}"#).contains("not a port"));
    }
}
