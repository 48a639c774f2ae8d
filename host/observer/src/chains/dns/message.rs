//! Tells whether octets are a DNS message, without keeping anything of it.

/// A well-formed message, with its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A question.
    Query(u16),
    /// An answer.
    Response(u16),
}

/// Reads a message of `length` octets, as far as `bytes` has it; `None` when it is malformed.
///
/// What is not there cannot be malformed, but the header and the first question must be.
pub fn read(bytes: &[u8], length: usize) -> Option<Message> {
    let (header, _) = bytes.split_first_chunk::<12>()?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (id, flags) = (word(0), word(2));
    let questions = word(4);
    let records: u32 = [6, 8, 10].map(|at| u32::from(word(at))).iter().sum();
    let complete = bytes.len() >= length;
    let mut walk = Walk { bytes, at: 12 };
    for question in 0..questions {
        if walk.question().is_none() {
            if question == 0 || complete {
                return None;
            }
            break;
        }
    }
    for _ in 0..records {
        if walk.record().is_none() {
            if complete {
                return None;
            }
            break;
        }
    }
    Some(if flags & 0x8000 != 0 { Message::Response(id) } else { Message::Query(id) })
}

/// What the beginning of a message says, whatever follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heading<'a> {
    pub(crate) id: u16,
    pub(crate) is_response: bool,
    /// The kind of query; 0 is a standard one.
    operation: u8,
    /// The response's code.
    pub(crate) code: u8,
    /// How many questions there are.
    pub(crate) questions: u16,
    /// Whether it has records of the kinds that answers have.
    has_records: bool,
    /// The question, with its type and class, where there is just one.
    pub(crate) question: Option<&'a [u8]>,
}

impl Heading<'_> {
    /// Whether it is a standard query with one question.
    pub(crate) fn is_query(&self) -> bool {
        !self.is_response && self.operation == 0 && !self.has_records && self.question.is_some()
    }
}

/// Reads the header of a message, and its question.
pub(crate) fn heading(bytes: &[u8]) -> Option<Heading<'_>> {
    let (header, _) = bytes.split_first_chunk::<12>()?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut walk = Walk { bytes, at: 12 };
    let has_question = word(4) == 1 && walk.question().is_some();
    Some(Heading {
        id: word(0),
        is_response: header[2] & 0x80 != 0,
        operation: header[2] >> 3 & 0xf,
        code: header[3] & 0xf,
        questions: word(4),
        has_records: word(6) != 0 || word(8) != 0,
        question: has_question.then(|| &bytes[12..walk.at]),
    })
}

/// A place in a message. Every step goes forward, so that a walk ends.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn skip(&mut self, octets: usize) -> Option<()> {
        self.at += octets;
        (self.at <= self.bytes.len()).then_some(())
    }

    /// A name: labels up to an empty one or a pointer, which is not followed.
    fn name(&mut self) -> Option<()> {
        loop {
            let length = *self.bytes.get(self.at)?;
            match length {
                0 => return self.skip(1),
                1..=63 => self.skip(1 + usize::from(length))?,
                // A pointer goes back, to what has been read (RFC 1035, section 4.1.4).
                0xc0.. => {
                    let low = *self.bytes.get(self.at + 1)?;
                    let to = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    return if to < self.at { self.skip(2) } else { None };
                }
                _ => return None,
            }
        }
    }

    fn question(&mut self) -> Option<()> {
        self.name()?;
        self.skip(4)
    }

    fn record(&mut self) -> Option<()> {
        self.name()?;
        let at = self.at + 8;
        let length = self.bytes.get(at..at + 2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        self.skip(10 + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header's flags and counts, then a question for `x.` and a record that points to it.
    fn message(flags: u16, counts: [u16; 4]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34];
        for word in [flags].into_iter().chain(counts) {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend([1, b'x', 0, 0, 1, 0, 1]);
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        bytes
    }

    #[test]
    fn queries_and_responses() {
        let query = message(0x0100, [1, 0, 0, 0]);
        assert_eq!(read(&query, query.len()), Some(Message::Query(0x1234)));
        let response = message(0x8180, [1, 1, 0, 0]);
        assert_eq!(read(&response, response.len()), Some(Message::Response(0x1234)));
    }

    #[test]
    fn cut_messages_count_only_where_the_rest_is_elsewhere() {
        let response = message(0x8180, [1, 1, 0, 0]);
        let cut = &response[..response.len() - 3];
        assert_eq!(read(cut, cut.len()), None);
        assert!(read(cut, response.len()).is_some());
        assert_eq!(read(&response[..14], response.len()), None);
    }

    #[test]
    fn claims_beyond_the_message_and_loops_are_malformed() {
        let many = message(0x8180, [1, 0xffff, 0xffff, 0xffff]);
        assert_eq!(read(&many, many.len()), None);
        let mut looping = message(0x8180, [1, 1, 0, 0]);
        looping[20] = 19;
        assert_eq!(read(&looping, looping.len()), None);
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n", 18), None);
    }
}
