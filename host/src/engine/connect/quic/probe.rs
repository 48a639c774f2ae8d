//! The question which versions of QUIC a target speaks: a datagram with a version that nobody does,
//! sent again while there is no answer (RFC 9000, section 6).

use std::rc::Rc;
use std::time::Duration;

use pathspider_plugin_api::packet::quic::{self, LongHeader};
use tokio::time::{Instant, timeout_at};

use super::super::failure::Failure;
use super::super::kind::{Exchange, Opened, Running};
use super::super::progress::{Phase, Progress};
use super::course::Offered;
use super::link::Link;
use super::{Shared, info};

/// How long an answer is waited for before the question is sent again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Octets of a datagram that a server has to answer (RFC 9000, section 14.1).
const ANSWERED: u16 = 1200;

/// Octets of its header: the first octet, the version, two IDs of eight octets with their lengths, no
/// token, and the length.
const HEADER: usize = 1 + 4 + 2 * 9 + 1 + 4;

/// A question that is ready to be sent.
pub(super) struct Question {
    version: u32,
    datagram: Vec<u8>,
    shared: Rc<Shared>,
    is_ipv4: bool,
}

impl Question {
    pub(super) fn new(
        version: u32,
        padding: Option<u16>,
        shared: Rc<Shared>,
        is_ipv4: bool,
    ) -> Question {
        let octets = padding.unwrap_or(ANSWERED);
        let ids: [u8; 16] = rand::random();
        let mut datagram = quic::probe(version, &ids[..8], &ids[8..], octets.into());
        // What follows the header looks like the sealed rest of a packet.
        if let Some(rest) = datagram.get_mut(HEADER..) {
            rand::fill(rest);
        }
        Question { version, datagram, shared, is_ipv4 }
    }
}

impl Exchange for Question {
    fn datagram(&self) -> Option<&[u8]> {
        Some(&self.datagram)
    }

    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(self.ask(opened, progress))
    }
}

impl Question {
    async fn ask(self: Box<Self>, opened: Opened, progress: &Progress) -> Result<(), Failure> {
        progress.no_handshake();
        progress.enter(Phase::Request);
        progress.note("quic_info", info::versions(self.version, None));
        let link = Link::new(opened.socket, self.is_ipv4)?;
        let mut pause = FIRST_PAUSE;
        let mut due = Instant::now() + pause;
        let mut ignored = 0_u64;
        loop {
            let Ok(arrival) = timeout_at(due, link.receive(&self.shared.room)).await else {
                link.send(&self.datagram)?;
                pause *= 2;
                due = Instant::now() + pause;
                continue;
            };
            let octets = arrival?.octets;
            if quic::negotiates(&octets, &self.datagram) {
                let offered = LongHeader::read(&octets).and_then(|header| Offered::read(&header));
                progress.note("quic_info", info::versions(self.version, offered.as_ref()));
                progress.responded();
                return Ok(());
            }
            ignored += 1;
            let info = info::versions(self.version, None);
            progress.note("quic_info", info.with("ignored", ignored));
        }
    }
}
