//! A TCP client for conversations: handshake, repeats, acknowledgments, close.
//!
//! A measurement implements [`TcpExchange`]: it reads and writes octets, edits segments on their way
//! out, and reads those that come. Everything between is the client's.
//!
//! ```
//! use pathspider_plugin_api::conversation::tcp::{Segment, Stream, TcpClient, TcpExchange};
//! use pathspider_plugin_api::{Connect, Result};
//!
//! /// Asks for a page with CE on what it sends.
//! #[derive(Default)]
//! struct Marked {
//!     response: Vec<u8>,
//! }
//!
//! impl TcpExchange for Marked {
//!     fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
//!         stream.write(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
//!         Ok(())
//!     }
//!
//!     fn received(&mut self, stream: &mut Stream<'_>) -> Result<()> {
//!         self.response.extend(stream.read());
//!         Ok(())
//!     }
//!
//!     fn outgoing(&mut self, segment: &mut Segment) {
//!         if !segment.payload().is_empty() {
//!             segment.set_ecn(3);
//!         }
//!     }
//! }
//!
//! let connect = Connect::conversation(TcpClient::new(Marked::default()));
//! # assert_eq!(connect.kind().name(), "conversation");
//! ```
//!
//! [`AccurateEcn`] edits the segments of an exchange as a client of Accurate ECN does.
//!
//! Limits: it takes no data on a SYN/ACK, reads no SACK, and has no congestion control, so it is for
//! requests and responses of some kilobytes.

mod accurate;
mod client;
mod segment;
mod stack;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;

pub use accurate::{AccurateEcn, EcnMode};
pub use client::{Stream, TcpClient, TcpExchange};
pub use segment::Segment;
