//! A request by HTTP/1.1 (RFC 9112), and its response as far as it comes.
//!
//! Servers answer before they are asked, and in ways that the standard forbids. A library that is
//! made to use responses must refuse these; here they are what is measured.

use pathspider_plugin_api::{Record, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::failure::Failure;
use super::super::progress::{Phase, Progress};
use super::body::{Body, Framing, Step};
use super::head::{self, Start};
use super::request::Request;

/// Octets that a response's heads may have.
const HEAD_LIMIT: usize = 64 * 1024;

/// Octets that are read at a time.
const READ: usize = 8 * 1024;

/// The status that ends the exchange, for the connection is another protocol's then.
const SWITCHING_PROTOCOLS: u16 = 101;

/// Sends the request, and reads the response up to the limit.
pub(in super::super) async fn get<S>(
    mut stream: S,
    request: Request,
    progress: &Progress,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    progress.enter(Phase::Request);
    stream.write_all(&request.octets()).await?;
    stream.flush().await?;
    let mut response = Response::new(request.body_limit, progress);
    let mut buffer = vec![0; READ];
    loop {
        let length = match stream.read(&mut buffer).await.map_err(Failure::from) {
            // Many servers leave out TLS's own goodbye.
            Err(Failure::Closed) | Ok(0) => return response.closed(),
            Err(failure) => return Err(failure),
            Ok(length) => length,
        };
        if response.take(&buffer[..length])? {
            return Ok(());
        }
    }
}

/// A response that comes in parts. What it says is noted at once, so that it stays where the
/// connection breaks off.
struct Response<'a> {
    progress: &'a Progress,
    limit: usize,
    /// The octets of the head that has not come to its end.
    head: Vec<u8>,
    /// Where its status line ends.
    line: Option<usize>,
    /// The octets of the heads before it.
    passed: usize,
    body: Option<Body>,
    info: Info,
}

/// What a record has of a response beside its contents: `http_info`.
#[derive(Default)]
struct Info {
    version: Option<String>,
    body_truncated: Option<bool>,
    /// What RFC 9112 forbids of it.
    odd: Vec<&'static str>,
}

impl<'a> Response<'a> {
    fn new(limit: usize, progress: &'a Progress) -> Response<'a> {
        let (head, info) = (Vec::new(), Info::default());
        Response { progress, limit, head, line: None, passed: 0, body: None, info }
    }

    /// Takes the octets that came; whether they are the last of the response.
    fn take(&mut self, octets: &[u8]) -> Result<bool, Failure> {
        if let Some(body) = &mut self.body {
            let step = body.take(octets);
            return self.step(step);
        }
        let mut looked = self.head.len();
        self.head.extend_from_slice(octets);
        loop {
            let Some(line) = self.line()? else { return Ok(false) };
            // The end may begin with the end of the status line.
            let Some(end) = head::end(&self.head, looked.max(line - 1)) else {
                return if self.passed + self.head.len() > HEAD_LIMIT {
                    Err(self.odd("header"))
                } else {
                    Ok(false)
                };
            };
            let rest = self.head.split_off(end);
            let Some(framing) = self.head(line) else {
                // An interim response (RFC 9110, section 15.2): another one follows.
                self.passed += end;
                if self.passed > HEAD_LIMIT {
                    return Err(self.odd("header"));
                }
                (self.head, self.line, looked) = (rest, None, 0);
                continue;
            };
            let step = self.body.insert(Body::new(framing, self.limit)).take(&rest);
            return self.step(step);
        }
    }

    /// Where the status line ends, once it has come.
    fn line(&mut self) -> Result<Option<usize>, Failure> {
        if self.line.is_none() {
            match head::start(&self.head) {
                Start::Open => {}
                Start::NoHttp => return Err(self.odd("no_http")),
                Start::Line(end) => {
                    let Some(status) = head::status(&self.head[..end]) else {
                        return Err(self.odd("status_line"));
                    };
                    self.progress.note("http_response_code", status.code);
                    self.info.version = Some(status.version.to_owned());
                    if status.is_odd {
                        self.info.odd("status_line");
                    }
                    self.note_info();
                    self.line = Some(end);
                }
            }
        }
        Ok(self.line)
    }

    /// Reads the head, whose status line is before `line`; `None` where it is an interim one's.
    fn head(&mut self, line: usize) -> Option<Framing> {
        let status = head::status(&self.head[..line]).map_or(0, |status| status.code);
        if (100..200).contains(&status) && status != SWITCHING_PROTOCOLS {
            return None;
        }
        let head = head::head(&self.head[line..]);
        self.progress.note("http_response_header", head.lines);
        if head.is_odd {
            self.info.odd("header");
            self.note_info();
        }
        Some(match (status, head.is_chunked, head.length) {
            // These have no body, whatever their header says (RFC 9112, section 6.3).
            (SWITCHING_PROTOCOLS | 204 | 304, ..) => Framing::Length(0),
            (_, true, _) => Framing::CHUNKS,
            (_, false, Some(length)) => Framing::Length(length),
            (_, false, None) => Framing::Closing,
        })
    }

    fn step(&mut self, step: Step) -> Result<bool, Failure> {
        match step {
            Step::More => return Ok(false),
            Step::End => self.finish(false),
            Step::Full => self.finish(true),
            Step::Bad => return Err(self.odd("body")),
        }
        Ok(true)
    }

    /// The connection has ended.
    fn closed(mut self) -> Result<(), Failure> {
        match &self.body {
            Some(body) if body.is_whole() => {
                self.finish(false);
                Ok(())
            }
            _ => Err(Failure::Closed),
        }
    }

    fn finish(&mut self, is_truncated: bool) {
        self.progress.note("http_response_body", self.body.take().map(Body::into_kept));
        self.info.body_truncated = Some(is_truncated);
        self.note_info();
    }

    /// What came is not to be read on.
    fn odd(&mut self, what: &'static str) -> Failure {
        self.info.odd(what);
        self.note_info();
        Failure::BadResponse
    }

    fn note_info(&self) {
        self.progress.note("http_info", self.info.record());
    }
}

impl Info {
    fn odd(&mut self, what: &'static str) {
        if !self.odd.contains(&what) {
            self.odd.push(what);
        }
    }

