//! What a request says, whichever version of HTTP it is sent by.

use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::Authority;
use pathspider_plugin_api::Error;
use pathspider_plugin_api::abi::Caller;
use pathspider_plugin_api::forge::http_host;
use pathspider_plugins::asked;

use super::super::kind::Asked;

/// What the requests of a run say, and what is kept of their responses.
#[derive(Debug, Clone)]
pub struct Requests {
    /// Whom to ask about them.
    pub contact: Option<String>,
    /// Octets of a response's body that are kept.
    pub body_limit: usize,
}

impl Requests {
    /// Whom connections name: this program, and whom to ask about it.
    pub fn caller(&self) -> Caller {
        let name = concat!("pathspider/", env!("CARGO_PKG_VERSION"));
        let contact = self.contact.as_deref().unwrap_or(env!("CARGO_PKG_REPOSITORY")).to_owned();
        Caller { user_agent: format!("{name} ({contact})"), contact }
    }
}

/// A request that is ready to be sent.
pub(in super::super) struct Request {
    pub(super) authority: Authority,
    pub(super) headers: HeaderMap,
    pub(super) body_limit: usize,
}

impl Request {
    /// The request for a job: its domain as `Host`, else the address.
    ///
    /// # Errors
    ///
    /// The domain, or a header of the plugin's, cannot stand in a request.
    pub(in super::super) fn new(asked: &Asked<'_>, default_port: u16) -> Result<Request, Error> {
        let host = http_host(asked.job.domain(), asked.remote, default_port);
        let authority = Authority::try_from(host.as_str()).map_err(|_| {
            let domain = asked.job.domain().unwrap_or_default();
            Error::new(format!("the domain {domain:?} cannot be an HTTP Host"))
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(HOST, value(&host)?);
        headers.insert(USER_AGENT, value(&asked.dialer.user_agent)?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        for (name, text) in &asked::headers(asked.settings)? {
            headers.insert(name.clone(), text.clone());
        }
        Ok(Request { authority, headers, body_limit: asked.dialer.body_limit })
    }

    /// The request as HTTP/1.1 has it on the wire.
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(256);
        octets.extend_from_slice(b"GET / HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            octets.extend_from_slice(name.as_str().as_bytes());
            octets.extend_from_slice(b": ");
            octets.extend_from_slice(value.as_bytes());
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        octets
    }
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text)
        .map_err(|_| Error::contract(format!("connect: {text:?} cannot be a header's value")))
}
