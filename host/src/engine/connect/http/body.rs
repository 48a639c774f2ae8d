//! Finds the end of an HTTP/1 response's body (RFC 9112, sections 6 and 7), and keeps the first
//! octets of it.

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    framing: Framing,
    kept: Vec<u8>,
    limit: usize,
}

/// What tells where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many octets are still to come.
    Length(u64),
    /// Chunks, each with its length before it.
    Chunks(Chunks),
    /// The end of the connection.
    Closing,
}

/// A place in a body of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the line with a chunk's length: how many digits there were, and what they say.
    Size(u8, u64),
    /// In what follows the length on its line.
    Extension(u64),
    /// In a chunk: this many octets are still to come.
    Data(u64),
    /// In the end of a chunk's last line.
    DataEnd,
    /// In the lines after the last chunk: whether the line has had anything.
    Trailer(bool),
    /// After the last.
    End,
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on.
    More,
    /// It has come to its end.
    End,
    /// It is longer than what is kept.
    Full,
    /// It breaks the rules of chunks.
    Bad,
}

impl Framing {
    /// The beginning of a body of chunks.
    pub(super) const CHUNKS: Framing = Framing::Chunks(Chunks::Size(0, 0));
}

impl Body {
    /// A body; up to `limit` octets of it are kept.
    pub(super) fn new(framing: Framing, limit: usize) -> Body {
        Body { framing, kept: Vec::new(), limit }
    }

    /// Takes the octets that came.
    pub(super) fn take(&mut self, octets: &[u8]) -> Step {
        match self.framing {
            Framing::Closing => self.keep(octets),
            Framing::Length(left) => {
                let ours = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - ours as u64;
                self.framing = Framing::Length(left);
                match self.keep(&octets[..ours]) {
                    Step::More if left == 0 => Step::End,
                    step => step,
                }
            }
            Framing::Chunks(mut place) => {
                let step = self.chunks(&mut place, octets);
                self.framing = Framing::Chunks(place);
                step
            }
        }
    }

    /// The connection has ended; whether the body has too.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.framing, Framing::Closing | Framing::Length(0) | Framing::Chunks(Chunks::End))
    }

    /// What was kept.
    pub(super) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    fn keep(&mut self, octets: &[u8]) -> Step {
        let room = self.limit - self.kept.len();
        self.kept.extend_from_slice(&octets[..octets.len().min(room)]);
        if octets.len() > room { Step::Full } else { Step::More }
    }

    fn chunks(&mut self, place: &mut Chunks, mut octets: &[u8]) -> Step {
        while let Some((&octet, rest)) = octets.split_first() {
            if let Chunks::Data(left) = *place {
                let ours = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                if self.keep(&octets[..ours]) == Step::Full {
                    return Step::Full;
                }
                let left = left - ours as u64;
                *place = if left == 0 { Chunks::DataEnd } else { Chunks::Data(left) };
                octets = &octets[ours..];
                continue;
            }
            match place.next(octet) {
                Some(next) => *place = next,
                None => return Step::Bad,
            }
            if *place == Chunks::End {
                return Step::End;
            }
            octets = rest;
        }
        Step::More
    }
}

impl Chunks {
    /// The place after an octet that is none of a chunk's data; `None` where it cannot stand there.
    /// A line may end with LF alone.
    fn next(self, octet: u8) -> Option<Chunks> {
        Some(match (self, octet) {
            (Chunks::Size(digits, size), b'\n') if digits > 0 => Chunks::after_size(size),
            (Chunks::Size(digits, size), _) => match char::from(octet).to_digit(16) {
                Some(digit) if digits < 16 => {
                    Chunks::Size(digits + 1, size << 4 | u64::from(digit))
                }
                None if digits > 0 && matches!(octet, b';' | b' ' | b'\t' | b'\r') => {
                    Chunks::Extension(size)
                }
                _ => return None,
            },
            (Chunks::Extension(size), b'\n') => Chunks::after_size(size),
            (Chunks::Extension(_), _) => self,
            (Chunks::DataEnd, b'\n') => Chunks::Size(0, 0),
            (Chunks::DataEnd, b'\r') => self,
            (Chunks::Trailer(false), b'\n') => Chunks::End,
            (Chunks::Trailer(_), b'\n') => Chunks::Trailer(false),
            (Chunks::Trailer(_), b'\r') => self,
            (Chunks::Trailer(_), _) => Chunks::Trailer(true),
            (Chunks::DataEnd | Chunks::Data(_) | Chunks::End, _) => return None,
        })
    }

    fn after_size(size: u64) -> Chunks {
        if size == 0 { Chunks::Trailer(false) } else { Chunks::Data(size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of octets that come one by one, and all at once.
    fn read(framing: Framing, octets: &[u8], limit: usize) -> (Step, Vec<u8>) {
        let mut whole = Body::new(framing, limit);
        let step = whole.take(octets);
        let mut single = Body::new(framing, limit);
        let last =
            octets.chunks(1).map(|octet| single.take(octet)).find(|step| *step != Step::More);
        assert_eq!(last.unwrap_or(Step::More), step);
        assert!(step == Step::Full || single.is_whole() == whole.is_whole());
        assert_eq!(single.kept, whole.kept);
        (step, whole.into_kept())
    }

    #[test]
    fn each_framing_has_its_end() {
        let chunks = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n";
        assert_eq!(read(Framing::CHUNKS, chunks, 9), (Step::End, b"abcde".to_vec()));
        assert_eq!(read(Framing::CHUNKS, b"3\nabc\n0\n\n", 9), (Step::End, b"abc".to_vec()));
        assert_eq!(read(Framing::CHUNKS, b"3\r\nab", 9), (Step::More, b"ab".to_vec()));
        assert_eq!(read(Framing::Length(2), b"abc", 9), (Step::End, b"ab".to_vec()));
        assert_eq!(read(Framing::Length(9), b"abc", 9), (Step::More, b"abc".to_vec()));
        assert_eq!(read(Framing::Closing, b"abc", 9), (Step::More, b"abc".to_vec()));
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        assert_eq!(read(Framing::CHUNKS, b"a\r\n0123456789", 4), (Step::Full, b"0123".to_vec()));
        assert_eq!(read(Framing::Length(9), b"abcde", 4), (Step::Full, b"abcd".to_vec()));
        assert_eq!(read(Framing::Length(4), b"abcd", 4), (Step::End, b"abcd".to_vec()));
        assert_eq!(read(Framing::Closing, b"a", 0), (Step::Full, Vec::new()));
    }

    #[test]
    fn chunks_without_a_length_are_bad() {
        for bad in [&b"x\r\n"[..], b"\r\n", b";\r\n", b"3\r\nabcd", b"12345678123456781\r\n"] {
            assert_eq!(read(Framing::CHUNKS, bad, 99).0, Step::Bad, "{bad:?}");
        }
    }

    #[test]
    fn only_a_body_without_a_length_ends_with_the_connection() {
        assert!(Body::new(Framing::Closing, 0).is_whole());
        assert!(!Body::new(Framing::Length(1), 0).is_whole());
        assert!(!Body::new(Framing::CHUNKS, 0).is_whole());
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_taken(octets: Vec<u8>, length: u64, limit in 0_usize..64) {
            for framing in [Framing::CHUNKS, Framing::Length(length), Framing::Closing] {
                let (_, kept) = read(framing, &octets, limit);
                assert!(kept.len() <= limit);
            }
        }
    }
}
