//! The kind `http`: a TCP handshake and a GET request by HTTP/1.1 (RFC 9112); and requests for the
//! other kinds that make one.

mod body;
mod head;
mod http1;
mod http2;
mod http3;
mod request;

use std::rc::Rc;

use pathspider_plugin_api::{ConnectKind, Error};

use super::kind::{Asked, Exchange, Kind, Opened, Running};
use super::progress::Progress;
use super::wire::Wire;

pub(super) use http1::get;
pub(super) use http2::get as get2;
pub(super) use http3::get as get3;
pub(super) use request::Request;
pub use request::Requests;

pub(super) struct Http;

impl Kind for Http {
    fn kind(&self) -> ConnectKind {
        ConnectKind::Http
    }

    fn prepare(&self, asked: &Asked<'_>) -> Result<Box<dyn Exchange>, Error> {
        Ok(Box::new(Plain(Request::new(asked, self.kind().default_port())?)))
    }
}

struct Plain(Request);

impl Exchange for Plain {
    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(async move {
            let wire = Wire::established(opened, progress).await?;
            get(wire, self.0, progress).await
        })
    }
}
