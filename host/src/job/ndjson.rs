//! One job as a JSON object: at least `dip`; `dp` and `domain` where given; all other keys kept.

use std::net::IpAddr;

use pathspider_plugin_api::{Record, Value, ValueRef};

/// What a line says of its target.
#[derive(Debug)]
pub(super) struct Target {
    /// `None` where the line has a name only.
    pub(super) address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) record: Record,
}

/// Parses one line.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Target, String> {
    let record: Record = serde_json::from_slice(line).map_err(|error| {
        // The parser sees one line only, so its own line number would mislead.
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        format!("{reason}, at column {}", error.column())
    })?;
    let address = match record.get("dip").map(Value::view) {
        Some(ValueRef::Text(text)) => Some(address(text)?),
        Some(_) => return Err("dip is not a text".to_owned()),
        None if record.str("domain").is_some() => None,
        None => return Err("it has no dip, the target's address".to_owned()),
    };
    let port = match record.get("dp") {
        None => None,
        Some(value) if value.is_null() => None,
        Some(value) => Some(port(value)?),
    };
    Ok(Target { address, port, record })
}

/// Parses a target's address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is not an IP address (names have to be resolved first)"))
}

fn port(value: &Value) -> Result<u16, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|&port| port != 0)
        .ok_or_else(|| format!("dp is {value:?}, which is not a port (1 to 65535)"))
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
        assert!(reason("{}").contains("no dip"));
        assert!(reason(r#"{"dip":5}"#).contains("not a text"));
        assert!(reason(r#"{"dip":"example.org"}"#).contains("not an IP address"));
        assert!(reason(r#"{"dip":"192.0.2.1","dp":0}"#).contains("not a port"));
        assert!(reason(r#"{"dip":"192.0.2.1","dp":65536}"#).contains("not a port"));
    }
}
