//! The observer chain `h2`: who offers HTTP/2 in the first data of a connection, and who agrees.
//!
//! It reads what each side says first in the order of the stream, however it was cut into segments and
//! whatever the order in which these came, and takes nothing in it for granted. What goes beyond what
//! was captured counts as not seen.

use std::ops::ControlFlow;

use pathspider_plugin_api::packet::tls::{Extensions, First};
use pathspider_plugin_api::packet::{Direction, Layers, Packet, Prefix, Tcp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict, fields};

fields! {
    pub(crate) CHAIN = "h2": "offers of HTTP/2, and the change to it without TLS";
    OFFERED: bool = "h2_offered":
        "the originator's first data offer HTTP/2: `h2` among the protocols of a ClientHello, or a \
         request with `Upgrade: h2c`; null when none were seen, they are neither of the two, or the \
         place that would say it was not captured";
    SWITCHED: bool = "h2_switched":
        "the other side's first data are a response 101 (Switching Protocols), after interim ones \
         if any; null when none were seen, or the place that would say it was not captured";
}

/// The chain `h2`.
#[derive(Default)]
pub(crate) struct Offer;

/// What it remembers of a flow.
#[derive(Default)]
pub(crate) struct Flow {
    offered: Said,
    switched: Said,
}

/// What a direction says first.
#[derive(Default)]
struct Said {
    octets: Prefix,
    word: Option<bool>,
}

/// What is read: `Break` where it is decided, with `None` where it is nothing of the kind; `Continue`
/// where more octets may decide it.
type Reading = ControlFlow<Option<bool>>;

impl Chain for Offer {
    type Flow = Flow;
    const LAYERS: Layers = Layers::TCP;

    fn info() -> ChainInfo {
        CHAIN.into()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<Flow> {
        Some(Flow::default())
    }

    fn tcp(&self, flow: &mut Flow, tcp: &Tcp<'_>, packet: &Packet<'_>) -> Verdict {
        match packet.direction() {
            Direction::Forward => flow.offered.read(tcp, packet, offer),
            Direction::Reverse => flow.switched.read(tcp, packet, switched),
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(OFFERED, flow.offered.word);
        fields.set(SWITCHED, flow.switched.word);
    }
}

impl Said {
    #[inline]
    fn read(&mut self, tcp: &Tcp<'_>, packet: &Packet<'_>, read: fn(&[u8]) -> Reading) {
        if let Some(word) = self.octets.read(tcp, packet, read) {
            self.word = word;
        }
    }
}

/// Whether data offer HTTP/2.
pub(crate) fn offer(data: &[u8]) -> Reading {
    match First::read(data) {
        First::Cut => ControlFlow::Continue(()),
        First::ClientHello(extensions) => match offers(&extensions) {
            Some(offers) => ControlFlow::Break(Some(offers)),
            None => ControlFlow::Continue(()),
        },
        _ => request(data),
    }
}

/// Whether a server agrees to the change: by the first response that is not an interim one (RFC 9110,
/// section 15.2).
pub(crate) fn switched(mut data: &[u8]) -> Reading {
    const NAME: &[u8] = b"HTTP/1.";
    loop {
        // Some servers end a response with a line too many.
        let begin = data.iter().position(|octet| !matches!(octet, b'\r' | b'\n'));
        data = begin.map_or(&[][..], |begin| &data[begin..]);
        let there = data.len().min(NAME.len());
        if data[..there] != NAME[..there] {
            return ControlFlow::Break(Some(false));
        }
        let Some(code) = data.get(9..12) else { return ControlFlow::Continue(()) };
        if code == b"101" || code[0] != b'1' {
            return ControlFlow::Break(Some(code == b"101"));
        }
        match head(data) {
            Some(length) => data = &data[length..],
            None => return ControlFlow::Continue(()),
        }
    }
}

/// Octets of a response's head, to the empty line that ends it.
fn head(data: &[u8]) -> Option<usize> {
    let mut length = 0;
    for line in data.split_inclusive(|&octet| octet == b'\n') {
        length += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return Some(length);
        }
    }
    None
}

/// Whether a ClientHello has it among its protocols (RFC 7301, section 3.1).
fn offers(extensions: &Extensions<'_>) -> Option<bool> {
    const PROTOCOLS: u16 = 16;
    let Some(mut extension) = extensions.find(PROTOCOLS)? else { return Some(false) };
    let mut names = extension.block(2)?;
    while !names.is_empty()? {
        if names.block(1)?.whole()? == b"h2" {
            return Some(true);
        }
    }
    Some(false)
}

/// Reads the head of an HTTP/1.1 request (RFC 9112), whose `Upgrade` lists protocols (RFC 9110,
/// section 7.8).
fn request(data: &[u8]) -> Reading {
    if !data.first().is_some_and(u8::is_ascii_uppercase) {
        return ControlFlow::Break(None);
    }
    // A line that is not whole counts as not seen.
    let Some(end) = data.windows(2).rposition(|pair| pair == b"\r\n") else {
        return ControlFlow::Continue(());
    };
    let Ok(text) = std::str::from_utf8(&data[..end]) else { return ControlFlow::Break(None) };
    let mut lines = text.split("\r\n");
    if !lines.next().is_some_and(|line| line.ends_with(" HTTP/1.1")) {
        return ControlFlow::Break(None);
    }
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return ControlFlow::Break(line.is_empty().then_some(false));
        };
        let mut protocols = value.split(',').map(str::trim);
        if name.eq_ignore_ascii_case("upgrade")
            && protocols.any(|protocol| protocol.eq_ignore_ascii_case("h2c"))
        {
            return ControlFlow::Break(Some(true));
        }
    }
    ControlFlow::Continue(())
}
