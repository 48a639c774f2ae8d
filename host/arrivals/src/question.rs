//! The question: which packets of this flow came to you?
//!
//! | octets | |
//! |---|---|
//! | 0–7 | `pspathq1` |
//! | 8–23 | a number of its own, which the answer repeats |
//! | 24–31 | the time, in seconds since the Unix epoch |
//! | 32 | the protocol, 6 or 17 |
//! | 33 | octets of the mark |
//! | 34–37 | source port, destination port |
//! | 38–53 | the mark |
//! | 54–1167 | zero |
//! | 1168–1199 | HMAC-SHA-256 of what stands before |

use std::io;

use crate::key::random;
use crate::{Key, LENGTH, Mark, NONCE, TAG};

const MAGIC: &[u8; 8] = b"pspathq1";

/// Where the parts stand.
const NONCE_AT: usize = MAGIC.len();
const TIME: usize = NONCE_AT + NONCE;
const PROTOCOL: usize = 32;
const MARK_LENGTH: usize = 33;
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;
const MARK: usize = 38;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A flow that is asked for. Its addresses are those that the question comes from and goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// Whether it is TCP; else it is UDP.
    pub is_tcp: bool,
    /// Its port at who asks.
    pub source_port: u16,
    /// Its port at the responder.
    pub destination_port: u16,
    /// What tells it from others.
    pub mark: Mark,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// A number of its own.
    pub nonce: [u8; NONCE],
    /// When it was asked: seconds since the Unix epoch.
    pub time: u64,
    /// For which flow.
    pub sought: Sought,
}

impl Question {
    /// With a nonce of its own.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new(sought: Sought, time: u64) -> io::Result<Question> {
        Ok(Question { nonce: random()?, time, sought })
    }

    /// The datagram.
    pub fn written(&self, key: &Key) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        let Sought { is_tcp, source_port, destination_port, mark } = self.sought;
        let (length, mark) = mark.written();
        let parts: [(usize, &[u8]); 7] = [
            (0, MAGIC),
            (NONCE_AT, &self.nonce),
            (TIME, &self.time.to_be_bytes()),
            (PROTOCOL, &[if is_tcp { TCP } else { UDP }, length]),
            (SOURCE_PORT, &source_port.to_be_bytes()),
            (DESTINATION_PORT, &destination_port.to_be_bytes()),
            (MARK, &mark),
        ];
        for (at, part) in parts {
            octets[at..at + part.len()].copy_from_slice(part);
        }
        let tag = key.tag(&octets[..LENGTH - TAG]);
        octets[LENGTH - TAG..].copy_from_slice(&tag);
        octets
    }

    /// Reads a datagram; `None` where it is no question of who has the key.
    pub fn read(octets: &[u8], key: &Key) -> Option<Question> {
        if octets.len() != LENGTH || !octets.starts_with(MAGIC) {
            return None;
        }
        let octets = key.verified(octets)?;
        let number = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        let is_tcp = match octets[PROTOCOL] {
            TCP => true,
            UDP => false,
            _ => return None,
        };
        let mark = Mark::read(octets[MARK_LENGTH], octets[MARK..].first_chunk()?, is_tcp)?;
        Some(Question {
            nonce: *octets[NONCE_AT..].first_chunk()?,
            time: u64::from_be_bytes(*octets[TIME..].first_chunk()?),
            sought: Sought {
                is_tcp,
                source_port: number(SOURCE_PORT),
                destination_port: number(DESTINATION_PORT),
                mark,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written_and_by_its_key_alone() {
        let key = Key::of(b"a key");
        for (is_tcp, mark) in [
            (true, Mark::of_sequence(0xfedc_ba98)),
            (false, Mark::of_data(b"")),
            (false, Mark::of_data(&[7; 40])),
        ] {
            let sought = Sought { is_tcp, source_port: 40_000, destination_port: 443, mark };
            let question = Question::new(sought, 1_700_000_000).unwrap();
            let written = question.written(&key);
            assert_eq!(Question::read(&written, &key), Some(question));
            assert_eq!(Question::read(&written, &Key::of(b"another")), None);
            assert_eq!(Question::read(&written[..LENGTH - 1], &key), None);
            assert_eq!(Question::read(&[&written[..], &[0]].concat(), &key), None);
        }
    }
}
