//! The kind `quic`: a QUIC handshake (RFC 9000) and a GET request by HTTP/3 (RFC 9114), or the question
//! which versions a target speaks.
//!
//! The library has no sockets, so thousands of connections cost no more than their state. What it keeps
//! to itself is seen where it hands things over: datagrams at the socket, packets at their keys.

mod acks;
mod course;
mod info;
mod keys;
mod link;
mod parameters;
mod probe;
mod seen;
mod session;
mod streams;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use pathspider_plugin_api::carriage::Handshake;
use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::packet::quic::{VERSION_1, VERSION_2};
use pathspider_plugin_api::{ConnectKind, Error};
use quinn_proto::{EndpointConfig, RandomConnectionIdGenerator, TransportConfig, VarInt};
use rustls::quic::Suite;

use self::course::Course;
use self::keys::Look;
use self::link::{Link, Room};
use self::probe::Question;
use self::seen::{Known, Space};
use self::session::Start;
use self::streams::Streams;
use super::failure::Failure;
use super::http::{Request, get3};
use super::kind::{Asked, Exchange, Kind, Opened, Running};
use super::progress::{Phase, Progress};
use super::tls;

/// What is offered where the plugin says nothing of it.
const HTTP3: &[u8] = b"h3";

/// The code of an HTTP/3 connection that is done (RFC 9114, section 8.1).
const NO_ERROR: u32 = 0x100;

/// Octets of a stream, and of all, that a target may send unasked; as with HTTP/2.
const WINDOW: u32 = 65_535;

/// Streams that a target may open by itself: its control stream, two of QPACK, and as many that mean
/// nothing.
const STREAMS: u32 = 6;

/// Datagrams that are read at once.
const AT_ONCE: usize = 16;

/// For how long an acknowledgment is waited for where the response has come. It takes a round trip, or what a busy
/// target needs. Where a packet is lost it takes some probe time-outs (RFC 9002, section 6.2), each longer than a
/// round trip. Only a target that breaks RFC 9000, section 13.2.1, takes all of it.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);

/// What all connections of a run have in common.
pub(super) struct Shared {
    endpoint: Arc<EndpointConfig>,
    transport: Arc<TransportConfig>,
    suite: Suite,
    room: Room,
}

impl Shared {
    /// For connections whose first packets have keys of this suite.
    pub(super) fn new(suite: Suite) -> Shared {
        let mut endpoint = EndpointConfig::default();
        endpoint.supported_versions(vec![VERSION_1, VERSION_2]);
        endpoint.cid_generator(|| Box::new(RandomConnectionIdGenerator::default()));
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(0_u32.into())
            .max_concurrent_uni_streams(STREAMS.into())
            .stream_receive_window(WINDOW.into())
            .receive_window(VarInt::from_u32(WINDOW))
            .max_idle_timeout(None)
            .mtu_discovery_config(None)
            .datagram_receive_buffer_size(None)
            // Several datagrams in one call would have one mark.
            .enable_segmentation_offload(false);
        let (endpoint, transport) = (Arc::new(endpoint), Arc::new(transport));
        Shared { endpoint, transport, suite, room: Room::default() }
    }
}

pub(super) struct Quic;

impl Kind for Quic {
    fn kind(&self) -> ConnectKind {
        ConnectKind::Quic
    }

    fn protocol(&self) -> u8 {
        protocol::UDP
    }

    fn prepare(&self, asked: &Asked<'_>) -> Result<Box<dyn Exchange>, Error> {
        let (settings, remote) = (asked.settings, asked.remote);
        let shared = Rc::clone(&asked.dialer.quic);
        if let Some(version) = settings.asks_for_versions() {
            let (padding, is_ipv4) = (settings.padding, remote.is_ipv4());
            return Ok(Box::new(Question::new(version, padding, shared, is_ipv4)));
        }
        let request = Request::new(asked, self.kind().default_port())?;
        let look = Look {
            version: settings.version.unwrap_or(VERSION_1),
            greases: settings.fixed_bit == Some(false),
        };
        let start = Start {
            config: asked.dialer.tls.config(),
            suite: shared.suite,
            name: tls::name(asked),
            alpn: settings.alpn.clone().unwrap_or_else(|| vec![HTTP3.to_vec()]),
            look,
            known: Known::default(),
        };
        let begun = Course::begin(&shared, start, remote, Instant::now());
        let (course, first) = begun.map_err(|error| Error::new(format!("QUIC: {error}")))?;
        let version = look.version;
        Ok(Box::new(Handshaking { course, first, version, request, shared, remote }))
    }
}

/// A connection whose first datagram is ready.
struct Handshaking {
    course: Course,
    first: Vec<u8>,
    version: u32,
    request: Request,
    shared: Rc<Shared>,
    remote: SocketAddr,
}

