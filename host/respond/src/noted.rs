//! The packets that came, by flow: the first ones of each, for a while and no more than so many flows.
//!
//! A flow is found by its ports, and by its mark alone where a translator gave it another port.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;
use pathspider_arrivals::{Arrival, Mark, Match, Sought};
use pathspider_observer::{Dissected, Fragment, dissect, packet};
use pathspider_plugin_api::packet::{Direction, Packet, Tcp, TcpFlags, Udp};

use crate::Time;

/// Openings that are kept of a flow: the first one, and repeats.
const OPENINGS: u8 = 3;

/// Segments with data that are kept of a flow of TCP.
const DATA: u8 = 2;

/// Octets of a packet that are kept whole.
const WHOLE: usize = 384;

/// Octets of data that are kept of a longer packet.
const FIRST: usize = 64;

/// Octets that are kept at the most: more headers than these pass no path.
const MOST: usize = 640;

/// Octets of a packet that have to be captured.
pub(crate) const SNAPLEN: u32 = 704;

/// After how long without a packet the same ports begin another flow of UDP.
const SILENCE: Time = Time::from_secs(10);

/// Protocol, sender and receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ports {
    is_tcp: bool,
    source: SocketAddr,
    destination: SocketAddr,
}

/// The same with the mark in place of the sender's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Marked {
    is_tcp: bool,
    source: IpAddr,
    destination: SocketAddr,
    mark: Mark,
}

struct Flow {
    ports: Ports,
    marks: Vec<Mark>,
    packets: Vec<Noted>,
    openings: u8,
    data: u8,
    count: u32,
    last: Time,
}

struct Noted {
    at: Time,
    wire: u32,
    octets: Box<[u8]>,
}

/// What came of the flow that was sought.
pub(crate) struct Found {
    pub(crate) how: Match,
    pub(crate) count: u32,
    pub(crate) arrivals: Vec<Arrival>,
}

/// The flows, in the order in which they began.
pub(crate) struct NotedFlows {
    flows: VecDeque<Flow>,
    /// The number of the first of them, among all that there ever were.
    first: u64,
    by_ports: HashMap<Ports, u64, RandomState>,
    by_mark: HashMap<Marked, u64, RandomState>,
    most: usize,
    keep: Time,
    /// Since when nothing was forgotten, nor lost by the capture.
    whole_since: Time,
}

impl NotedFlows {
    /// No more than so many, and for so long.
    pub(crate) fn new(most: usize, keep: Time, now: Time) -> NotedFlows {
        NotedFlows {
            flows: VecDeque::new(),
            first: 0,
            by_ports: HashMap::default(),
            by_mark: HashMap::default(),
            most,
            keep,
            whole_since: now,
        }
    }

    /// Takes a packet that came, from its IP header on. On the wire it had `wire` octets.
    pub(crate) fn note(&mut self, octets: &[u8], wire: u32, at: Time) {
        let mut dissected = Dissected::NONE;
        if dissect(octets, wire, &mut dissected).is_err()
            || matches!(dissected.fragment, Fragment::Later(_))
        {
            return;
        }
        let view = packet(&dissected, 0, Direction::Forward);
        match (view.tcp(), view.udp()) {
            (Some(tcp), _) => self.note_segment(&view, &tcp, at),
            (None, Some(udp)) => self.note_datagram(&view, &udp, at),
            (None, None) => {}
        }
    }

    fn note_segment(&mut self, view: &Packet<'_>, tcp: &Tcp<'_>, at: Time) {
        let ports = ports(view, true, tcp.source_port(), tcp.destination_port());
        let mark = Mark::of_sequence(tcp.sequence());
        let is_syn = tcp.has(TcpFlags::SYN) && !tcp.has(TcpFlags::ACK);
        let known = self.by_ports.get(&ports).copied();
        let known = known.filter(|number| {
            // Another connection of the same ports.
            !is_syn || self.flow(*number).is_some_and(|flow| flow.marks.first() == Some(&mark))
        });
        let Some(number) = known else { return self.begin(ports, mark, view, at) };
        let Some(flow) = self.flow_mut(number) else { return };
        flow.count = flow.count.saturating_add(1);
        flow.last = at;
        let is_opening = flow.marks.first() == Some(&mark);
        if is_opening && flow.openings < OPENINGS {
            flow.openings += 1;
            flow.packets.push(Noted::of(view, at));
        } else if !is_opening && view.payload_length() > 0 && flow.data < DATA {
            flow.data += 1;
            flow.packets.push(Noted::of(view, at));
        }
    }

