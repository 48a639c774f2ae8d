//! One question to one server, and what comes back: over UDP, and over TCP where UDP does not do.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::reason::Reason;

/// What is received over UDP at most: more than any server sends to a query without EDNS.
const DATAGRAM: usize = 4096;

/// What a query lets a server send over UDP, in octets (<https://dnsflagday.net/2020>).
const PAYLOAD: u16 = 1232;

/// How often a question is put over TCP, for servers end connections when it suits them
/// (RFC 7766, section 6.2.4).
const CONNECTIONS: usize = 2;

/// A question for the addresses of a name.
pub(crate) struct Question<'a> {
    /// The name.
    pub(crate) name: &'a Name,
    /// The type of their records.
    pub(crate) kind: RecordType,
}

/// How a question is put.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// With an EDNS record.
    pub(crate) edns: bool,
    /// Over TCP at once.
    pub(crate) over_tcp: bool,
}

/// Puts a question to a server, once. `noted` gets what is known before the end.
///
/// # Errors
///
/// No answer that can be read came.
pub(crate) async fn exchange(
    server: SocketAddr,
    question: &Question<'_>,
    way: Way,
    noted: &Cell<Reason>,
) -> Result<Message, Reason> {
    let query = question.message(way.edns);
    let bytes = query.to_vec().map_err(|_| Reason::BadName)?;
    let asked = Asked { id: query.metadata.id, question };
    let mut reason = Reason::Timeout;
    if !way.over_tcp {
        match over_udp(server, &bytes, &asked).await {
            // A box on the way may have done it; TCP may get through.
            Err(cause @ (Reason::Truncated | Reason::BadAnswer)) => reason = cause,
            end => return end,
        }
        noted.set(noted.get().max(reason));
    }
    for _ in 0..CONNECTIONS {
        match over_tcp(server, &bytes, &asked).await {
            Err(cause) => reason = reason.max(cause),
            answer => return answer,
        }
        if reason == Reason::Unreachable {
            break;
        }
    }
    Err(reason)
}

impl Question<'_> {
    fn message(&self, edns: bool) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.kind));
        if edns {
            let mut edns = Edns::new();
            edns.set_max_payload(PAYLOAD).set_version(0);
            message.set_edns(edns);
        }
        message
    }
}

/// What tells an answer from what is none.
struct Asked<'a> {
    id: u16,
    question: &'a Question<'a>,
}

impl Asked<'_> {
    /// Reads what came; `None` if it does not answer (RFC 5452, section 9.1).
    fn read(&self, bytes: &[u8]) -> Option<Result<Message, Reason>> {
        const HEADER: usize = 12;
        const RESPONSE: u8 = 0x80;
        const TRUNCATED: u8 = 0x02;
        if bytes.get(..2) != Some(&self.id.to_be_bytes()) {
            return None;
        }
        let Some(header) = bytes.get(..HEADER) else { return Some(Err(Reason::BadAnswer)) };
        if header[2] & RESPONSE == 0 {
            return None;
        }
        let Ok(message) = Message::from_vec(bytes) else {
            return Some(Err(match header[2] & TRUNCATED {
                0 => Reason::BadAnswer,
                _ => Reason::Truncated,
            }));
        };
        if message.metadata.message_type != MessageType::Response || !self.is_asked(&message) {
            return None;
        }
        Some(if message.metadata.truncation { Err(Reason::Truncated) } else { Ok(message) })
    }

    fn is_asked(&self, message: &Message) -> bool {
        match &message.queries[..] {
            // Some servers do not repeat a question that they do not take.
            [] => message.metadata.response_code != ResponseCode::NoError,
            [query] => {
                query.query_type() == self.question.kind
                    && query.name().eq_ignore_root(self.question.name)
            }
            _ => false,
        }
    }
}

async fn over_udp(server: SocketAddr, bytes: &[u8], asked: &Asked<'_>) -> Result<Message, Reason> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket for each query has a port of its own, which nobody else can guess.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = [0; DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = asked.read(&buffer[..length]) {
            return answer;
        }
    }
}

async fn over_tcp(server: SocketAddr, bytes: &[u8], asked: &Asked<'_>) -> Result<Message, Reason> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(|_| Reason::BadName)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await?;
    // One question was put, so that whatever else comes is no answer.
    asked.read(&buffer).unwrap_or(Err(Reason::BadAnswer))
}
