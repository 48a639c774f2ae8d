//! Reads a location from a record, for the commands that show it.

use pathspider_locate::field::{NotRead, Shown};
use pathspider_locate::location::{Fate, HopSeen};
use pathspider_locate::{Change, Field, Finding, Location, Reading, Shape, Span, Time};
use pathspider_plugin_api::{Carrier, Record, Value};
use pathspider_records::names;

/// What was found of one configuration with one of its packets.
pub(crate) struct Told {
    /// The configuration's place.
    pub(crate) config: u64,
    pub(crate) aspect: String,
    pub(crate) carrier: Carrier,
    pub(crate) location: Location,
}

/// All that a record has. An entry that does not read as one is left out.
pub(crate) fn told(record: &Record) -> Vec<Told> {
    let entries = record.get(names::LOCATION).and_then(Value::as_list).unwrap_or_default();
    entries.iter().filter_map(Value::as_record).filter_map(entry).collect()
}

fn entry(record: &Record) -> Option<Told> {
    let carrier = match record.str("carrier")? {
        "data" => Carrier::Data,
        _ => Carrier::Opening,
    };
    let shape = match record.str("shape")? {
        "halves" => Shape::Halves,
        _ => Shape::Every,
    };
    let hop = |key| record.u64(key).and_then(|hop| u8::try_from(hop).ok());
    let number = |key| record.u64(key).and_then(|number| u32::try_from(number).ok());
    let location = Location {
        shape,
        findings: findings(record).ok()?,
        alike: texts(record, "alike").filter_map(alike).collect(),
        hops: records(record, "hops").filter_map(seen).collect(),
        last_well: hop("last_well"),
        target_at: hop("target_at"),
        quoted_to: hop("quoted_to"),
        unknown: texts(record, "unknown").map(str::to_owned).collect(),
        sent: number("packets")?,
        at_target: number("at_target")?,
        flows: hop("flows")?,
        took: Time::from_millis(record.u64("ms")?),
    };
    let (config, aspect) = (record.u64("config")?, record.str("aspect")?.to_owned());
    Some(Told { config, aspect, carrier, location })
}

fn texts<'r>(record: &'r Record, key: &str) -> impl Iterator<Item = &'r str> {
    let list = record.get(key).and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_str)
}

fn records<'r>(record: &'r Record, key: &str) -> impl Iterator<Item = &'r Record> {
    let list = record.get(key).and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_record)
}

/// The words of conditions; what changes were stands beside.
fn findings(record: &Record) -> Result<Vec<Finding>, NotRead> {
    let mut changed = records(record, "changed");
    let finding = |words: &str| {
        let (word, place) = words.split_once(':').unwrap_or((words, ""));
        Ok(match word {
            "changed" => change(changed.next().ok_or(NotRead)?)?,
            "dropped" => Finding::Dropped(place.parse()?),
            "rejected" => Finding::Rejected(place.parse()?),
            "beyond" => Finding::Beyond(place.parse().map_err(|_| NotRead)?),
            "some_paths" => Finding::SomePaths,
            "not_reproduced" => Finding::NotReproduced,
            "unquoted" => Finding::Unquoted,
            _ => return Err(NotRead),
        })
    };
    texts(record, "found").map(finding).collect()
}

fn change(record: &Record) -> Result<Finding, NotRead> {
    let text = |key| record.str(key).ok_or(NotRead);
    let field: Field = text("field")?.parse()?;
    let reading = |key| Reading::read(field, text(key)?);
    let hop: Span = text("hop")?.parse()?;
    Ok(Finding::Changed { field, hop, from: reading("from")?, to: reading("to")? })
}

fn alike(text: &str) -> Option<(Field, u8)> {
    let (field, hop) = text.split_once(':')?;
    Some((field.parse().ok()?, hop.parse().ok()?))
}

fn seen(record: &Record) -> Option<HopSeen> {
    let after = Time::from_micros(record.u64("rtt_us").unwrap_or_default());
    let hop = u8::try_from(record.u64("hop")?).ok()?;
    let of = |key| match record.get(key).and_then(Value::as_record) {
        Some(fate) => fate_of(fate, record, after),
        None => Some(Fate::Unasked),
    };
    Some(HopSeen { hop, plain: of("plain")?, marked: of("marked")? })
}