impl Exchange for Handshaking {
    fn datagram(&self) -> Option<&[u8]> {
        Some(&self.first)
    }

    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(async move {
            let Handshaking { course, version, request, shared, remote, .. } = *self;
            progress.enter(Phase::Tls);
            let course = Rc::new(RefCell::new(course));
            let link = Link::new(opened.socket, remote.is_ipv4())?;
            let under = Under { course, link, version, progress };
            let exchange = exchange(&under.course, request, progress);
            drive(&under, &shared, exchange).await
        })
    }
}

/// What is done on the connection: the handshake, and a request where HTTP/3 comes out of it.
async fn exchange(
    course: &Rc<RefCell<Course>>,
    request: Request,
    progress: &Progress,
) -> Result<(), Failure> {
    poll_fn(|_| match course.borrow().handshake {
        Some(_) => Poll::Ready(()),
        None => Poll::Pending,
    })
    .await;
    progress.shaken(Handshake::Made);
    let is_http = course.borrow().known.lock().alpn.as_deref() == Some(HTTP3);
    if is_http {
        get3(Streams(Rc::clone(course)), request, progress).await?;
        acknowledged(course).await;
    }
    Ok(())
}

/// Waits until the target has acknowledged a packet of the application: only then is known whether it counts
/// the marks of such packets. It may hold back the acknowledgment of one packet, but not that of a second (RFC 9000,
/// section 13.2.2), so it gets one more.
async fn acknowledged(course: &RefCell<Course>) {
    let is_known = |course: &Course| {
        course.lost.is_some() || course.known.lock().of(Space::Application).acknowledged() > 0
    };
    if is_known(&course.borrow()) {
        return;
    }
    course.borrow_mut().ask_for_acknowledgment();
    let known =
        poll_fn(|_| if is_known(&course.borrow()) { Poll::Ready(()) } else { Poll::Pending });
    // Where none comes, what is known by then counts.
    let _ = tokio::time::timeout(ACKNOWLEDGED, known).await;
}

/// A connection under way. However it ends, what is known of it is kept, and the target is freed.
struct Under<'a> {
    course: Rc<RefCell<Course>>,
    link: Link,
    version: u32,
    progress: &'a Progress,
}

impl Under<'_> {
    /// Sends what is to be sent.
    fn flush(&self) -> std::io::Result<()> {
        let mut course = self.course.borrow_mut();
        let now = Instant::now();
        while let Some(datagram) = course.datagram(now) {
            self.link.send(datagram)?;
        }
        Ok(())
    }

    /// Whether an error of the socket is the connection's end. An ICMP error is none where the target has
    /// answered: anybody can send one (RFC 9000, section 21.1).
    fn ends(&self) -> bool {
        !self.course.borrow().is_answered()
    }
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let is_open = {
            let course = self.course.borrow();
            course.lost.is_none() && course.is_answered()
        };
        if is_open {
            self.course.borrow_mut().close(Instant::now(), NO_ERROR, b"");
            // Nothing more can be done for it.
            let _ = self.flush();
        }
        let course = self.course.borrow();
        if let Some(info) = course.known.lock().tls.take() {
            self.progress.note("tls_info", info);
        }
        self.progress.note("quic_info", info::of(&course, self.version));
    }
}

/// Carries datagrams to and fro until the exchange is over.
async fn drive(
    under: &Under<'_>,
    shared: &Shared,
    exchange: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut exchange = pin!(exchange);
    loop {
        match under.flush() {
            Err(error) if under.ends() => return Err(error.into()),
            _ => {}
        }
        let due = under.course.borrow_mut().due();
        let step = poll_fn(|context| match exchange.as_mut().poll(context) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending => {
                let course = under.course.borrow();
                match &course.lost {
                    Some(lost) => Poll::Ready(Some(Err(info::failure(lost)))),
                    None if course.is_touched => Poll::Ready(None),
                    None => Poll::Pending,
                }
            }
        });
        tokio::select! {
            biased;
            end = step => match end {
                Some(end) => return end,
                // What is written is sent now. Others have their turn, whatever the target does.
                None => tokio::task::yield_now().await,
            },
            arrival = under.link.receive(&shared.room) => match arrival {
                Ok(arrival) => {
                    let now = Instant::now();
                    let mut course = under.course.borrow_mut();
                    course.take(arrival, now);
                    let more = || under.link.receive_more(&shared.room);
                    for arrival in std::iter::from_fn(more).take(AT_ONCE) {
                        course.take(arrival, now);
                    }
                    if course.is_answered() {
                        under.progress.answered();
                    }
                }
                Err(error) if under.ends() => return Err(error.into()),
                Err(_) => {}
            },
            () = until(due) => under.course.borrow_mut().expire(Instant::now()),
        }
    }
}

/// Waits until then; for ever where there is nothing to wait for.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
