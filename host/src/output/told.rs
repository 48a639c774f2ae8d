//! A line of output: a record, and what of it is written to the letter as an input line had it.

use pathspider_plugin_api::Record;

use crate::job::Verbatim;

/// What a line of output can be made of.
pub trait Line {
    /// Writes it, without its end.
    ///
    /// # Errors
    ///
    /// A key that is no text, which no record has.
    fn write(&self, lines: &mut Vec<u8>) -> serde_json::Result<()>;

    /// What there is to say of a target, where it is about one.
    fn record(&self) -> Option<&Record>;
}

impl Line for Record {
    fn write(&self, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(lines, self)
    }

    fn record(&self) -> Option<&Record> {
        Some(self)
    }
}

/// A record, and what of it came in an input line.
pub struct Told {
    pub(crate) record: Record,
    /// Where that is needed.
    pub(crate) came: Option<Verbatim>,
}

impl From<Record> for Told {
    fn from(record: Record) -> Told {
        Told { record, came: None }
    }
}

impl Line for Told {
    fn write(&self, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        match &self.came {
            None => self.record.write(lines),
            Some(came) => {
                came.write(&self.record, lines);
                Ok(())
            }
        }
    }

    fn record(&self) -> Option<&Record> {
        Some(&self.record)
    }
}
