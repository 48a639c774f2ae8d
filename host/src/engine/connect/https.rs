//! The kind `https`: a TCP and a TLS handshake, and a GET request by the version of HTTP that came
//! out of it.

use std::rc::Rc;

use pathspider_plugin_api::{ConnectKind, Error};

use super::failure::Failure;
use super::http::{self, Request};
use super::kind::{Asked, Exchange, Kind, Opened, Running};
use super::progress::Progress;
use super::tls::{self, Hello};
use super::wire::Wire;

pub(super) struct Https;

impl Kind for Https {
    fn kind(&self) -> ConnectKind {
        ConnectKind::Https
    }

    fn prepare(&self, asked: &Asked<'_>) -> Result<Box<dyn Exchange>, Error> {
        let hello = asked.dialer.tls.hello(asked)?;
        let request = Request::new(asked, self.kind().default_port())?;
        Ok(Box::new(Secured { hello, request }))
    }
}

struct Secured {
    hello: Hello,
    request: Request,
}

impl Exchange for Secured {
    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(async move {
            let Secured { hello, request } = *self;
            let wire = Wire::established(opened, progress).await?;
            let stream = tls::shake(wire, hello, progress).await?;
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http::get2(stream, request, progress).await,
                None | Some(b"http/1.1" | b"http/1.0") => {
                    http::get(stream, request, progress).await
                }
                Some(_) => Err(Failure::NoProtocol),
            }
        })
    }
}
