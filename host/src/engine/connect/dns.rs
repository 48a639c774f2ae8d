//! A DNS query (RFC 1035), and which message is the response to it.

use pathspider_observer::chains::dns::message::{Message, read};
use pathspider_plugin_api::forge::identifier;
use pathspider_plugin_api::{Error, Record};
use pathspider_plugins::asked;

use super::kind::Asked;
use super::progress::Progress;

/// Octets of a message's header.
const HEADER: usize = 12;

/// The header's bit of a response.
const IS_RESPONSE: u16 = 0x8000;

/// The header's bit of a message that is cut.
const IS_TRUNCATED: u16 = 0x0200;

/// A query that is ready to be sent, or was.
pub(super) struct Query {
    name: String,
    message: Vec<u8>,
    /// How many messages came that were not the response.
    ignored: u64,
}

impl Query {
    /// The query for a job: the plugin's name, else the job's domain.
    ///
    /// # Errors
    ///
    /// The name cannot stand in a query.
    pub(super) fn new(asked: &Asked<'_>) -> Result<Query, Error> {
        let name = asked::name(asked.settings, asked.job).to_owned();
        let message = asked::query(asked.settings, asked.job, identifier())?;
        Ok(Query { name, message, ignored: 0 })
    }

    /// The message, as a datagram has it.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Whether a message came that was not the response.
    pub(super) fn has_ignored(&self) -> bool {
        self.ignored > 0
    }

    /// Whether this is the response, whose keys are noted then. Any response to this query will do,
    /// whatever its code: the path carried it.
    pub(super) fn answered(&mut self, message: &[u8], progress: &Progress) -> bool {
        let is_response = self.is_response(message);
        let mut info = Record::new().with("query", self.name.as_str());
        if is_response {
            let flags = word(message, 2);
            info.set("rcode", flags & 0xf);
            info.set("answers", word(message, 6));
            info.set("truncated", flags & IS_TRUNCATED != 0);
            let is_whole = matches!(read(message, message.len()), Some(Message::Response(_)));
            if !is_whole {
                info.set("malformed", true);
            }
            progress.responded();
        } else {
            self.ignored += 1;
        }
        if self.ignored > 0 {
            info.set("ignored", self.ignored);
        }
        progress.note("dns_info", info);
        is_response
    }

    /// Whether a message has our identifier and our question (RFC 5452, section 9.1). What follows
    /// them may be cut or wrong: who wrote the two has read the query.
    fn is_response(&self, message: &[u8]) -> bool {
        if message.len() < HEADER || word(message, 0) != word(&self.message, 0) {
            return false;
        }
        let (flags, questions) = (word(message, 2), word(message, 4));
        let question = &self.message[HEADER..];
        let theirs = message.get(HEADER..HEADER + question.len());
        let is_same = theirs.is_some_and(|theirs| theirs.eq_ignore_ascii_case(question));
        // A server that refuses need not say what it was asked.
        let is_bare_error = questions == 0 && flags & 0xf != 0;
        flags & IS_RESPONSE != 0 && (questions == 1 && is_same || is_bare_error)
    }
}

fn word(message: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([message[at], message[at + 1]])
}
