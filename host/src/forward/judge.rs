//! What follows from an answer: which of the packets that came is the one that was sent, and how it came.
//!
//! A packet may have been repeated, and a repeat may differ: kernels ask for ECN once. So a packet that came
//! otherwise counts only where it is known to be the one that was captured when it left.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use pathspider_arrivals::{Answer, Mark, Match, Sought};
use pathspider_locate::field::{Change, Field, Reading};
use pathspider_locate::{Came, Compared, Template, compare, differs_in};
use pathspider_plugin_api::Carrier;
use pathspider_plugin_api::packet::TcpFlags;

use super::questions::Reply;

/// Within this time after a connection began, nothing of it was repeated: the first repeat comes after a second
/// (RFC 6298, section 2; RFC 9002, section 6.2.2).
const UNREPEATED: Duration = Duration::from_millis(900);

/// How much earlier than its connection a packet may seem to have come: two clocks never run quite alike.
const SLACK: Duration = Duration::from_millis(100);

/// Octets of data by which a datagram is known.
const MARKED: usize = 16;

/// What left this machine of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) opening: Option<Template>,
    pub(crate) data: Option<Template>,
    /// When it began.
    pub(crate) started: Option<SystemTime>,
    /// Whether another connection of its job has the same mark.
    pub(crate) has_twin: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It came.
    Came(Compared),
    /// That is not known, and why.
    Unknown(&'static str),
}

/// What is known of a configuration's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfConfig {
    pub(crate) packets: Vec<(Carrier, Fate)>,
    /// The fields in which each differed from the baseline's when they left.
    pub(crate) meant: Vec<Field>,
    /// How the responder found its flow.
    pub(crate) found: Option<Match>,
    /// The address that the responder was asked from, as it says.
    pub(crate) from: Option<IpAddr>,
}

impl OfConfig {
    /// The changes that explain something: of a field in which the experiment differs from the baseline, or one
    /// that came unchanged in the baseline.
    pub(crate) fn explaining<'a>(
        &'a self,
        baseline: Option<&'a OfConfig>,
    ) -> impl Iterator<Item = &'a Change> {
        self.packets.iter().flat_map(move |(carrier, fate)| {
            // Of a packet that nobody knows, each field may have come otherwise.
            let is_shared = move |change: &Change| {
                let of_baseline = baseline.is_some_and(|one| match one.came(*carrier) {
                    Some(came) => came.changes.iter().any(|other| other.field == change.field),
                    None => true,
                });
                of_baseline && !self.meant.contains(&change.field)
            };
            fate.changes()
                .iter()
                .filter(move |change| !is_of_translator(change.field) && !is_shared(change))
        })
    }

    /// Whether it is known how each packet came, and of each change whether the baseline's has it too.
    pub(crate) fn is_known(&self, baseline: Option<&OfConfig>) -> bool {
        let is_known = |(carrier, fate): &(Carrier, Fate)| match fate {
            Fate::Came(compared) => {
                let is_intact =
                    compared.changes.iter().all(|change| is_of_translator(change.field));
                is_intact || baseline.is_some_and(|one| one.came(*carrier).is_some())
            }
            Fate::Unknown(_) => false,
        };
        !self.packets.is_empty() && self.packets.iter().all(is_known)
    }

    /// How a packet came, where that is known.
    fn came(&self, carrier: Carrier) -> Option<&Compared> {
        self.packets.iter().find_map(|(other, fate)| match fate {
            Fate::Came(compared) if *other == carrier => Some(compared),
            _ => None,
        })
    }
}

impl Fate {
    pub(crate) fn changes(&self) -> &[Change] {
        match self {
            Fate::Came(compared) => &compared.changes,
            Fate::Unknown(_) => &[],
        }
    }
}

impl Sent {
    /// What a responder is to be asked, and from which address; `None` where nothing is known to have left.
    pub(crate) fn sought(&self) -> Option<(IpAddr, Sought)> {
        let opening = self.opening.as_ref()?;
        let (local, remote) = (opening.local(), opening.remote());
        let mark = match opening.sequence() {
            Some(number) => Mark::of_sequence(number),
            None => Mark::of_data(&opening.first_data(MARKED)),
        };
        let sought = Sought {
            is_tcp: opening.is_tcp(),
            source_port: local.port(),
            destination_port: remote.port(),
            mark,
        };
        Some((local.ip(), sought))
    }

    /// The fields in which it differs from a baseline. `is_forged`: all that it says is meant.
    fn meant(&self, baseline: Option<&Sent>, is_forged: bool) -> Vec<Field> {
        let Some(baseline) = baseline else { return Vec::new() };
        let pairs = [(&self.opening, &baseline.opening), (&self.data, &baseline.data)];
        let differ = |(own, other): (&Option<Template>, &Option<Template>)| {
            let (Some(own), Some(other)) = (own, other) else { return Vec::new() };
            if is_forged {
                differs_in(own, other)
            } else {
                differs_in(&own.clone().with_accidents_of(other), other)
            }
        };
        pairs.into_iter().flat_map(differ).collect()
    }
}

