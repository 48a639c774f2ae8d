//! What is asked of a responder, and what it answers: which packets of a flow came to it, octet by octet.
//!
//! A question and its answer are one datagram each. Both are authenticated with a key that both sides have
//! ([`Key`]). A question is padded, so that no answer is longer ([`LENGTH`]). Nothing here has a socket or a
//! clock.

mod answer;
mod key;
mod mark;
mod question;

pub use answer::{Answer, Arrival, Match};
pub use key::{CREDENTIALS, Key, KeyError};
pub use mark::Mark;
pub use question::{Question, Sought};

/// Octets of a question, and of an answer at the most: with all headers they fit the smallest path of IPv6
/// (RFC 8200, section 5).
pub const LENGTH: usize = 1_200;

/// The port at which a responder is asked where nobody says another one.
pub const PORT: u16 = 7117;

/// How far the clock of who asks may be from the responder's, in seconds.
pub const PATIENCE: u64 = 30;

/// Octets of a nonce.
pub const NONCE: usize = 16;

/// Octets that prove who made a message.
const TAG: usize = 32;