fn fate_of(fate: &Record, of_hop: &Record, after: Time) -> Option<Fate> {
    let address = |record: &Record| record.str("from")?.parse().ok();
    let octet = |key| fate.u64(key).and_then(|number| u8::try_from(number).ok());
    Some(match fate.str("fate")? {
        "answered" => Fate::Answered { after },
        "refused" => {
            Fate::Refused { from: address(fate)?, icmp: octet("type").zip(octet("code")), after }
        }
        "seen" => {
            let shown = Shown {
                changes: texts(fate, "differs").filter_map(differs).collect(),
                hidden: Vec::new(),
                octets: fate.u64("quoted")?.try_into().ok()?,
                ttl: octet("ttl")?,
            };
            let from = address(fate).or_else(|| address(of_hop))?;
            Fate::Seen { from, after, shown: Box::new(shown) }
        }
        _ => Fate::Silent,
    })
}

/// `ecn:2>0`. Of ports and addresses, which are pairs themselves, there are three such signs.
fn differs(text: &str) -> Option<Change> {
    let (field, values) = text.split_once(':')?;
    let field: Field = field.parse().ok()?;
    let middle = values.match_indices('>').nth(values.matches('>').count() / 2)?.0;
    let (sent, seen) = (&values[..middle], &values[middle + 1..]);
    let read = |text| Reading::read(field, text).ok();
    Some(Change { field, sent: read(sent)?, seen: read(seen)? })
}

#[cfg(test)]
mod tests {
    use pathspider_asn::Databases;
    use pathspider_locate::{Subject, Template};
    use pathspider_plugin_api::ConfigId;
    use pathspider_plugin_api::forge::Packet;

    use super::super::{Wanted, record};
    use super::*;

    #[test]
    fn what_a_record_says_is_read_as_it_was_written() {
        let syn = Packet::to([192, 0, 2, 1].into()).source([192, 0, 2, 2].into()).tcp_syn(80);
        let wanted = Wanted {
            config: ConfigId::new(1),
            aspect: "ecn".into(),
            carrier: Carrier::Data,
            subject: Subject {
                plain: None,
                marked: Template::new(&syn.source_port(1).bytes().unwrap()).unwrap(),
                handshake: None,
                distance: None,
                arrives: true,
                is_impaired: true,
            },
        };
        let span = |first, last| Span { first, last };
        let changed = |field, hop, from, to| Finding::Changed { field, hop, from, to };
        let (after, router) = (Time::from_micros(1_500), "192.0.2.9".parse().unwrap());
        let change = |field, sent, seen| Change { field, sent, seen };
        let [first, other] = ["192.0.2.2", "198.51.100.1"].map(|text| text.parse().unwrap());
        let shown = Shown {
            changes: vec![
                change(Field::Ecn, Reading::Number(2), Reading::Number(0)),
                change(Field::TcpOption(8), Reading::Octets(vec![0, 255]), Reading::Absent),
                change(Field::Ports, Reading::Ports(1, 80), Reading::Ports(2, 80)),
                change(
                    Field::Addresses,
                    Reading::Addresses(first, first),
                    Reading::Addresses(other, first),
                ),
            ],
            octets: 40,
            ttl: 1,
            ..Shown::default()
        };
        let location = Location {
            shape: Shape::Every,
            findings: vec![
                changed(Field::Ecn, span(4, 6), Reading::Number(2), Reading::Number(0)),
                changed(
                    Field::TcpOption(8),
                    span(3, 3),
                    Reading::Octets(vec![0, 255]),
                    Reading::Absent,
                ),
                Finding::Dropped(span(7, 8)),
                Finding::Rejected(span(9, 9)),
                Finding::Beyond(2),
                Finding::SomePaths,
                Finding::NotReproduced,
                Finding::Unquoted,
            ],
            alike: vec![(Field::Mss, 3)],
            hops: vec![
                HopSeen {
                    hop: 1,
                    plain: Fate::Seen { from: router, after, shown: Box::new(shown) },
                    marked: Fate::Silent,
                },
                HopSeen { hop: 2, plain: Fate::Answered { after }, marked: Fate::Unasked },
                HopSeen {
                    hop: 3,
                    plain: Fate::Refused { from: router, icmp: Some((3, 13)), after },
                    marked: Fate::Refused { from: router, icmp: None, after },
                },
            ],
            last_well: Some(2),
            target_at: None,
            quoted_to: Some(3),
            unknown: vec!["the rest".into()],
            sent: 10,
            at_target: 2,
            flows: 3,
            took: Time::from_millis(2_500),
        };
        let entry = record(&wanted, &location, &Databases::default());
        // As it comes from another process.
        let entry: Record = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        let whole = Record::new().with(names::LOCATION, [entry].into_iter().collect::<Value>());
        let [told] = told(&whole).try_into().ok().unwrap();
        assert_eq!((told.config, &*told.aspect, told.carrier), (1, "ecn", Carrier::Data));
        assert_eq!(told.location, location);
    }
}