/// What became of the packets of a configuration.
pub(crate) fn judge(
    sent: &Sent,
    (baseline, is_forged): (Option<&Sent>, bool),
    reply: &Reply,
) -> OfConfig {
    let meant = sent.meant(baseline, is_forged);
    let unknown = |why| OfConfig {
        packets: vec![(Carrier::Opening, Fate::Unknown(why))],
        meant: Vec::new(),
        found: None,
        from: None,
    };
    let (answer, at) = match reply {
        Reply::Answer(answer, at) => (answer, *at),
        Reply::Unknown(why) => return unknown(why),
    };
    let Some(opening) = &sent.opening else { return unknown("its packets were not captured") };
    let mut packets = vec![(Carrier::Opening, of_opening(opening, sent, answer, at))];
    if let Some(data) = sent.data.as_ref().filter(|_| opening.is_tcp()) {
        packets.push((Carrier::Data, of_data(data, answer)));
    }
    OfConfig { packets, meant, found: Some(answer.found), from: Some(answer.from) }
}

/// A packet that came, beside the one that was sent, and the latest time at which it may have come.
struct Candidate {
    compared: Compared,
    until: Option<SystemTime>,
}

fn candidates(sent: &Template, answer: &Answer, at: SystemTime) -> Vec<Candidate> {
    let each = answer.arrivals.iter().filter_map(|arrival| {
        let came = Came { octets: &arrival.octets, wire: arrival.wire };
        let until = at.checked_sub(Duration::from_micros(arrival.age_us));
        Some(Candidate { compared: compare(sent, came)?, until })
    });
    each.collect()
}

fn of_opening(
    sent: &Template,
    &Sent { started, has_twin, .. }: &Sent,
    answer: &Answer,
    at: SystemTime,
) -> Fate {
    let mut all = candidates(sent, answer, at);
    match answer.found {
        Match::Nothing => return nothing(started, answer, at),
        // Another flow has the same port where a translator stands between, or had it before.
        Match::Port => all.retain(|one| one.compared.from == sent.local() && one.is_same()),
        Match::Mark if has_twin => all.retain(Candidate::is_same),
        Match::Both | Match::Mark => {}
    }
    // Who had the same port, or sent the same data, before this connection began.
    all.retain(|one| match (started, one.until) {
        (Some(started), Some(until)) => until + SLACK >= started,
        _ => false,
    });
    // A segment that follows is no SYN, and nothing on the way makes one of it.
    all.retain(Candidate::keeps_syn);
    match (sent.sequence(), answer.found) {
        (Some(_), Match::Port) => all.truncate(1),
        (Some(number), _) => all.retain(|one| one.compared.sequence == Some(number)),
        (None, Match::Port) => all.retain(|one| !one.has(Field::UdpLength)),
        (None, _) => all.retain(|one| !one.has(Field::Data)),
    }
    if all.is_empty() {
        return nothing(started, answer, at);
    }
    let is_first = |one: &Candidate| match (started, one.until) {
        (Some(started), Some(until)) => until <= started + UNREPEATED,
        _ => false,
    };
    chosen(all, |one| one.is_same() || is_first(one))
}

/// The first segment with data. A repeat of it may come after a few milliseconds, so it is known by what it has
/// alone.
fn of_data(sent: &Template, answer: &Answer) -> Fate {
    if answer.found == Match::Port {
        return Fate::Unknown("its sequence numbers were rewritten");
    }
    let mut all = candidates(sent, answer, SystemTime::UNIX_EPOCH);
    all.retain(|one| one.compared.sequence == sent.sequence());
    chosen(all, Candidate::is_same)
}

/// The packet that is as it was sent; else the one that is known to be the one that was.
fn chosen(mut all: Vec<Candidate>, is_ours: impl Fn(&Candidate) -> bool) -> Fate {
    if all.is_empty() {
        return Fate::Unknown("it did not come");
    }
    let is_intact =
        |one: &Candidate| one.compared.changes.iter().all(|change| is_of_translator(change.field));
    let place = all.iter().position(is_intact).or_else(|| all.iter().position(is_ours));
    match place {
        Some(place) => Fate::Came(all.swap_remove(place).compared),
        None => Fate::Unknown("what came may be a repeat"),
    }
}

/// Nothing is known of the flow.
fn nothing(started: Option<SystemTime>, answer: &Answer, at: SystemTime) -> Fate {
    let kept = at.checked_sub(Duration::from_micros(answer.kept_us));
    match kept.zip(started) {
        Some((kept, started)) if kept <= started => Fate::Unknown("it did not come"),
        _ => Fate::Unknown("the responder did not keep packets then"),
    }
}

impl Candidate {
    /// Whether it is that very packet.
    fn is_same(&self) -> bool {
        self.compared.is_same == Some(true)
    }

    /// Whether it is a SYN if the one that was sent is one, and else none.
    fn keeps_syn(&self) -> bool {
        let syn = u64::from(TcpFlags::SYN.0);
        self.compared.changes.iter().all(|change| {
            match (change.field, &change.sent, &change.seen) {
                (Field::TcpFlags, Reading::Number(was), Reading::Number(is)) => {
                    (was ^ is) & syn == 0
                }
                _ => true,
            }
        })
    }

    fn has(&self, field: Field) -> bool {
        self.compared.changes.iter().any(|change| change.field == field)
    }
}

/// Whether a change explains nothing by itself: what translators do, wherever they stand.
fn is_of_translator(field: Field) -> bool {
    matches!(field, Field::Ports | Field::Addresses)
}
