//! Owns what answers at the far end of a path: real servers on the kernel's own stack.

mod fast_http;

pub use fast_http::FastHttp;
