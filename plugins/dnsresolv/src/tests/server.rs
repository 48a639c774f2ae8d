//! A DNS server on loopback that answers as a test says, over UDP and TCP on the same port.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The server. Its threads end with the test's process.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
    /// Keeps a closed port, so that nobody else takes it.
    _kept: Option<UdpSocket>,
}

/// A query, as it came.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) kind: RecordType,
    pub(super) id: u16,
    pub(super) has_edns: bool,
    pub(super) over_tcp: bool,
    /// How many queries came before it.
    pub(super) number: usize,
    /// How often its name was asked for over TCP, this time included.
    pub(super) times_over_tcp: usize,
    query: Message,
}

/// What a query is answered with.
#[derive(Clone)]
pub(super) enum Reply {
    /// This message; `announced` is its length over TCP, and `closes` whether the connection ends.
    Message { bytes: Vec<u8>, announced: usize, closes: bool },
    /// These, one after the other.
    Several(Vec<Reply>),
    /// Nothing, and a connection stays open.
    Nothing,
    /// The end of the connection.
    Close,
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// What all threads of a server know.
#[derive(Clone)]
struct Stage {
    script: Script,
    names: Arc<Mutex<Vec<String>>>,
    over_tcp: Arc<Mutex<HashMap<String, usize>>>,
}

impl Server {
    pub(super) fn new(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        Server::on("127.0.0.1", script)
    }

    /// A server at this address.
    pub(super) fn on(
        address: &str,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let (udp, tcp) = sockets(address.parse().unwrap());
        let (server, stage) = Server::start(&udp, script);
        thread::spawn({
            let stage = stage.clone();
            move || datagrams(&udp, &stage)
        });
        thread::spawn(move || connections(&tcp, &stage));
        server
    }

    /// A server whose port of TCP is closed.
    pub(super) fn without_tcp(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let (udp, _) = sockets(IpAddr::from([127, 0, 0, 1]));
        let (server, stage) = Server::start(&udp, script);
        thread::spawn(move || datagrams(&udp, &stage));
        server
    }

    /// An address where nothing listens.
    pub(super) fn closed() -> Server {
        let (udp, _) = sockets(IpAddr::from([127, 0, 0, 1]));
        let (server, _) = Server::start(&udp, |_| Reply::Nothing);
        // A socket that is connected elsewhere takes no queries.
        udp.connect((Ipv4Addr::LOCALHOST, 9)).unwrap();
        Server { _kept: Some(udp), ..server }
    }

    /// The names that it was asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    /// The same, while they come.
    pub(super) fn names(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.names)
    }

    fn start(
        udp: &UdpSocket,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> (Server, Stage) {
        let names = Arc::new(Mutex::new(Vec::new()));
        let stage =
            Stage { script: Arc::new(script), names: Arc::clone(&names), over_tcp: Arc::default() };
        (Server { address: udp.local_addr().unwrap(), names, _kept: None }, stage)
    }
}

/// A port that is free for both.
fn sockets(address: IpAddr) -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((address, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

impl Stage {
    fn reply(&self, bytes: &[u8], over_tcp: bool) -> Reply {
        let query = Message::from_vec(bytes).unwrap();
        let [question] = &query.queries[..] else { panic!("{query:?}") };
        let name = question.name().to_lowercase().to_ascii();
        let number = {
            let mut names = self.names.lock().unwrap();
            names.push(name.clone());
            names.len() - 1
        };
        let times_over_tcp = {
            let mut times = self.over_tcp.lock().unwrap();
            let times = times.entry(name.clone()).or_default();
            *times += usize::from(over_tcp);
            *times
        };
        let asked = Asked {
            name,
            kind: question.query_type(),
            id: query.metadata.id,
            has_edns: query.edns.is_some(),
            over_tcp,
            number,
            times_over_tcp,
            query,
        };
        (self.script)(&asked)
    }
}

fn datagrams(socket: &UdpSocket, stage: &Stage) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        match stage.reply(&buffer[..length], false) {
            Reply::Several(several) => several.iter().for_each(|one| send(socket, one, from)),
            one => send(socket, &one, from),
        }
    }
}

fn send(socket: &UdpSocket, reply: &Reply, to: SocketAddr) {
    if let Reply::Message { bytes, .. } = reply {
        socket.send_to(bytes, to).unwrap();
    }
}

fn connections(listener: &TcpListener, stage: &Stage) {
    for stream in listener.incoming() {
        let stage = stage.clone();
        thread::spawn(move || {
            // Whoever asked may have gone.
            let _ = connection(stream.unwrap(), &stage);
        });
    }
}

fn connection(mut stream: TcpStream, stage: &Stage) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut bytes)?;
        match stage.reply(&bytes, true) {
            Reply::Message { bytes, announced, closes } => {
                stream.write_all(&(announced as u16).to_be_bytes())?;
                stream.write_all(&bytes)?;
                if closes {
                    return Ok(());
                }
            }
            Reply::Close => return Ok(()),
            Reply::Nothing | Reply::Several(_) => {}
        }
    }
}

