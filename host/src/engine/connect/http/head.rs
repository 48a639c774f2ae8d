//! Reads the head of an HTTP/1 response as leniently as browsers do: what RFC 9112 forbids and
//! servers send all the same is read, and noted as odd.

/// A head that has come to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The header as it would stand in HTTP/1.1: `name: value` and CRLF, names in lower case.
    pub(super) lines: Vec<u8>,
    /// Whether a line of it is none that RFC 9112 knows.
    pub(super) is_odd: bool,
    /// Whether the body comes in chunks.
    pub(super) is_chunked: bool,
    /// The body's length, where the header says it.
    pub(super) length: Option<u64>,
}

/// What a status line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status<'a> {
    /// The version, such as `HTTP/1.1`.
    pub(super) version: &'a str,
    /// The code.
    pub(super) code: u16,
    /// Whether RFC 9112, section 4, forbids the line, or it is of a version that has none.
    pub(super) is_odd: bool,
}

/// What the first octets of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The beginning of a status line, or nothing yet.
    Open,
    /// A whole line, which goes on to this place.
    Line(usize),
    /// Another protocol, or HTTP/0.9, which has no head.
    NoHttp,
}

/// What begins a status line: HTTP's own name, and that of a streaming server which is read alike.
const NAMES: [&[u8]; 2] = [b"HTTP", b"ICY"];

/// The longest status line.
const LINE_LIMIT: usize = 8 * 1024;

/// How much of a version is kept.
const VERSION_LIMIT: usize = 16;

/// Finds the first line. Empty lines before it are passed over (RFC 9112, section 2.2).
pub(super) fn start(octets: &[u8]) -> Start {
    let rest = octets.trim_ascii_start();
    let can_be = |name: &&[u8]| {
        let length = name.len().min(rest.len());
        rest[..length].eq_ignore_ascii_case(&name[..length])
    };
    if !NAMES.iter().any(can_be) {
        return Start::NoHttp;
    }
    let before = octets.len() - rest.len();
    match rest.iter().position(|&octet| octet == b'\n') {
        Some(end) => Start::Line(before + end + 1),
        None if octets.len() > LINE_LIMIT => Start::NoHttp,
        None => Start::Open,
    }
}

/// Reads a line that [`start`] has found; `None` where there is no code in it.
pub(super) fn status(line: &[u8]) -> Option<Status<'_>> {
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let text = line.trim_ascii();
    let end = text.iter().position(is_blank)?;
    let version = str::from_utf8(&text[..end.min(VERSION_LIMIT)]).ok()?;
    let rest = text[end..].trim_ascii_start();
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    if rest.get(3).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let is_version = matches!(version, "HTTP/1.0" | "HTTP/1.1");
    let is_spaced = text.get(end..end + 1) == Some(b" ") && text[end + 1..].starts_with(digits);
    let is_ended = rest.get(3).is_none_or(|octet| *octet == b' ');
    let is_whole = line.starts_with(text) && line.ends_with(b"\r\n");
    let is_odd = !(is_version && is_spaced && is_ended && is_whole && code >= 100);
    Some(Status { version, code, is_odd })
}

/// Where the empty line ends that ends a head; octets before `from` were looked at before.
pub(super) fn end(octets: &[u8], from: usize) -> Option<usize> {
    // An end may have begun two octets before.
    let from = from.saturating_sub(2);
    octets.iter().enumerate().skip(from).filter(|(_, octet)| **octet == b'\n').find_map(
        |(at, _)| match octets[at + 1..] {
            [b'\n', ..] => Some(at + 2),
            [b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        },
    )
}

/// Reads the lines between the status line and the empty one.
pub(super) fn head(octets: &[u8]) -> Head {
    let mut head = Head {
        lines: Vec::with_capacity(octets.len()),
        is_odd: false,
        is_chunked: false,
        length: None,
    };
    let mut lines = octets.split_inclusive(|&octet| octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut whole = std::borrow::Cow::Borrowed(line.trim_ascii());
        // A line that begins with a blank goes on with the one before it ("obs-fold").
        while lines.peek().is_some_and(|next| is_fold(next)) {
            let next = lines.next().unwrap_or_default();
            let whole = whole.to_mut();
            whole.push(b' ');
            whole.extend_from_slice(next.trim_ascii());
            head.is_odd = true;
        }
        head.is_odd |= !line.ends_with(b"\r\n") || is_fold(line);
        head.line(&whole);
    }
    head
}

fn is_fold(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) && !line.trim_ascii().is_empty()
}

impl Head {
    fn line(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&octet| octet == b':') else {
            self.is_odd = true;
            self.lines.extend_from_slice(line);
            return self.lines.extend_from_slice(b"\r\n");
        };
        let name = line[..colon].trim_ascii_end();
        let value = line[colon + 1..].trim_ascii();
        self.is_odd |= name.len() != colon || name.is_empty() || !name.iter().all(is_name);
        self.is_odd |= value.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t');
        self.lines.extend(name.iter().map(u8::to_ascii_lowercase));
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|&octet| octet == b',').next().unwrap_or_default();
            self.is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        }
    }

    /// The first length counts, where there are several.
    fn length(&mut self, value: &[u8]) {
        for text in value.split(|&octet| octet == b',') {
            let digits = str::from_utf8(text.trim_ascii()).ok();
            let is_number = |digits: &&str| digits.bytes().all(|octet| octet.is_ascii_digit());
            match digits.filter(is_number).and_then(|digits| digits.parse().ok()) {
                Some(length) => {
                    self.is_odd |= self.length.is_some_and(|other| other != length);
                    self.length.get_or_insert(length);
                }
                None => self.is_odd = true,
            }
        }
    }
}

