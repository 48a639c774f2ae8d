//! The numbers and words that both sides have to mean the same by.

use std::time::Duration;

use crate::abi::guard::Failure;
use crate::abi::{chain_to_record, describe, measurement_to_record, tables, talking};
use crate::error::{Error, ErrorKind};
use crate::packet::{Layers, TcpFlags};
use crate::{
    Carrier, ChainInfo, Configuration, Connect, ConnectKind, FieldInfo, FieldType, Hold, Info,
    Level, Options, Outcome, Record, State, Value, ValueRef,
};

/// Numbers: none may change within a major version.
pub(super) fn numbers() -> Vec<String> {
    let mut numbers: Vec<(String, u64)> = vec![
        ("FLOW_IGNORED".into(), tables::FLOW_IGNORED.into()),
        ("FLOW_TAKEN".into(), tables::FLOW_TAKEN.into()),
        ("FLOW_FAILED".into(), tables::FLOW_FAILED.into()),
        ("PACKET_MORE".into(), tables::PACKET_MORE.into()),
        ("PACKET_DONE".into(), tables::PACKET_DONE.into()),
        ("PACKET_FAILED".into(), tables::PACKET_FAILED.into()),
        ("NEXT_WAIT".into(), talking::NEXT_WAIT.into()),
        ("NEXT_WAIT_FOR".into(), talking::NEXT_WAIT_FOR.into()),
        ("NEXT_DONE".into(), talking::NEXT_DONE.into()),
        ("ENDED_DONE".into(), talking::ENDED_DONE.into()),
        ("ENDED_TIMEOUT".into(), talking::ENDED_TIMEOUT.into()),
        ("ENDED_OVERRUN".into(), talking::ENDED_OVERRUN.into()),
    ];
    for (name, layer) in [
        ("NONE", Layers::NONE),
        ("IP4", Layers::IP4),
        ("IP6", Layers::IP6),
        ("ICMP4", Layers::ICMP4),
        ("ICMP6", Layers::ICMP6),
        ("TCP", Layers::TCP),
        ("UDP", Layers::UDP),
        ("L4", Layers::L4),
    ] {
        numbers.push((format!("Layers::{name}"), layer.0.into()));
    }
    for state in (0..=u64::from(u8::MAX)).filter_map(State::from_number) {
        numbers.push((format!("State::{state:?}"), state.number().into()));
    }
    for kind in ErrorKind::ALL {
        let failure = Failure::from(Error::of(kind, ""));
        numbers.push((format!("Failure::{kind:?}"), failure.kind().into()));
    }
    for level in Level::ALL {
        numbers.push((format!("Level::{level:?}"), level as u64));
    }
    numbers.into_iter().map(|(name, number)| format!("    {name} = {number}")).collect()
}

/// Keys of records with their types, and texts that have a meaning. A new one needs no new version, for
/// a side that does not know it refuses it by name.
pub(super) fn words() -> Vec<String> {
    let mut words = Vec::new();
    tell("measurement", &measurement_to_record(full_info(), &full_options()), &mut words);
    let configurations = (0..).zip(Hold::ALL).map(|(place, hold)| {
        let carrier = if place == 0 { Carrier::Data } else { Carrier::Opening };
        Configuration::new(place, "").hold(hold).carrier(carrier)
    });
    let configurations = describe::configurations_to_value(configurations.collect()).unwrap();
    tell_value("configuration", &configurations, &mut words);
    use FieldType::{Bool, Float, List, Text, UInt};
    let field =
        |kind| FieldInfo { name: String::new(), kind, unit: String::new(), meaning: String::new() };
    let fields = [Bool, UInt, Float, Text, List].map(field).into();
    let chain = ChainInfo { name: String::new(), description: String::new(), fields };
    tell("chain", &chain_to_record(chain), &mut words);
    for connect in connects() {
        tell("connect", &connect.into_wire().0, &mut words);
    }
    tell("location", crate::location::one_of_each().record(), &mut words);
    tell("outcome", &Outcome::new(State::Ok).into_record(), &mut words);
    words.sort();
    words.dedup();
    words
}

fn full_info() -> Info {
    crate::conditions! {
        GOOD: good("", "");
        ABSENT: absent("", "");
        IMPAIRED: impaired("", "");
        UNKNOWN: unknown("", "");
    }
    let _ = [GOOD, ABSENT, IMPAIRED, UNKNOWN];
    let info = Info::new("", "", "").blocking().takes_names().changes_system().converses_with("");
    info.depends().conditions(CONDITIONS)
}

fn full_options() -> Options {
    Options::none()
        .flag("", "")
        .integer("", 0..=1, 0, "")
        .words([("", 0)])
        .number("", 0.0..=1.0, 0.5, "", "")
        .text("", "", "")
        .choice("", &[""], "")
}

/// A connection of each kind, and one with all settings.
fn connects() -> Vec<Connect> {
    let all = Connect::packets(Vec::new(), Duration::ZERO)
        .dscp(0)
        .ecn(0)
        .ttl(0)
        .mss(0)
        .fast_open()
        .mptcp()
        .congestion_control("")
        .to(std::net::Ipv4Addr::UNSPECIFIED.into())
        .port(0)
        .source_port(0)
        .alpn(&[])
        .header("", "")
        .query("")
        .version(0)
        .padding(0)
        .grease_fixed_bit()
        .repeat(Duration::ZERO, 0)
        .until_done()
        .tcp_flags(TcpFlags::NONE)
        .tcp_options(&[]);
    let none = [Connect::skip(""), Connect::not_supported("")];
    ConnectKind::ALL.map(Connect::new).into_iter().chain([all]).chain(none).collect()
}

/// Keys whose texts are words of the contract.
const MEANT: [&str; 5] = [".type", ".hold", ".carrier", ".class", "kind"];

/// A line for each key: its path, its type and, of the words that have a meaning, which.
fn tell(path: &str, record: &Record, lines: &mut Vec<String>) {
    for (key, value) in record.iter() {
        tell_value(&format!("{path}.{key}"), value, lines);
    }
}

fn tell_value(path: &str, value: &Value, lines: &mut Vec<String>) {
    let kind = match value.view() {
        ValueRef::Null => "null",
        ValueRef::Bool(_) => "bool",
        ValueRef::Int(_) | ValueRef::UInt(_) => "integer",
        ValueRef::Float(_) => "float",
        ValueRef::Text(word) if MEANT.iter().any(|key| path.ends_with(key)) => {
            return lines.push(format!("    {path}: text {word}"));
        }
        ValueRef::Text(_) => "text",
        ValueRef::Bytes(_) => "bytes",
        ValueRef::List(list) => {
            lines.push(format!("    {path}: list"));
            return list.iter().for_each(|value| tell_value(&format!("{path}[]"), value, lines));
        }
        ValueRef::Map(record) => return tell(path, record, lines),
    };
    lines.push(format!("    {path}: {kind}"));
}
