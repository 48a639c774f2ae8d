//! What a kind of connection has to say of itself, and does.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use pathspider_plugin_api::packet::protocol;
use pathspider_plugin_api::{ConnectKind, Error, Job};
use pathspider_plugins::asked::Settings;
use socket2::Socket;

use super::Dialer;
use super::closing::Closer;
use super::failure::Failure;
use super::progress::Progress;

/// One kind of connection.
pub(super) trait Kind: Sync {
    /// Which it is.
    fn kind(&self) -> ConnectKind;

    /// The transport protocol's IANA number.
    fn protocol(&self) -> u8 {
        protocol::TCP
    }

    /// Makes ready what is to follow on the socket of one connection.
    ///
    /// # Errors
    ///
    /// The plugin asked for what the kind cannot do.
    fn prepare(&self, asked: &Asked<'_>) -> Result<Box<dyn Exchange>, Error>;
}

/// A connection that a plugin asked for.
pub(super) struct Asked<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) job: &'a Job,
    pub(super) settings: &'a Settings<'a>,
    pub(super) remote: SocketAddr,
}

/// What follows on the socket of one connection.
pub(super) trait Exchange {
    /// The datagram that begins it, where the kind has no handshake.
    fn datagram(&self) -> Option<&[u8]> {
        None
    }

    /// Sees it through; what comes to be known on the way goes to `progress`. The future is boxed,
    /// so that it is moved once: a connection's state is moved several times.
    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a>;
}

/// An exchange on its way.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// A socket that is connected, or on its way.
pub(super) struct Opened {
    pub(super) socket: Socket,
    /// Nothing was sent yet: the SYN goes out with the first data, for the kernel has a cookie of
    /// TCP Fast Open (RFC 7413, section 4.2).
    pub(super) is_deferred: bool,
    /// Who closes it, where it is left to somebody.
    pub(super) closer: Option<Rc<Closer>>,
}
