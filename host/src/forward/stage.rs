//! The stage: takes what the merger asks, and answers each question once. It has the sockets and the clock.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use pathspider_arrivals::{LENGTH, Sought};
use pathspider_runtime::say;
use pathspider_runtime::stop::{Stop, Urgency};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::Responders;
use super::questions::{Datagram, Now, Questions, Reply};

/// How often it looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(20);
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Addresses of this machine that are asked from at the most.
const SOCKETS: usize = 64;

/// Datagrams that are taken of a socket at a time.
const AT_ONCE: usize = 256;

/// What a target is to be asked.
pub(crate) struct Ask {
    /// Told with the answer.
    pub(crate) ticket: u64,
    pub(crate) target: IpAddr,
    /// The flow of each configuration, and the address that it was sent from.
    pub(crate) flows: Vec<Option<(IpAddr, Sought)>>,
}

/// What came of it.
pub(crate) struct Answered {
    pub(crate) ticket: u64,
    pub(crate) replies: Vec<Reply>,
}

/// The stage.
pub(crate) struct Stage {
    questions: Questions,
    port: u16,
    interface: Option<String>,
    sockets: HashMap<IpAddr, UdpSocket>,
    asked: Receiver<Ask>,
    answered: Sender<Answered>,
    stop: Arc<Stop>,
    began: Instant,
    /// Jobs that nothing is asked about, for nothing is known to have left.
    blind: HashSet<u64>,
    /// Jobs whose target was asked, and those of them that it did not answer.
    jobs: u64,
    silent: u64,
}

impl Stage {
    pub(crate) fn new(
        Responders { key, port }: Responders,
        interface: Option<String>,
        (asked, answered): (Receiver<Ask>, Sender<Answered>),
        stop: Arc<Stop>,
    ) -> Stage {
        Stage {
            questions: Questions::new(key),
            port,
            interface,
            sockets: HashMap::new(),
            asked,
            answered,
            stop,
            began: Instant::now(),
            blind: HashSet::new(),
            jobs: 0,
            silent: 0,
        }
    }

    /// Runs until nobody asks any more.
    pub(crate) fn run(mut self) {
        self.serve();
        if self.silent > 0 {
            say!(
                "{} of {} targets that are said to respond gave no answer: see whether `pathspider respond` \
                 runs there with this key, UDP port {} is let in, and both clocks are right",
                self.silent,
                self.jobs,
                self.port
            );
        }
    }

    fn serve(&mut self) {
        loop {
            if self.questions.is_empty() {
                match self.asked.recv_timeout(LOOK) {
                    Ok(ask) => self.take(ask),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            while let Ok(ask) = self.asked.try_recv() {
                self.take(ask);
            }
            if self.stop.urgency() == Urgency::Terminate {
                let all = self.questions.give_up();
                self.answer(all);
                continue;
            }
            for datagram in self.questions.due(self.now()) {
                // What cannot be sent is not answered.
                let _ = self.send(&datagram);
            }
            self.hear();
            let ended = self.questions.ended();
            self.answer(ended);
        }
    }

    fn now(&self) -> Now {
        Now { at: self.began.elapsed(), wall: SystemTime::now() }
    }

    fn take(&mut self, Ask { ticket, target, flows }: Ask) {
        if flows.iter().all(Option::is_none) {
            self.blind.insert(ticket);
        }
        let target = SocketAddr::new(target, self.port);
        self.questions.begin(ticket, target, flows, self.began.elapsed());
    }

    fn answer(&mut self, ended: Vec<(u64, Vec<Reply>)>) {
        for (ticket, replies) in ended {
            if !self.blind.remove(&ticket) {
                let is_answer = |reply: &Reply| matches!(reply, Reply::Answer(..));
                self.jobs += 1;
                self.silent += u64::from(!replies.iter().any(is_answer));
            }
            // The merger is gone where an output failed.
            let _ = self.answered.send(Answered { ticket, replies });
        }
    }

    /// Sends a question from the address that its flow was sent from: of others, the responder says nothing.
    fn send(&mut self, Datagram { from, to, octets }: &Datagram) -> io::Result<()> {
        if !self.sockets.contains_key(from) {
            if self.sockets.len() >= SOCKETS {
                self.sockets.clear();
            }
            self.sockets.insert(*from, open(*from, self.interface.as_deref())?);
        }
        if let Some(socket) = self.sockets.get(from) {
            socket.send_to(octets, to)?;
        }
        Ok(())
    }

    /// Waits a little for answers, and takes those that came.
    fn hear(&mut self) {
        let mut waiting: Vec<PollFd<'_>> =
            self.sockets.values().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        // An interrupted wait is a short one.
        let _ = poll(&mut waiting, Some(&WAIT));
        let mut buffer = [0; LENGTH + 1];
        let mut came = Vec::new();
        for socket in self.sockets.values() {
            // Others may send more than is ever asked for.
            for _ in 0..AT_ONCE {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { break };
                came.push((buffer[..length].to_vec(), from));
            }
        }
        let now = self.now();
        came.iter().for_each(|(octets, from)| self.questions.heard(octets, *from, now));
    }
}

fn open(from: IpAddr, interface: Option<&str>) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(from, 0);
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