    fn note_datagram(&mut self, view: &Packet<'_>, udp: &Udp<'_>, at: Time) {
        let ports = ports(view, false, udp.source_port(), udp.destination_port());
        let mark = Mark::of_data(view.payload());
        let known = self.by_ports.get(&ports).copied();
        let known = known.filter(|number| {
            self.flow(*number).is_some_and(|flow| at.saturating_sub(flow.last) < SILENCE)
        });
        let Some(number) = known else { return self.begin(ports, mark, view, at) };
        let Some(flow) = self.flow_mut(number) else { return };
        flow.count = flow.count.saturating_add(1);
        flow.last = at;
        if flow.openings >= OPENINGS {
            return;
        }
        flow.openings += 1;
        flow.packets.push(Noted::of(view, at));
        if !flow.marks.contains(&mark) {
            flow.marks.push(mark);
            self.by_mark.insert(ports.marked(mark), number);
        }
    }

    fn begin(&mut self, ports: Ports, mark: Mark, view: &Packet<'_>, at: Time) {
        self.forget(at);
        let number = self.first + self.flows.len() as u64;
        let packets = vec![Noted::of(view, at)];
        let marks = vec![mark];
        let flow = Flow { ports, marks, packets, openings: 1, data: 0, count: 1, last: at };
        self.flows.push_back(flow);
        self.by_ports.insert(ports, number);
        self.by_mark.insert(ports.marked(mark), number);
    }

    /// Makes room, and forgets what is old.
    fn forget(&mut self, now: Time) {
        while let Some(oldest) = self.flows.front() {
            let is_old = now.saturating_sub(oldest.last) > self.keep;
            if !is_old && self.flows.len() < self.most {
                return;
            }
            if !is_old {
                self.whole_since = self.whole_since.max(oldest.last);
            }
            let Some(flow) = self.flows.pop_front() else { return };
            let number = self.first;
            self.first += 1;
            // Another flow may have the same ports by now.
            if self.by_ports.get(&flow.ports) == Some(&number) {
                self.by_ports.remove(&flow.ports);
            }
            for mark in flow.marks {
                let marked = flow.ports.marked(mark);
                if self.by_mark.get(&marked) == Some(&number) {
                    self.by_mark.remove(&marked);
                }
            }
        }
    }

    /// Packets came that are not noted.
    pub(crate) fn lost(&mut self, now: Time) {
        self.whole_since = self.whole_since.max(now);
    }

    /// For how long nothing was forgotten.
    pub(crate) fn kept(&self, now: Time) -> Time {
        now.saturating_sub(self.whole_since).min(self.keep)
    }

    /// What came of a flow between these addresses.
    pub(crate) fn find(&self, sought: &Sought, from: IpAddr, to: IpAddr, now: Time) -> Found {
        let destination = SocketAddr::new(to, sought.destination_port);
        let source = SocketAddr::new(from, sought.source_port);
        let ports = Ports { is_tcp: sought.is_tcp, source, destination };
        let by_mark = self.by_mark.get(&ports.marked(sought.mark)).copied();
        let by_mark = by_mark.and_then(|number| self.flow(number));
        let by_ports = self.by_ports.get(&ports).and_then(|number| self.flow(*number));
        let (how, flow) = match (by_ports, by_mark) {
            // Later flows of other ports may have the same mark.
            (Some(flow), _) if flow.marks.contains(&sought.mark) => (Match::Both, Some(flow)),
            (_, Some(flow)) if flow.ports == ports => (Match::Both, Some(flow)),
            (_, Some(flow)) if sought.mark.is_telling() => (Match::Mark, Some(flow)),
            (Some(flow), _) => (Match::Port, Some(flow)),
            (None, _) => (Match::Nothing, None),
        };
        let arrival = |noted: &Noted| Arrival {
            age_us: now.saturating_sub(noted.at).as_micros().try_into().unwrap_or(u64::MAX),
            wire: noted.wire,
            octets: noted.octets.to_vec(),
        };
        Found {
            how,
            count: flow.map_or(0, |flow| flow.count),
            arrivals: flow.into_iter().flat_map(|flow| &flow.packets).map(arrival).collect(),
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn flow(&self, number: u64) -> Option<&Flow> {
        self.flows.get(self.place(number)?)
    }

    fn flow_mut(&mut self, number: u64) -> Option<&mut Flow> {
        let place = self.place(number)?;
        self.flows.get_mut(place)
    }
}

impl Ports {
    fn marked(&self, mark: Mark) -> Marked {
        let Ports { is_tcp, source, destination } = *self;
        Marked { is_tcp, source: source.ip(), destination, mark }
    }
}

fn ports(view: &Packet<'_>, is_tcp: bool, source: u16, destination: u16) -> Ports {
    let ip = view.ip();
    Ports {
        is_tcp,
        source: SocketAddr::new(ip.source(), source),
        destination: SocketAddr::new(ip.destination(), destination),
    }
}

impl Noted {
    fn of(view: &Packet<'_>, at: Time) -> Noted {
        let mut octets = view.octets();
        if octets.len() > WHOLE {
            let headers = octets.len() - view.payload().len() - view.surplus().len();
            octets.truncate((headers + FIRST).min(MOST));
        }
        Noted { at, wire: view.ip_length(), octets: octets.into() }
    }
}

#[cfg(test)]
mod tests;
