//! What was found, as plugins are given it.

use std::ops::RangeInclusive;

use pathspider_locate::location::{Fate, HopSeen};
use pathspider_locate::{Finding, Location, Reading, Span};
use pathspider_plugin_api::{Change, ConfigId, Finding as Given, Hop, Location as OfConfig, Value};

use super::Wanted;

/// A location for each configuration that was searched for: what all its packets show, each once.
pub(crate) fn of_plugin(located: &[(Wanted, Location)]) -> Vec<OfConfig> {
    let mut found: Vec<(ConfigId, Vec<Given>)> = Vec::new();
    for (wanted, location) in located {
        let place = found.iter().position(|(config, _)| *config == wanted.config);
        let place = place.unwrap_or_else(|| {
            found.push((wanted.config, Vec::new()));
            found.len() - 1
        });
        let given = &mut found[place].1;
        for finding in location.findings.iter().map(finding) {
            if !given.contains(&finding) {
                given.push(finding);
            }
        }
    }
    let of_config = |(config, given): (ConfigId, Vec<Given>)| {
        let first = located.iter().find(|(wanted, _)| wanted.config == config);
        let hops = first.into_iter().flat_map(|(_, location)| &location.hops).map(hop);
        OfConfig::new(config).found(given).through(hops)
    };
    found.into_iter().map(of_config).collect()
}

fn hop(seen: &HopSeen) -> Hop {
    let router = |fate: &Fate| match fate {
        Fate::Seen { from, .. } => Some(*from),
        _ => None,
    };
    Hop::new(seen.hop, router(&seen.plain), router(&seen.marked))
}

fn finding(finding: &Finding) -> Given {
    match finding {
        Finding::Changed { field, hop, from, to } => {
            Given::Changed(Change::new(field.to_string(), (value(from), value(to)), hops(*hop)))
        }
        Finding::Dropped(hop) => Given::Dropped(hops(*hop)),
        Finding::Rejected(hop) => Given::Rejected(hops(*hop)),
        Finding::Beyond(hop) => Given::Beyond(*hop),
        Finding::SomePaths => Given::SomePaths,
        Finding::NotReproduced => Given::NotReproduced,
        Finding::Unquoted => Given::Unquoted,
    }
}

fn hops(span: Span) -> RangeInclusive<u8> {
    span.first..=span.last
}

fn value(reading: &Reading) -> Value {
    match reading {
        Reading::Number(number) => (*number).into(),
        Reading::Octets(octets) => octets.clone().into(),
        Reading::Absent => None::<u64>.into(),
        Reading::Addresses(..) | Reading::Ports(..) => reading.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use pathspider_locate::{Field, Shape, Subject, Template};
    use pathspider_plugin_api::Carrier;
    use pathspider_plugin_api::forge::Packet;

    use super::*;

    #[test]
    fn a_plugin_is_given_each_finding_of_a_configuration_once() {
        let syn = Packet::to([192, 0, 2, 1].into()).source([192, 0, 2, 2].into()).tcp_syn(80);
        let marked = Template::new(&syn.source_port(1).bytes().unwrap()).unwrap();
        let wanted = |config, carrier| Wanted {
            config: ConfigId::new(config),
            aspect: "ecn".into(),
            carrier,
            subject: Subject {
                plain: None,
                marked: marked.clone(),
                handshake: None,
                distance: None,
                arrives: true,
                is_impaired: true,
            },
        };
        let location = |findings| Location {
            shape: Shape::Halves,
            findings,
            alike: Vec::new(),
            hops: Vec::new(),
            last_well: None,
            target_at: None,
            quoted_to: None,
            unknown: Vec::new(),
            sent: 0,
            at_target: 0,
            flows: 1,
            took: Default::default(),
        };
        let changed = Finding::Changed {
            field: Field::Ecn,
            hop: Span { first: 4, last: 6 },
            from: Reading::Number(2),
            to: Reading::Number(0),
        };
        let dropped = Finding::Dropped(Span { first: 3, last: 3 });
        let given = of_plugin(&[
            (wanted(1, Carrier::Opening), location(vec![changed.clone()])),
            (wanted(1, Carrier::Data), location(vec![changed, dropped])),
            (wanted(2, Carrier::Opening), location(Vec::new())),
        ]);
        assert_eq!(
            given.iter().map(OfConfig::config).collect::<Vec<_>>(),
            [1, 2].map(ConfigId::new)
        );
        let change = Change::new("ecn", (2_u8, 0_u8), 4..=6);
        let expected = [Given::Changed(change), Given::Dropped(3..=3)];
        assert_eq!(given[0].findings().collect::<Vec<_>>(), expected);
        assert_eq!(given[1].findings().count(), 0);
    }
}
