//! One DNS query (RFC 1035) over UDP, or over TCP with each message's length before it (RFC 7766).

use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use pathspider_plugin_api::forge::{dns_query, random};
use pathspider_plugin_api::{Connect, Error, Job, Record};
use socket2::{SockRef, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::failure::Failure;
use super::progress::{Phase, Progress};
use super::tcp::Wire;
use pathspider_observer::chains::dns::message::{Message, read};

/// The name that is asked where neither plugin nor job has one. It exists (RFC 2606), and has no
/// large answer that filters against reflection would drop, as those of the root zone have.
const NAME: &str = "example.com";

const HEADER: usize = 12;

/// How long a response is waited for before the query is sent again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A query that is ready to be sent.
pub(super) struct Query {
    name: String,
    message: Vec<u8>,
}

impl Query {
    /// The query for a job: the plugin's name, else the job's domain.
    ///
    /// # Errors
    ///
    /// The name cannot stand in a query.
    pub(super) fn new(job: &Job, connect: &Connect) -> Result<Query, Error> {
        let given = connect.settings().str("query").or(job.domain());
        let name = given.filter(|name| !name.is_empty()).unwrap_or(NAME).to_owned();
        let message = dns_query(&name, random() as u16)?;
        Ok(Query { name, message })
    }

    /// The message, as a datagram has it.
    pub(super) fn datagram(&self) -> &[u8] {
        &self.message
    }

    /// Checks a response, and notes what it says. Any answer to this query will do, whatever its
    /// code: the path carried it.
    fn note(&self, response: &[u8], progress: &Progress) -> Result<(), Failure> {
        let word = |bytes: &[u8], at| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        match read(response, response.len()) {
            Some(Message::Response(id)) if id == word(&self.message, 0) => {}
            _ => return Err(Failure::BadResponse),
        }
        let (flags, questions) = (word(response, 2), word(response, 4));
        let code = flags & 0xf;
        let question = &self.message[HEADER..];
        let same = response
            .get(HEADER..HEADER + question.len())
            .is_some_and(|theirs| theirs.eq_ignore_ascii_case(question));
        // A server that refuses need not say what it was asked.
        if !(questions == 1 && same || questions == 0 && code != 0) {
            return Err(Failure::BadResponse);
        }
        let info = Record::new()
            .with("query", self.name.as_str())
            .with("rcode", code)
            .with("answers", word(response, 6))
            .with("truncated", flags & 0x0200 != 0);
        progress.note("dns_info", info);
        Ok(())
    }
}

/// Waits for the response to a query that was sent on a connected UDP socket, and sends it again
/// as long as there is none, with the pauses of RFC 8085, section 3.1.1.
pub(super) async fn over_udp(
    socket: Socket,
    query: &Query,
    progress: &Rc<Progress>,
) -> Result<(), Failure> {
    progress.no_handshake();
    progress.enter(Phase::Request);
    let socket = UdpSocket::from_std(socket.into())?;
    // More than a response has to a query without EDNS (RFC 1035, section 4.2.1).
    let mut buffer = [0; 4096];
    // `UdpSocket::recv` sleeps through ICMP errors.
    let interest = Interest::READABLE | Interest::ERROR;
    let mut pause = FIRST_PAUSE;
    let length = loop {
        let receive = || (&*SockRef::from(&socket)).read(&mut buffer);
        match timeout(pause, socket.async_io(interest, receive)).await {
            Ok(received) => break received?,
            Err(_) => socket.send(query.datagram()).await?,
        };
        pause *= 2;
    };
    query.note(&buffer[..length], progress)
}

/// Asks over an established TCP connection.
pub(super) async fn over_tcp(
    mut stream: Wire,
    query: &Query,
    progress: &Rc<Progress>,
) -> Result<(), Failure> {
    progress.enter(Phase::Request);
    // In one write, so that both come in one segment (RFC 7766, section 8).
    let length = query.message.len() as u16;
    stream.write_all(&[&length.to_be_bytes(), query.datagram()].concat()).await?;
    let mut response = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut response).await?;
    query.note(&response, progress)
}
