//! What a responder said, as records have it (`docs/records.md`).

use pathspider_arrivals::Match;
use pathspider_plugin_api::{Carrier, Record, Value};

use super::judge::{Fate, OfConfig};

/// An entry for each packet of each configuration, in their order.
pub(crate) fn record(found: &[OfConfig]) -> Vec<Record> {
    let each = found.iter().enumerate().flat_map(|(config, of)| {
        of.packets.iter().map(move |(carrier, fate)| entry(config, *carrier, of, fate))
    });
    each.collect()
}

fn entry(config: usize, carrier: Carrier, of: &OfConfig, fate: &Fate) -> Record {
    let carrier = match carrier {
        Carrier::Data => "data",
        _ => "opening",
    };
    let mut record = Record::with_capacity(8).with("config", config).with("carrier", carrier);
    match fate {
        Fate::Came(compared) => {
            let differs = compared.changes.iter();
            let differs = differs.map(|one| format!("{}:{}>{}", one.field, one.sent, one.seen));
            record.push("differs", differs.collect::<Value>());
            if let Some(hops) = compared.hops {
                record.push("hops", hops);
            }
            record.push("from", compared.from.ip());
            record.push("from_port", compared.from.port());
        }
        Fate::Unknown(why) => {
            record.push("unknown", Value::text(why));
            if let Some(from) = of.from {
                record.push("from", from);
            }
        }
    }
    let by = match of.found {
        Some(Match::Both) => "port and mark",
        Some(Match::Mark) => "mark",
        Some(Match::Port) => "port",
        Some(Match::Nothing) | None => return record,
    };
    record.push("found_by", Value::text(by));
    record
}