impl Asked {
    /// These addresses for the name.
    pub(super) fn addresses(&self, addresses: &[&str]) -> Reply {
        let records: Vec<(&str, &str)> = addresses.iter().map(|a| (&*self.name, *a)).collect();
        self.records(&records)
    }

    /// Names with an address or an alias each.
    pub(super) fn records(&self, records: &[(&str, &str)]) -> Reply {
        let mut message = self.response();
        message.add_answers(records.iter().map(|(name, data)| {
            let data = match data.parse::<IpAddr>() {
                Ok(address) => RData::from(address),
                Err(_) => RData::CNAME(CNAME(Name::from_ascii(data).unwrap())),
            };
            // The name that was asked for may be no host's.
            let owner = if *name == self.name {
                self.query.queries[0].name().clone()
            } else {
                Name::from_ascii(name).unwrap()
            };
            Record::from_rdata(owner, 60, data)
        }));
        Reply::of(&message)
    }

    /// An answer to a question for another name.
    pub(super) fn about(&self, other: &str, addresses: &[&str]) -> Reply {
        let mut query = self.query.clone();
        query.queries[0].set_name(Name::from_ascii(other).unwrap());
        let other = Asked { name: other.to_owned(), query, ..*self };
        other.addresses(addresses)
    }

    /// An answer that is cut off.
    pub(super) fn truncated(&self) -> Reply {
        let mut message = self.response();
        message.metadata.truncation = true;
        Reply::of(&message)
    }

    /// An error.
    pub(super) fn error(&self, code: ResponseCode) -> Reply {
        let mut message = self.response();
        message.metadata.response_code = code;
        Reply::of(&message)
    }

    /// No answer, of a server that is not responsible and asks nobody else.
    pub(super) fn lame(&self) -> Reply {
        let mut message = self.response();
        message.metadata.recursion_available = false;
        Reply::of(&message)
    }

    /// The query itself.
    pub(super) fn echo(&self) -> Reply {
        Reply::of(&self.query)
    }

    fn response(&self) -> Message {
        let mut message = self.query.clone();
        message.metadata.message_type = MessageType::Response;
        message.metadata.recursion_available = true;
        message
    }
}

impl Reply {
    fn of(message: &Message) -> Reply {
        let bytes = message.to_vec().unwrap();
        Reply::Message { announced: bytes.len(), bytes, closes: false }
    }

    /// Its first octets only.
    pub(super) fn cut(self, length: usize) -> Reply {
        self.changed(|bytes, announced, _| {
            bytes.truncate(length);
            *announced = bytes.len();
        })
    }

    /// With this length before it.
    pub(super) fn announced(self, length: usize) -> Reply {
        self.changed(|_, announced, _| *announced = length)
    }

    /// With the end of the connection after it.
    pub(super) fn and_close(self) -> Reply {
        self.changed(|_, _, closes| *closes = true)
    }

    /// With another identifier.
    pub(super) fn with_id(self, id: u16) -> Reply {
        self.changed(|bytes, _, _| bytes[..2].copy_from_slice(&id.to_be_bytes()))
    }

    fn changed(self, change: impl FnOnce(&mut Vec<u8>, &mut usize, &mut bool)) -> Reply {
        let Reply::Message { mut bytes, mut announced, mut closes } = self else {
            panic!("only messages are changed")
        };
        change(&mut bytes, &mut announced, &mut closes);
        Reply::Message { bytes, announced, closes }
    }
}
