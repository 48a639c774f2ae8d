//! Reads the JSON of lines with the processor's wide instructions. What that refuses is read once more by
//! the slower reader, which decides what is a record, and says why a line is none.

mod row;

use serde::de::{DeserializeSeed, Error};
use simd_json::{Buffers, Deserializer, INPUT_PADDING, Tape, fill_tape_padded};

use crate::json::Json;
pub(crate) use row::Row;

/// How deep values may stand in each other. What is deeper is left to the slower reader: values are read
/// by functions that call themselves.
const DEEPEST: usize = 64;

/// Octets of a line for which there is room at first.
const USUAL: usize = 4096;

/// Memory of a line that is used again. What a long line took is given back.
const KEPT: usize = 1 << 20;

/// Reads lines, one after the other, in the same memory.
pub(crate) struct Parser {
    /// A copy of the line, in which texts have their escapes undone.
    copy: Vec<u8>,
    buffers: Buffers,
    /// The line's values, in their order.
    tape: Tape<'static>,
}

impl Default for Parser {
    fn default() -> Parser {
        let buffers = Buffers::with_max_depth(USUAL, DEEPEST);
        Parser { copy: Vec::with_capacity(USUAL), buffers, tape: Tape(Vec::new()) }
    }
}

impl Parser {
    /// Reads a line with what takes its values.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of the right shape.
    pub(crate) fn read<'a, S>(&'a mut self, line: &'a [u8], seed: S) -> serde_json::Result<S::Value>
    where
        S: DeserializeSeed<'a> + Copy,
    {
        let (values, tape) = self.fill(line);
        if let Some(values) = values {
            let mut deserializer = Deserializer::from_tape(values);
            let read = seed.deserialize(&mut deserializer);
            *tape = deserializer.into_tape().reset();
            if let Ok(read) = read {
                return Ok(read);
            }
        }
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let read = seed.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(read)
    }

    /// Reads a line, and gives its values to `take`. That gives nothing, and changes nothing, where the line
    /// is no object, or its connections are no list of objects.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of the right shape.
    pub(crate) fn values<T>(
        &mut self,
        line: &[u8],
        mut take: impl FnMut(Json<'_>) -> Option<T>,
    ) -> serde_json::Result<T> {
        let (values, tape) = self.fill(line);
        if let Some(values) = values {
            let taken = take(Json::new(&values.0));
            *tape = values.reset();
            if let Some(taken) = taken {
                return Ok(taken);
            }
        }
        let row = Row::of_line(line)?;
        let taken = take(Json::new(&row.nodes()));
        taken.ok_or_else(|| serde_json::Error::custom("it is no record"))
    }

    /// The values of a line, unless the faster reader refuses it, and where their memory is to be kept.
    fn fill<'a>(&'a mut self, line: &[u8]) -> (Option<Tape<'a>>, &'a mut Tape<'static>) {
        if self.copy.capacity() > KEPT && line.len() < USUAL {
            *self = Parser::default();
        }
        let Parser { copy, buffers, tape } = self;
        copy.clear();
        copy.extend_from_slice(line);
        copy.resize(line.len() + INPUT_PADDING, b' ');
        let mut values: Tape<'a> = std::mem::replace(tape, Tape(Vec::new())).reset();
        let filled = fill_tape_padded(copy, line.len(), buffers, &mut values);
        (filled.is_ok().then_some(values), tape)
    }
}

#[cfg(test)]
mod tests {
    use pathspider_records::names::FLOW_RESULTS;
    use pathspider_records::record::Reading;
    use pathspider_records::{KeyPath, Record, Wanted};
    use serde_json::Value;

    use super::*;
    use crate::json::What;

