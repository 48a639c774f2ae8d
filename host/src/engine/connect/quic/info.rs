//! What a record says of a connection (`quic_info`), and the word for its end.

use pathspider_plugin_api::{Record, Value};
use quinn_proto::ConnectionError;

use super::super::failure::Failure;
use super::acks::Marks;
use super::course::{Course, Offered};
use super::seen::{Seen, Space};

/// Octets of a reason that are kept.
const REASON: usize = 256;

/// The codes of a close that are alerts of TLS (RFC 9001, section 4.8).
const ALERTS: std::ops::Range<u64> = 0x100..0x200;

/// A version as records have it.
pub(super) fn version(version: u32) -> Value {
    format!("{version:#010x}").into()
}

/// What is known of the versions.
pub(super) fn versions(asked: u32, offered: Option<&Offered>) -> Record {
    let record = Record::new().with("version", version(asked));
    let Some(Offered { versions, total }) = offered else { return record };
    let list: Value = versions.iter().copied().map(version).collect();
    record.with("versions", list).with("versions_total", *total as u64)
}

/// What is known of a connection.
pub(super) fn of(course: &Course, asked: u32) -> Record {
    let seen = course.known.lock();
    let mut record = versions(asked, course.offered.as_ref()).with("retry", seen.is_retried);
    if let Some(time) = course.handshake {
        record.set("handshake_us", time.as_micros() as u64);
    }
    record.set("ecn", spaces(&seen));
    record.set("came", came(course.came));
    if seen.greased > 0 {
        record.set("greased", seen.greased);
    }
    if course.ignored > 0 {
        record.set("ignored", course.ignored);
    }
    if let Some(parameters) = &seen.parameters {
        record.set("parameters", parameters.record());
    }
    if let Some(close) = course.lost.as_ref().and_then(close) {
        record.set("close", close);
    }
    record
}

/// What became of our packets in each space in which some were sent.
fn spaces(seen: &Seen) -> Record {
    let mut record = Record::new();
    for (space, name) in Space::ALL {
        let sent = seen.of(space);
        if sent.packets == 0 {
            continue;
        }
        let mut counts =
            Record::new().with("sent", sent.packets).with("acknowledged", sent.acknowledged());
        if let Some(Marks { ect0, ect1, ce }) = sent.marks {
            counts = counts.with("ect0", ect0).with("ect1", ect1).with("ce", ce);
        }
        record.set(name, counts);
    }
    record
}

/// The marks of the datagrams that came.
fn came([not_ect, ect1, ect0, ce]: [u64; 4]) -> Record {
    Record::new().with("not_ect", not_ect).with("ect0", ect0).with("ect1", ect1).with("ce", ce)
}

/// The code that ended it, where one did.
fn close(lost: &ConnectionError) -> Option<Record> {
    let (code, reason, by, is_application) = match lost {
        ConnectionError::ConnectionClosed(close) => {
            (close.error_code.into(), &close.reason[..], "target", false)
        }
        ConnectionError::ApplicationClosed(close) => {
            (close.error_code.into_inner(), &close.reason[..], "target", true)
        }
        ConnectionError::TransportError(error) => {
            (error.code.into(), error.reason.as_bytes(), "us", false)
        }
        _ => return None,
    };
    let reason = &reason[..reason.len().min(REASON)];
    let record = Record::new().with("code", code).with("by", Value::text(by));
    Some(record.with("application", is_application).with("reason", reason.to_vec()))
}

/// The word for the end of a connection.
pub(super) fn failure(lost: &ConnectionError) -> Failure {
    let alert = |code: u64| ALERTS.contains(&code).then_some(code as u8);
    match lost {
        ConnectionError::VersionMismatch => Failure::NoVersion,
        ConnectionError::TransportError(error) => match alert(error.code.into()) {
            Some(_) => Failure::TlsError,
            None => Failure::QuicError,
        },
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code.into()) {
            Some(alert) => Failure::TlsAlert(alert),
            None => Failure::Closed,
        },
        ConnectionError::ApplicationClosed(_) => Failure::Closed,
        ConnectionError::Reset => Failure::Reset,
        ConnectionError::TimedOut => Failure::Timeout,
        // Of ourselves we close only what broke the rules of HTTP/3.
        ConnectionError::LocallyClosed => Failure::BadResponse,
        ConnectionError::CidsExhausted => Failure::Other,
    }
}
