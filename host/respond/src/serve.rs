//! The sockets, the capture and the clock: packets that come in are noted on a thread of their own, and
//! questions are answered on another one.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{mem, thread};

use pathspider_arrivals::Key;
use pathspider_observer::{Source, SourceError, SourceOptions, open};
use pathspider_runtime::stop::{Caught, Stop};
use pathspider_runtime::{privileges, say};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::CapabilitySet;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Time;
use crate::desk::{Came, Desk, Verdict};
use crate::noted::{NotedFlows, SNAPLEN};

/// Octets of the kernel's buffers.
const CAPTURE_BUFFER: usize = 16 << 20;
const SOCKET_BUFFER: usize = 4 << 20;

/// Datagrams that are taken at a time. The kernel may have put several together as one.
const BATCH: usize = quinn_udp::BATCH_SIZE;
const TOGETHER: usize = 65_535;

/// Times that datagrams are taken of one socket before the other one is looked at.
const AT_ONCE: usize = 16;

/// How often it is looked whether the capture lost packets.
const LOOK: Time = Time::from_millis(200);

/// Between two messages of the same kind.
const BETWEEN: Time = Time::from_secs(60);

/// How it answers.
pub(crate) struct Settings {
    pub(crate) key: Key,
    /// Where packets come in.
    pub(crate) interface: String,
    /// Where questions come in.
    pub(crate) port: u16,
    /// Answers a second to all, and to each network.
    pub(crate) rates: (f64, f64),
    /// Flows that are kept, and for how long.
    pub(crate) flows: usize,
    pub(crate) keep: Time,
}

/// Why it does not answer.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// Packets cannot be captured.
    Capture(SourceError),
    /// The port cannot be had.
    Port(u16, io::Error),
    /// Something else of the system fails.
    System(io::Error),
}

impl From<SourceError> for ServeError {
    fn from(error: SourceError) -> ServeError {
        ServeError::Capture(error)
    }
}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> ServeError {
        ServeError::System(error)
    }
}

/// One clock for all: the time since it was made.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
}

impl Clock {
    fn new() -> Clock {
        Clock { began: Instant::now() }
    }

    fn now(self) -> Time {
        self.began.elapsed()
    }

    /// When a packet came, by the system's clock: as long before now as by that clock, which somebody may
    /// have set since we began.
    fn of_capture(self, time_ns: i64) -> Time {
        let ago = (wall().as_nanos() as i64).saturating_sub(time_ns).max(0);
        self.now().saturating_sub(Time::from_nanos(ago as u64))
    }
}

fn wall() -> Time {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Answers until a signal comes. When it begins to, it says so; then it gives how many answers it gave.
pub(crate) fn serve(settings: Settings) -> Result<u64, ServeError> {
    let stop = Stop::new();
    let mut caught = Caught::new(Arc::clone(&stop), |_| ())?;
    // No more than a capture takes, and nothing once it is open.
    privileges::no_more();
    let _ = privileges::shed_all_but(CapabilitySet::NET_RAW | CapabilitySet::NET_BIND_SERVICE);
    let options = SourceOptions {
        buffer_size: CAPTURE_BUFFER,
        snaplen: SNAPLEN + 64,
        ..SourceOptions::default()
    };
    let mut source = open(&settings.interface, &options)?;
    // Questions are no packets that anybody asks for.
    let filter = format!("inbound and (ip or ip6) and not udp dst port {}", settings.port);
    source.narrow(&filter)?;
    let sockets = sockets(settings.port).map_err(|error| ServeError::Port(settings.port, error))?;
    privileges::shed_all_but(CapabilitySet::empty())?;
    let clock = Clock::new();
    let noted = NotedFlows::new(settings.flows, settings.keep, clock.now());
    let noted = Arc::new(Mutex::new(noted));
    let desk = Desk::new(settings.key, settings.rates, clock.now());
    let capture = {
        let noted = Arc::clone(&noted);
        thread::Builder::new().name("capture".into()).spawn(move || note(source, &noted, clock))?
    };
    let (interface, port) = (&settings.interface, settings.port);
    say!("answers at UDP port {port} which packets came in by {interface}");
    let buffers = vec![vec![0; TOGETHER]; BATCH];
    let mut counter = Counter { sockets, buffers, desk, noted, clock, told: None, answers: 0 };
    // The capture ends only where it fails.
    while !capture.is_finished() {
        counter.turn()?;
        caught.look();
        if stop.is_asked() {
            return Ok(counter.answers);
        }
    }
    match capture.join() {
        Ok(Err(error)) => Err(error.into()),
        _ => Err(io::Error::other("the capture ended").into()),
    }
}

/// Notes packets for as long as they can be captured.
fn note(mut source: Source, noted: &Mutex<NotedFlows>, clock: Clock) -> Result<(), SourceError> {
    let (mut lost, mut looked) = (source.dropped(), clock.now());
    loop {
        let now = clock.now();
        if now.saturating_sub(looked) >= LOOK {
            looked = now;
            let all = source.dropped();
            if mem::replace(&mut lost, all) != all {
                noted.lock().unwrap_or_else(PoisonError::into_inner).lost(now);
            }
        }
        source.read(&mut |frames| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            for frame in frames {
                if let Some(octets) = frame.ip_packet() {
                    let link = frame.bytes.len() - octets.len();
                    let wire = frame.wire_length.saturating_sub(link as u32);
                    noted.note(octets, wire, clock.of_capture(frame.time_ns));
                }
            }
        })?;
    }
}