    fn record(&self) -> Record {
        let mut record = Record::new();
        if let Some(version) = &self.version {
            record.set("version", version.as_str());
        }
        if let Some(truncated) = self.body_truncated {
            record.set("body_truncated", truncated);
        }
        if !self.odd.is_empty() {
            record.set("odd", self.odd.iter().map(|word| Value::text(word)).collect::<Value>());
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a response ends that comes in pieces of this size before the connection's end, and what
    /// is known then.
    fn read(octets: &[u8], piece: usize) -> (Result<bool, Failure>, Record) {
        let progress = Progress::new(None, |_| {});
        let mut response = Response::new(64, &progress);
        let mut end = Ok(false);
        for piece in octets.chunks(piece) {
            end = response.take(piece);
            if end != Ok(false) {
                break;
            }
        }
        if end == Ok(false) {
            end = response.closed().map(|()| true);
        }
        (end, progress.outcome(Ok(())).into_record())
    }

    fn reads(octets: &[u8]) -> (Result<bool, Failure>, Record) {
        let whole = read(octets, octets.len().max(1));
        for piece in [1, 2, 7] {
            assert_eq!(read(octets, piece), whole, "in pieces of {piece}");
        }
        whole
    }

    fn odd(record: &Record) -> Vec<&str> {
        let info = record.get("http_info").and_then(Value::as_record);
        let list = info.and_then(|info| info.get("odd")).and_then(Value::as_list);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    #[test]
    fn responses_that_browsers_take_are_whole() {
        let length = "Content-Length: 2\r\n\r\nok";
        for (text, expected) in [
            (format!("HTTP/1.1 200 OK\r\n{length}"), vec![]),
            (format!("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\n{length}"), vec![]),
            (format!("HTTP/1.1 200 OK\r\nX-A : b\r\n{length}"), vec!["header"]),
            (format!("HTTP/2.0 200 OK\r\n{length}"), vec!["status_line"]),
            ("ICY 200 OK\r\n\r\nok".into(), vec!["status_line"]),
            ("HTTP/1.1 200 OK\n\nok".into(), vec!["status_line"]),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into(),
                vec![],
            ),
        ] {
            let (end, record) = reads(text.as_bytes());
            assert_eq!(end, Ok(true), "{text:?}");
            assert_eq!(record.u64("http_response_code"), Some(200), "{text:?}");
            let body = record.get("http_response_body").and_then(Value::as_bytes);
            assert_eq!(body, Some(b"ok".as_slice()), "{text:?}");
            assert_eq!(odd(&record), expected, "{text:?}");
        }
    }

    #[test]
    fn what_breaks_off_leaves_what_came() {
        for (text, failure, code, expected) in [
            ("", Failure::Closed, None, vec![]),
            ("HTT", Failure::Closed, None, vec![]),
            ("HTTP/1.1 503 Down\r\nA: b\r\n", Failure::Closed, Some(503), vec![]),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
                Failure::Closed,
                Some(200),
                vec![],
            ),
            ("<html></html>\n", Failure::BadResponse, None, vec!["no_http"]),
            ("SSH-2.0-x\r\n", Failure::BadResponse, None, vec!["no_http"]),
            ("HTTP/1.1 OK\r\n\r\n", Failure::BadResponse, None, vec!["status_line"]),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                Failure::BadResponse,
                Some(200),
                vec!["body"],
            ),
        ] {
            let (end, record) = reads(text.as_bytes());
            assert_eq!(end, Err(failure), "{text:?}");
            assert_eq!(record.u64("http_response_code"), code, "{text:?}");
            assert_eq!(record.get("http_response_body"), None, "{text:?}");
            assert_eq!(odd(&record), expected, "{text:?}");
        }
    }

    #[test]
    fn heads_have_a_limit() {
        let line = b"A: b\r\n".as_slice();
        let long = [b"HTTP/1.1 200 OK\r\n".as_slice(), &line.repeat(HEAD_LIMIT / line.len())];
        let (end, record) = read(&long.concat(), READ);
        assert_eq!((end, odd(&record)), (Err(Failure::BadResponse), vec!["header"]));
        let interim = b"HTTP/1.1 103 Hints\r\n\r\n".repeat(HEAD_LIMIT);
        assert_eq!(read(&interim, READ).0, Err(Failure::BadResponse));
    }
}
