//! A client that says what it likes: NATS's own text, by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::rig::Fleet;

/// A connection.
pub(super) struct Raw {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    inboxes: u32,
}

impl Raw {
    /// Connects with the key of this name.
    pub(super) fn connect(fleet: &Fleet, who: &str) -> Raw {
        let port = fleet.port();
        let stream = fleet.network.enter(|| TcpStream::connect(("127.0.0.1", port)).unwrap());
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let info: Value = serde_json::from_str(line.trim_start_matches("INFO ")).unwrap();
        let file = fleet.folder.join("nats").join(format!("{who}.nk"));
        let seed = std::fs::read_to_string(file).unwrap();
        let key = nkeys::KeyPair::from_seed(seed.trim()).unwrap();
        let signed = key.sign(info["nonce"].as_str().unwrap().as_bytes()).unwrap();
        let connect = serde_json::json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "protocol": 1, "lang": "test", "version": "1", "nkey": key.public_key(),
            "sig": data_encoding::BASE64URL_NOPAD.encode(&signed),
        });
        let mut raw = Raw { stream, reader, inboxes: 0 };
        raw.send(&format!("CONNECT {connect}\r\n"));
        raw
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Publishes, and hears of no answer.
    pub(super) fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &str) {
        let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
        self.send(&format!("PUB {subject}{reply} {}\r\n{payload}\r\n", payload.len()));
    }

    /// Asks, and gives the whole answer: its headers and its text.
    pub(super) fn request(&mut self, subject: &str, payload: &str) -> String {
        self.inboxes += 1;
        let number = self.inboxes;
        let inbox = format!("_INBOX.raw.{number}");
        self.send(&format!("SUB {inbox} {number}\r\n"));
        self.publish(subject, Some(&inbox), payload);
        loop {
            let mut line = String::new();
            assert_ne!(self.reader.read_line(&mut line).unwrap(), 0, "the server hung up");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["PING"] => self.send("PONG\r\n"),
                ["MSG" | "HMSG", _, to, .., length] => {
                    let mut text = vec![0; length.parse::<usize>().unwrap() + 2];
                    self.reader.read_exact(&mut text).unwrap();
                    if to == number.to_string() {
                        return String::from_utf8_lossy(&text).into_owned();
                    }
                }
                // A right that is missing is an answer, too.
                ["-ERR", ..] => return line,
                _ => {}
            }
        }
    }
}
