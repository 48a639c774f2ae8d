//! The kind `dnsudp`: one DNS query over UDP (RFC 1035), sent again while there is no answer.

use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{ConnectKind, Error};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::dns::Query;
use super::failure::Failure;
use super::kind::{Asked, Exchange, Kind, Opened, Running};
use super::progress::{Phase, Progress};

/// How long a response is waited for before the query is sent again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// More octets than a response has to a query without EDNS (RFC 1035, section 4.2.1).
const RESPONSE_LIMIT: usize = 4096;

pub(super) struct DnsUdp;

impl Kind for DnsUdp {
    fn kind(&self) -> ConnectKind {
        ConnectKind::DnsUdp
    }

    fn protocol(&self) -> u8 {
        protocol::UDP
    }

    fn prepare(&self, asked: &Asked<'_>) -> Result<Box<dyn Exchange>, Error> {
        Ok(Box::new(Datagrams(Query::new(asked)?)))
    }
}

struct Datagrams(Query);

impl Exchange for Datagrams {
    fn datagram(&self) -> Option<&[u8]> {
        Some(self.0.message())
    }

    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(ask(opened, self.0, progress))
    }
}

/// Waits for the response to a query that was sent on a connected socket, and sends it again as
/// long as there is none, with the pauses of RFC 8085, section 3.1.1.
///
/// A datagram that answers another query is passed over (RFC 5452, section 9.1): whoever guesses
/// our port can send one.
async fn ask(opened: Opened, mut query: Query, progress: &Progress) -> Result<(), Failure> {
    progress.no_handshake();
    progress.enter(Phase::Request);
    let socket = UdpSocket::from_std(opened.socket.into())?;
    let mut buffer = [0; RESPONSE_LIMIT];
    // `UdpSocket::recv` sleeps through ICMP errors.
    let interest = Interest::READABLE | Interest::ERROR;
    let mut pause = FIRST_PAUSE;
    let mut due = Instant::now() + pause;
    loop {
        let receive = || (&*SockRef::from(&socket)).read(&mut buffer);
        match timeout_at(due, socket.async_io(interest, receive)).await {
            Ok(received) => {
                let length = received?;
                if query.answered(&buffer[..length], progress) {
                    return Ok(());
                }
            }
            Err(_) => {
                socket.send(query.message()).await?;
                pause *= 2;
                due = Instant::now() + pause;
            }
        }
    }
}
