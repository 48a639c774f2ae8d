//! The observer chain `h2`: who offers HTTP/2 in the first data of a connection, and who agrees.
//!
//! It reads what was captured of the first segment with data of each direction, and takes nothing
//! in it for granted. What goes beyond that counts as not seen.

use pathspider_plugin_api::packet::{Direction, Layers, Packet, Tcp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict, fields};

fields! {
    pub(crate) CHAIN = "h2": "offers of HTTP/2, and the change to it without TLS";
    OFFERED: bool = "h2_offered":
        "the originator's first data offer HTTP/2: `h2` among the protocols of a ClientHello, or a \
         request with `Upgrade: h2c`; null when none were seen, they are neither of the two, or the \
         place that would say it was not captured";
    SWITCHED: bool = "h2_switched":
        "the other side's first data begin a response 101 (Switching Protocols); null when none \
         were seen";
}

/// The chain `h2`.
#[derive(Default)]
pub(crate) struct Offer;

/// What it remembers of a flow.
#[derive(Default)]
pub(crate) struct Flow {
    offered: First,
    switched: First,
}

/// What the first data of a direction say.
#[derive(Default)]
enum First {
    #[default]
    Unseen,
    Seen(Option<bool>),
}

impl Chain for Offer {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, _: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        if packet.payload_length() > 0 {
            match packet.direction() {
                Direction::Forward => flow.offered.note(|| offer(packet.payload())),
                Direction::Reverse => {
                    flow.switched.note(|| Some(packet.payload().starts_with(b"HTTP/1.1 101 ")))
                }
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(OFFERED, flow.offered.said());
        fields.set(SWITCHED, flow.switched.said());
    }
}

impl First {
    fn note(&mut self, read: impl FnOnce() -> Option<bool>) {
        if let First::Unseen = self {
            *self = First::Seen(read());
        }
    }

    fn said(&self) -> Option<bool> {
        match self {
            First::Unseen => None,
            First::Seen(said) => *said,
        }
    }
}

/// Whether data offer HTTP/2; `None` where they are neither of what could, or end too early.
pub(crate) fn offer(data: &[u8]) -> Option<bool> {
    client_hello(Reader::new(data)).or_else(|| request(data))
}

/// Reads a ClientHello (RFC 8446, section 4.1.2) up to its protocols (RFC 7301, section 3.1).
fn client_hello(mut record: Reader<'_>) -> Option<bool> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    const PROTOCOLS: usize = 16;

    (record.take(3)?.first() == Some(&HANDSHAKE)).then_some(())?;
    let mut message = record.block(2)?;
    (message.take(1)? == [CLIENT_HELLO]).then_some(())?;
    let mut hello = message.block(3)?;
    // The version and the random number, then session, cipher suites and compression methods.
    hello.take(34)?;
    for size in [1, 2, 1] {
        hello.block(size)?;
    }
    if hello.is_empty()? {
        return Some(false);
    }
    let mut extensions = hello.block(2)?;
    while !extensions.is_empty()? {
        let kind = extensions.number(2)?;
        let mut extension = extensions.block(2)?;
        if kind == PROTOCOLS {
            let mut names = extension.block(2)?;
            while !names.is_empty()? {
                let name = names.block(1)?;
                if name.rest == b"h2" {
                    return (!name.is_cut).then_some(true);
                }
            }
            return Some(false);
        }
    }
    Some(false)
}

/// Reads the head of an HTTP/1.1 request (RFC 9112), whose `Upgrade` lists protocols (RFC 9110,
/// section 7.8).
fn request(data: &[u8]) -> Option<bool> {
    // A line that is not whole counts as not seen.
    let end = data.windows(2).rposition(|pair| pair == b"\r\n")?;
    let mut lines = std::str::from_utf8(&data[..end]).ok()?.split("\r\n");
    lines.next()?.ends_with(" HTTP/1.1").then_some(())?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return line.is_empty().then_some(false);
        };
        let mut protocols = value.split(',').map(str::trim);
        if name.eq_ignore_ascii_case("upgrade")
            && protocols.any(|protocol| protocol.eq_ignore_ascii_case("h2c"))
        {
            return Some(true);
        }
    }
    None
}

/// What is left to read. It may be cut, by the segment's end or the capture's: what lies beyond
/// reads as `None`.
struct Reader<'a> {
    rest: &'a [u8],
    is_cut: bool,
}

impl<'a> Reader<'a> {
    fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest, is_cut: false }
    }

    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, octets: usize) -> Option<usize> {
        Some(self.take(octets)?.iter().fold(0, |number, &octet| number << 8 | usize::from(octet)))
    }

    /// A block with its length, a number of so many octets, before it: as much of it as is there.
    fn block(&mut self, octets: usize) -> Option<Reader<'a>> {
        let length = self.number(octets)?;
        let there = length.min(self.rest.len());
        Some(Reader { rest: self.take(there)?, is_cut: there < length })
    }

    /// Whether all was read; `None` where nobody knows what would follow.
    fn is_empty(&self) -> Option<bool> {
        if self.rest.is_empty() && self.is_cut { None } else { Some(self.rest.is_empty()) }
    }
}