/// A name's octets (RFC 9110, section 5.6.2).
fn is_name(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> (String, bool) {
        let head = head(lines.as_bytes());
        (String::from_utf8(head.lines).unwrap(), head.is_odd)
    }

    #[test]
    fn proper_heads_are_not_odd() {
        let text = "HTTP/1.1 200 OK\r\nA: b\r\nServer: x y\r\n\r\nbody";
        assert_eq!(start(text.as_bytes()), Start::Line(17));
        let expected = Status { version: "HTTP/1.1", code: 200, is_odd: false };
        assert_eq!(status(&text.as_bytes()[..17]), Some(expected));
        let end = end(text.as_bytes(), 17).unwrap();
        assert_eq!(&text[end..], "body");
        assert_eq!(read(&text[17..end]), ("a: b\r\nserver: x y\r\n".into(), false));
        let bare = status(b"HTTP/1.0 404\r\n").unwrap();
        assert_eq!((bare.code, bare.is_odd), (404, false));
    }

    #[test]
    fn headers_that_browsers_take_are_read() {
        for (lines, expected) in [
            ("X-A : b\r\n", "x-a: b\r\n"),
            ("Set-Cookie: a=b\r\n c; path=/\r\n", "set-cookie: a=b c; path=/\r\n"),
            (" X-A: b\r\n", "x-a: b\r\n"),
            ("oops\r\nA: b\r\n", "oops\r\na: b\r\n"),
            ("X A: b\r\n", "x a: b\r\n"),
            ("X-A: \u{1}\r\n", "x-a: \u{1}\r\n"),
            ("A: b\n", "a: b\r\n"),
            (": b\r\n", ": b\r\n"),
        ] {
            assert_eq!(read(lines), (expected.into(), true), "{lines:?}");
        }
        let many = "X: a\r\n".repeat(1000);
        assert_eq!(read(&many), (many.to_ascii_lowercase(), false));
    }

    #[test]
    fn status_lines_that_curl_takes_have_a_code() {
        for (line, version, code) in [
            ("HTTP/2.0 200 OK\r\n", "HTTP/2.0", 200),
            ("HTTP/2 200\r\n", "HTTP/2", 200),
            ("ICY 200 OK\r\n", "ICY", 200),
            ("HTTP/1.1  503  Down\r\n", "HTTP/1.1", 503),
            ("HTTP/1.1 200 OK\n", "HTTP/1.1", 200),
            ("\r\nHTTP/1.1 204 No\r\n", "HTTP/1.1", 204),
            ("http/1.1 200 OK\r\n", "http/1.1", 200),
            ("HTTP/1.1\t200 OK\r\n", "HTTP/1.1", 200),
            ("HTTP/1.1 099 OK\r\n", "HTTP/1.1", 99),
        ] {
            assert_eq!(start(line.as_bytes()), Start::Line(line.len()), "{line:?}");
            assert_eq!(status(line.as_bytes()), Some(Status { version, code, is_odd: true }));
        }
        for line in ["HTTP/1.1\r\n", "HTTP/1.1 OK\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 2000 OK\r\n"] {
            assert_eq!(status(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn other_protocols_are_known_at_once() {
        for other in ["SSH-2.0-x\r\n", "<html>", "220 ready", "\0", "HTXP"] {
            assert_eq!(start(other.as_bytes()), Start::NoHttp, "{other:?}");
        }
        for part in ["", "H", "HTTP/1.1 200", "\r\n", "ic"] {
            assert_eq!(start(part.as_bytes()), Start::Open, "{part:?}");
        }
        for endless in [b'x', b'\n'] {
            let octets = [b"HTTP".as_slice(), &[endless; LINE_LIMIT]].concat();
            assert_ne!(start(&octets), Start::Open);
            assert_eq!(start(&vec![endless; LINE_LIMIT + 1]), Start::NoHttp);
        }
    }

    #[test]
    fn an_end_may_come_in_parts() {
        let octets = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx";
        for cut in 0..octets.len() {
            let before = end(&octets[..cut], 0);
            let found = before.or_else(|| end(octets, cut));
            assert_eq!(found, Some(octets.len() - 1), "{cut}");
        }
        assert_eq!(end(b"A: b\n\nx", 0), Some(6));
    }

    #[test]
    fn lengths_and_codings() {
        let of = |lines: &str| {
            let head = head(lines.as_bytes());
            (head.length, head.is_chunked, head.is_odd)
        };
        assert_eq!(of("Content-Length: 2\r\n"), (Some(2), false, false));
        assert_eq!(of("Content-Length: 2\r\nContent-Length: 2\r\n"), (Some(2), false, false));
        assert_eq!(of("Content-Length: 2\r\nContent-Length: 3\r\n"), (Some(2), false, true));
        assert_eq!(of("Content-Length: 2, 2\r\n"), (Some(2), false, false));
        assert_eq!(of("Content-Length: -2\r\n"), (None, false, true));
        assert_eq!(of("Content-Length: \r\n"), (None, false, true));
        assert_eq!(of("Transfer-Encoding: gzip, Chunked\r\n"), (None, true, false));
        assert_eq!(of("Transfer-Encoding: gzip\r\n"), (None, false, false));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read(octets: Vec<u8>) {
            let _ = (start(&octets), status(&octets), head(&octets), end(&octets, octets.len() / 2));
        }
    }
}
