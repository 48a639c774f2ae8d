//! What a datagram asks, and which datagram answers it.

use pathspider_plugin_api::Result;
use pathspider_plugin_api::forge::{identifier, padded_dns_query, random};
use pathspider_plugin_api::packet::quic::{self, LongHeader};

/// What a datagram asks.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// For the addresses of a name, by DNS.
    Name(String),
    /// Which versions of QUIC the target speaks. A server reads the header alone before it names them, so
    /// the question takes any size (RFC 9000, section 6.1).
    Versions,
}

impl Question {
    /// A datagram of so many octets, which nobody else has sent.
    ///
    /// # Errors
    ///
    /// The question is longer already, or cannot be asked.
    pub(crate) fn datagram(&self, octets: usize) -> Result<Vec<u8>> {
        match self {
            Question::Name(name) => padded_dns_query(name, identifier(), octets),
            Question::Versions => {
                let id = || [random(), random()].map(u32::to_be_bytes).concat();
                Ok(quic::probe(quic::RESERVED_VERSION, &id(), &id(), octets))
            }
        }
    }
}

/// Octets of a question by which its answer is known.
pub(crate) const HEAD: usize = 32;

/// Whether a datagram answers the question that begins so: it has the identifier of the query, or both
/// connection IDs the other way round. What it says is the same for a path MTU.
pub(crate) fn answers(came: &[u8], asked: &[u8]) -> bool {
    if let Some(asked) = LongHeader::read(asked).filter(|asked| quic::is_known(asked.version())) {
        return LongHeader::read(came).is_some_and(|came| {
            let ids = (came.destination(), came.source());
            came.version() == 0 && ids == (asked.source(), asked.destination())
        });
    }
    const RESPONSE: u8 = 0x80;
    match (asked, came) {
        ([a, b, ..], [c, d, flags, ..]) => (a, b) == (c, d) && flags & RESPONSE != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::forge::dns_query;

    use super::*;

    #[test]
    fn an_answer_has_what_only_a_reader_of_the_question_knows() {
        let asked = Question::Versions.datagram(1232).unwrap();
        assert_eq!(asked.len(), 1232);
        let header = LongHeader::read(&asked[..HEAD]).unwrap();
        let list = [&quic::probe(0, header.source(), header.destination(), 0)[..], &[0, 0, 0, 1]];
        assert!(answers(&list.concat(), &asked[..HEAD]));
        let other = quic::probe(0, header.destination(), header.source(), 0);
        assert!(!answers(&other, &asked) && !answers(&asked, &asked) && !answers(&[], &asked));
        let again = Question::Versions.datagram(1232).unwrap();
        assert!(!answers(&list.concat(), &again), "another question");

        let asked = dns_query("a.example", 0x1234).unwrap();
        let answer = |id, flags| [&u16::to_be_bytes(id)[..], &[flags, 0]].concat();
        assert!(answers(&answer(0x1234, 0x84), &asked));
        for came in [answer(0x1235, 0x84), answer(0x1234, 4), vec![0x12, 0x34], vec![]] {
            assert!(!answers(&came, &asked), "{came:x?}");
        }
    }
}