    /// A record, in which something odd stands at `value`.
    const WHOLE: &str = r#"{"z":[1,{"a":2}],"info":{"ASN":64500,"x":VALUE},"dip":"192.0.2.1","dp":80,
        "conditions":["ecn.connectivity.works","x\u0041"],"odd":VALUE,
        "answered_from":{"ttl":[61],"hops":[3],"other_ttl":[61]},
        "time":{"from":"2026-11-22T02:00:17Z","to":"2026-11-22T02:00:18Z","more":1},
        "flow_results":[{"config":0,"spdr_state":0,"x":{}},{"config":1,"rtt_us":VALUE}]}"#;

    /// Values, and what is none. Of `-0` and of numbers with more digits than a float has, the slower reader
    /// makes other floats.
    fn values() -> Vec<String> {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let mut values: Vec<String> = [
            "null",
            "true",
            "0",
            "-1",
            "01",
            "+1",
            "1.",
            ".5",
            "0.1",
            "1e5",
            "1E-7",
            "1e400",
            "-1e400",
            "1e-400",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "NaN",
            "Infinity",
            "nul",
            "truefalse",
            "\"\"",
            "\"é\u{202e}😀\"",
            "\"\\u00e9\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\udc00x\"",
            "\"\\ud800\\u0041\"",
            "\"\\u00g0\"",
            "\"\\x\"",
            "\"\\\"",
            "\"\t\"",
            "\"\u{0}\"",
            "\"\\u0000\\\\\\/\\b\"",
            "\"no end",
            "[]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1,\"a\":2}",
            "{\"\":{\"\":[]}}",
            "{\"base64\":\"Z3L832U=\"}",
            "/* none */ 1",
            "1 1",
            "]",
            "}",
        ]
        .into_iter()
        .map(str::to_owned)
        .collect();
        values.extend([2, DEEPEST - 3, DEEPEST, 100, 300, 20_000].map(deep));
        values.push(format!("\"{}\"", "\\n".repeat(3000)));
        values
    }

    /// Each line as it is, cut short at many places, and with an octet that is no text.
    fn lines() -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for value in values() {
            lines.push(value.clone().into());
            lines.push(WHOLE.replace("VALUE", &value).into());
        }
        let whole = WHOLE.replace("VALUE", "1").into_bytes();
        lines.extend((0..whole.len()).step_by(7).map(|end| whole[..end].to_vec()));
        for place in (0..whole.len()).step_by(5) {
            for octet in [0xff, 0xc3, 0, b'\\', b'"', b'{', b'\n'] {
                let mut line = whole.clone();
                line[place] = octet;
                lines.push(line);
            }
        }
        lines
    }

    /// The value of a line, if it is an object whose connections are a list of objects.
    fn value(json: Json<'_>) -> Option<Value> {
        let What::Object(mut fields) = json.what() else { return None };
        let is_object = |item: Json<'_>| matches!(item.what(), What::Object(_));
        let is_right = fields.all(|(name, value)| match value.what() {
            _ if name != FLOW_RESULTS => true,
            What::List(mut items) => items.all(is_object),
            what => matches!(what, What::Null),
        });
        is_right.then(|| json.what().into_value())
    }

    #[test]
    fn both_readers_say_the_same() {
        let wanted = Wanted::new(["info.ASN", "info.x", "odd", "dp"].map(KeyPath::new).to_vec());
        let (mut fast, mut records) = (Parser::default(), 0);
        for line in lines() {
            let shown = String::from_utf8_lossy(&line).into_owned();
            let shown = shown.get(..400).unwrap_or(&shown);
            let expected = Record::parse(&line, &wanted);
            match (fast.read(&line, Reading(&wanted)), expected) {
                (Ok(read), Ok(expected)) => {
                    assert_eq!(read, expected, "{shown}");
                    records += 1;
                }
                (Err(error), Err(expected)) => {
                    assert_eq!(error.to_string(), expected.to_string(), "{shown}");
                }
                // A value that nobody asks for is skipped by the one, and read by the other.
                (read, expected) => panic!("{shown}: {read:?} and not {expected:?}"),
            }
            let expected = Row::of_line(&line);
            let expected = expected.map(|row| Json::new(&row.nodes()).what().into_value());
            match (fast.values(&line, value), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{shown}"),
                (Err(error), Err(expected)) => {
                    assert_eq!(error.to_string(), expected.to_string(), "{shown}");
                }
                (read, expected) => panic!("{shown}: {read:?} and not {expected:?}"),
            }
        }
        assert!(records > 40, "{records} of them are records");
    }
}
