//! Lines of masscan's lists (`-oL`) and of its and nmap's lists for grep (`-oG`): what they say of one
//! open port.

use std::net::IpAddr;

use pathspider_plugin_api::Record;

use super::columns::rank;
use super::place::{port, port_of};
use super::target::{Said, Target};
use super::wrong::Wrong;

/// The target of such a line; `None` where it is another one.
pub(super) fn parse(line: &[u8]) -> Option<Result<Target, Wrong>> {
    // These letters begin the lines.
    if !matches!(line.first(), Some(b'o' | b'c' | b'b' | b'H' | b'T')) {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?.trim();
    list(line).or_else(|| grepable(line))
}

/// `open tcp 80 192.0.2.1 1600000000`, `banner tcp 80 192.0.2.1 1600000000 http …`.
fn list(line: &str) -> Option<Result<Target, Wrong>> {
    let mut words = line.splitn(6, ' ');
    let status = words.next().filter(|word| matches!(*word, "open" | "closed" | "banner"))?;
    let (proto, port, address) = (words.next()?, words.next()?, words.next()?);
    address.parse::<IpAddr>().ok()?;
    let mut record = Record::new().with("status", status).with("proto", proto);
    let mut said = Said { address: Some(address), is_dip: true, ..Said::default() };
    // What answers to ICMP has no port.
    if proto != "icmp" {
        said.port = match port_of("the port", port) {
            Ok(port) => Some(port),
            Err(wrong) => return Some(Err(wrong)),
        };
        record.push("dp", said.port);
    }
    record.push("dip", address);
    if let Some(timestamp) = words.next() {
        record.push("timestamp", rank(timestamp));
    }
    if let Some(banner) = words.next() {
        record.push("banner", banner);
    }
    Some(Target::new(said, record, None))
}

/// `Timestamp: 1600000000⇥Host: 192.0.2.1 (a.example)⇥Ports: 80/open/tcp//http//`.
fn grepable(line: &str) -> Option<Result<Target, Wrong>> {
    let mut record = Record::new();
    let mut said = Said { is_dip: true, ..Said::default() };
    let mut open = None;
    for part in line.split('\t') {
        let (name, value) = part.split_once(": ")?;
        match name {
            "Timestamp" => record.push("timestamp", rank(value.trim())),
            "Host" => {
                let (address, domain) = value.split_once(' ').unwrap_or((value, ""));
                let domain = domain.trim().trim_start_matches('(').trim_end_matches(')');
                record.push("dip", address);
                said.address = Some(address);
                if !domain.is_empty() {
                    record.push("domain", domain);
                    said.domain = Some(domain);
                }
            }
            "Ports" => open = Some(value),
            _ => {}
        }
    }
    said.address?;
    let Some(ports) = open else { return Some(Target::new(said, record, None)) };
    let entry = |entry: &str| {
        let mut parts = entry.trim().split('/');
        let (number, state, proto) = (parts.next()?, parts.next()?, parts.next()?);
        (state == "open" && matches!(proto, "tcp" | "udp" | "sctp")).then_some(())?;
        Some((port(number)?, proto.to_owned()))
    };
    let mut found = ports.split(',').filter_map(entry);
    Some(match (found.next(), found.next()) {
        (Some((number, proto)), None) => {
            said.port = Some(number);
            record.push("dp", number);
            record.push("proto", proto);
            Target::new(said, record, None)
        }
        (Some(_), Some(_)) => Err(Wrong::Ports),
        (None, _) => Err(Wrong::Scan),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<String> {
        parse(line.as_bytes()).map(|target| match target {
            Ok(target) => serde_json::to_string(&target.record).unwrap(),
            Err(wrong) => wrong.to_string(),
        })
    }

    #[test]
    fn lines_of_masscan_and_nmap() {
        for (line, record) in [
            (
                "open tcp 8080 192.0.2.1 1600000000\n",
                r#"{"status":"open","proto":"tcp","dp":8080,"dip":"192.0.2.1","timestamp":1600000000}"#,
            ),
            (
                "banner tcp 80 2001:db8::1 16 http HTTP/1.1 200 OK",
                r#"{"status":"banner","proto":"tcp","dp":80,"dip":"2001:db8::1","timestamp":16,"banner":"http HTTP/1.1 200 OK"}"#,
            ),
            (
                "open icmp 0 192.0.2.1 16",
                r#"{"status":"open","proto":"icmp","dip":"192.0.2.1","timestamp":16}"#,
            ),
            (
                "Timestamp: 16\tHost: 192.0.2.1 ()\tPorts: 8080/open/tcp//http-alt//",
                r#"{"timestamp":16,"dip":"192.0.2.1","dp":8080,"proto":"tcp"}"#,
            ),
            (
                "Host: 192.0.2.1 (a.example)\tPorts: 22/closed/tcp//ssh///, 80/open/tcp//http///\tIgnored State: filtered (98)",
                r#"{"dip":"192.0.2.1","domain":"a.example","dp":80,"proto":"tcp"}"#,
            ),
            ("Host: 192.0.2.1 ()\tStatus: Up", r#"{"dip":"192.0.2.1"}"#),
        ] {
            assert_eq!(read(line).as_deref(), Some(record), "{line}");
        }
        let several = "Host: 192.0.2.1 ()\tPorts: 80/open/tcp////, 443/open/tcp////";
        assert!(read(several).unwrap().contains("several ports"));
        assert!(read("open tcp 0 192.0.2.1 16").unwrap().contains("not a port"));
        assert!(
            read("Host: 192.0.2.1 ()\tPorts: 80/closed/tcp////").unwrap().contains("no address")
        );
    }

    #[test]
    fn other_lines_are_left_to_others() {
        for line in ["open.example", "Host,Port", "closed tcp", "open tcp 80 host 1", "Host: x"] {
            assert_eq!(read(line).filter(|_| !line.starts_with("Host: ")), None, "{line}");
        }
    }
}
