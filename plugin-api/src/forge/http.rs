//! HTTP requests (HTTP/1.1, RFC 9112).

use std::net::SocketAddr;

use crate::error::{Error, Result};
use crate::{Host, Job};

/// A GET request to be built, for a conversation or a connection of the plugin's own.
///
/// ```
/// # fn main() -> pathspider_plugin_api::Result<()> {
/// use pathspider_plugin_api::forge::HttpRequest;
/// use pathspider_plugin_api::{Host, Job, Record};
///
/// let job = Job::new(0, [192, 0, 2, 1].into(), 8080, Record::new());
/// let host = Host::standalone();
/// let request = HttpRequest::get(&job, &host).header("X-Padding", "uuuu").octets()?;
/// assert!(request.starts_with(b"GET / HTTP/1.1\r\nHost: 192.0.2.1:8080\r\nUser-Agent: "));
/// assert!(request.ends_with(b"Connection: close\r\nX-Padding: uuuu\r\n\r\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpRequest {
    host: String,
    headers: Vec<(String, String)>,
}

impl HttpRequest {
    /// Asks a job's target for `/` as the host's own connections of kind `http` do: `Host` is the
    /// job's domain, else its address; `User-Agent` says whom to ask about it
    /// ([`Host::user_agent`]); the target is to close when it has answered.
    pub fn get(job: &Job, host: &Host) -> HttpRequest {
        let remote = SocketAddr::new(job.target(), job.port());
        let request =
            HttpRequest { host: http_host(job.domain(), remote, 80), headers: Vec::new() };
        request.header("User-Agent", host.user_agent()).header("Connection", "close")
    }

    /// Adds a header behind the others.
    pub fn header(mut self, name: &str, value: &str) -> HttpRequest {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The octets.
    ///
    /// # Errors
    ///
    /// The domain, or a header, cannot stand in a request.
    pub fn octets(&self) -> Result<Vec<u8>> {
        // RFC 3986, section 3.2.2, with the port and the brackets of an address.
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:[]".contains(c);
        if !self.host.chars().all(is_host) {
            return Err(Error::new(format!("the domain {:?} cannot be an HTTP Host", self.host)));
        }
        let mut text = format!("GET / HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in &self.headers {
            // RFC 9110, sections 5.1 and 5.5.
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let is_value = |c: char| matches!(c, ' ' | '\t') || c.is_ascii_graphic();
            if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(is_value) {
                return Err(Error::new(format!("{name:?}: {value:?} cannot be an HTTP header")));
            }
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        Ok(text.into_bytes())
    }
}

/// The `Host` of a request (RFC 9110, section 7.2): the domain, else the address, with the port where
/// it is not that of the scheme.
pub fn http_host(domain: Option<&str>, remote: SocketAddr, default_port: u16) -> String {
    let address = match remote {
        SocketAddr::V4(remote) => remote.ip().to_string(),
        SocketAddr::V6(remote) => format!("[{}]", remote.ip()),
    };
    let name = domain.filter(|domain| !domain.is_empty()).unwrap_or(&address);
    match remote.port() {
        port if port == default_port => name.to_owned(),
        port => format!("{name}:{port}"),
    }
}