/// Where questions come in, of both versions of IP: whichever the system has.
fn sockets(port: u16) -> io::Result<Vec<Counted>> {
    let every = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    let mut opened = Vec::new();
    let mut failed = None;
    for address in every {
        match Counted::open(SocketAddr::new(address, port)) {
            Ok(socket) => opened.push(socket),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        // A port that somebody else has is missing for both.
        Some(error) if opened.is_empty() || error.kind() == io::ErrorKind::AddrInUse => Err(error),
        _ => Ok(opened),
    }
}

/// A socket that says at which address a datagram came in.
struct Counted {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Counted {
    fn open(address: SocketAddr) -> io::Result<Counted> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // What the system gives is enough.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Counted { socket, state })
    }
}

/// Who takes questions and gives answers.
struct Counter {
    sockets: Vec<Counted>,
    buffers: Vec<Vec<u8>>,
    desk: Desk,
    noted: Arc<Mutex<NotedFlows>>,
    clock: Clock,
    /// When it was last said that a clock is wrong.
    told: Option<Time>,
    answers: u64,
}

/// How long one turn waits for a question.
const WAIT: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

impl Counter {
    /// Waits for questions a while, and answers those that came.
    fn turn(&mut self) -> io::Result<()> {
        let mut waiting: Vec<PollFd<'_>> =
            self.sockets.iter().map(|socket| PollFd::new(&socket.socket, PollFlags::IN)).collect();
        match poll(&mut waiting, Some(&WAIT)) {
            Err(error) if error != rustix::io::Errno::INTR => return Err(error.into()),
            _ => {}
        }
        drop(waiting);
        let mut buffers = mem::take(&mut self.buffers);
        for at in 0..self.sockets.len() {
            self.take(at, &mut buffers);
        }
        self.buffers = buffers;
        Ok(())
    }

    /// Answers what has come in at a socket.
    fn take(&mut self, at: usize, buffers: &mut [Vec<u8>]) {
        let mut metas = [RecvMeta::default(); BATCH];
        // The other socket is not to wait for long.
        for _ in 0..AT_ONCE {
            let Counted { socket, state } = &self.sockets[at];
            let mut slices: Vec<IoSliceMut<'_>> =
                buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            let Ok(count) = state.recv(socket.into(), &mut slices, &mut metas) else { return };
            for (buffer, meta) in buffers.iter().zip(&metas).take(count) {
                for octets in datagrams(buffer, meta) {
                    self.one(at, octets, meta);
                }
            }
        }
    }

    fn one(&mut self, at: usize, octets: &[u8], meta: &RecvMeta) {
        let from = meta.addr.ip();
        let Some(to) = meta.dst_ip else { return };
        let came = Came { at: self.clock.now(), wall: wall().as_secs() };
        let question = match self.desk.decide(octets, from, came) {
            Verdict::Asked(question) => question,
            Verdict::Silence => return,
            Verdict::Clock(apart) => return self.say_clock(from, apart, came.at),
        };
        let answer = {
            let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            self.desk.answer(&question, &noted, (from, to), came.at)
        };
        // No answer is longer than its question, whatever was written above.
        if answer.len() > octets.len() {
            return;
        }
        let transmit = Transmit {
            destination: meta.addr,
            ecn: None,
            contents: &answer,
            segment_size: None,
            src_ip: Some(to),
        };
        let Counted { socket, state } = &self.sockets[at];
        // Who hears nothing asks again.
        self.answers += u64::from(state.try_send(socket.into(), &transmit).is_ok());
    }

    fn say_clock(&mut self, from: IpAddr, apart: i64, now: Time) {
        if self.told.is_some_and(|told| now.saturating_sub(told) < BETWEEN) {
            return;
        }
        self.told = Some(now);
        let (seconds, way) = (apart.unsigned_abs(), if apart < 0 { "behind" } else { "ahead of" });
        say!("the clock of {from}, who has the key, is {seconds} s {way} ours: not answered");
    }
}

/// The datagrams of a buffer: the kernel may put several of one sender together.
fn datagrams<'a>(buffer: &'a [u8], meta: &RecvMeta) -> impl Iterator<Item = &'a [u8]> {
    let whole = &buffer[..meta.len.min(buffer.len())];
    whole.chunks(meta.stride.max(1))
}
