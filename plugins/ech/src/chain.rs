//! The observer chain `ech`: who offers Encrypted Client Hello in the first data of a connection, with which
//! server name, and what comes in answer.
//!
//! It reads what each side says first in the order of the stream. What goes beyond what was captured counts
//! as not seen.

use std::ops::ControlFlow;

use pathspider_plugin_api::packet::tls::{Extensions, First};
use pathspider_plugin_api::packet::{Direction, Layers, Packet, Prefix, Tcp};
use pathspider_plugin_api::{Chain, ChainInfo, Fields, Verdict, fields};

fields! {
    pub(crate) CHAIN = "ech": "offers of Encrypted Client Hello, and what answers them";
    SEEN: bool = "ech_seen": "the originator's first data are a ClientHello, and its extensions were captured";
    OFFERED: bool = "ech_offered":
        "it has the extension `encrypted_client_hello`; null when none was seen";
    NAME: String = "ech_name":
        "the server name that can be read in it; null when there is none, or none was seen";
    TLS13: bool = "ech_tls13":
        "the other side's first data are a ServerHello that chooses TLS 1.3; null when none was seen";
    ALERT: u8 = "ech_alert": "they are an alert, and this is its number; null otherwise";
}

/// Numbers of extensions (IANA's registry; RFC 6066, RFC 8446, RFC 9849).
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// The number of TLS 1.3.
const VERSION_1_3: [u8; 2] = [3, 4];

/// The chain `ech`.
#[derive(Default)]
pub(crate) struct Ech;

/// What it remembers of a flow.
#[derive(Default)]
pub(crate) struct Flow {
    ours: Prefix,
    theirs: Prefix,
    hello: Hello,
    answer: Answer,
}

/// What a ClientHello says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Hello {
    pub(crate) offered: Option<bool>,
    pub(crate) name: Option<String>,
}

/// What answers it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) tls13: Option<bool>,
    pub(crate) alert: Option<u8>,
}

impl Chain for Ech {
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
            Direction::Forward => {
                if let Some(hello) = flow.ours.read(tcp, packet, hello) {
                    flow.hello = hello;
                }
            }
            Direction::Reverse => {
                if let Some(answer) = flow.theirs.read(tcp, packet, answer) {
                    flow.answer = answer;
                }
            }
        }
        Verdict::Continue
    }

    fn finish(&self, flow: Flow, fields: &mut Fields<'_>) {
        fields.set(SEEN, flow.hello.offered.is_some());
        fields.set(OFFERED, flow.hello.offered);
        fields.set(NAME, flow.hello.name);
        fields.set(TLS13, flow.answer.tls13);
        fields.set(ALERT, flow.answer.alert);
    }
}

/// Reads what we say first: `Continue` where more octets may decide it.
pub(crate) fn hello(data: &[u8]) -> ControlFlow<Hello> {
    match First::read(data) {
        First::Cut => ControlFlow::Continue(()),
        First::ClientHello(extensions) => match extensions.find(ENCRYPTED_CLIENT_HELLO) {
            None => ControlFlow::Continue(()),
            Some(offer) => ControlFlow::Break(Hello {
                offered: Some(offer.is_some()),
                name: name(&extensions),
            }),
        },
        _ => ControlFlow::Break(Hello::default()),
    }
}

/// The name of a server (RFC 6066, section 3).
fn name(extensions: &Extensions<'_>) -> Option<String> {
    const HOST_NAME: usize = 0;
    let mut names = extensions.find(SERVER_NAME)??.block(2)?;
    if names.number(1)? != HOST_NAME {
        return None;
    }
    let name = names.block(2)?.whole()?;
    std::str::from_utf8(name).ok().map(str::to_owned)
}

/// Reads what the target says first.
pub(crate) fn answer(data: &[u8]) -> ControlFlow<Answer> {
    match First::read(data) {
        First::Cut => ControlFlow::Continue(()),
        // One of TLS 1.2 names no version in an extension (RFC 8446, section 4.2.1).
        First::ServerHello(extensions) => match extensions.find(SUPPORTED_VERSIONS) {
            None => ControlFlow::Continue(()),
            Some(version) => {
                let chosen = version.and_then(|version| version.whole());
                let tls13 = Some(chosen == Some(&VERSION_1_3[..]));
                ControlFlow::Break(Answer { tls13, alert: None })
            }
        },
        First::Alert(number) => ControlFlow::Break(Answer { tls13: None, alert: Some(number) }),
        _ => ControlFlow::Break(Answer::default()),
    }
}
