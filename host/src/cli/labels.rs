//! The arguments that say what each record has beside what was measured: the place, tags, and which
//! networks there are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};
use crate::output::Labels;
use pathspider_asn::Databases;
use pathspider_runtime::text::is_hidden;

/// Characters of a name, and of a text, at the most.
const LONGEST_NAME: usize = 64;
const LONGEST_TEXT: usize = 256;

/// What each record has beside what was measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "In each record")]
pub(super) struct Labelling {
    /// Name the place that this machine measures from: `vantage` in each record
    #[arg(long, value_name = "NAME", value_parser = said)]
    vantage: Option<String>,

    /// Add this to `tags` in each record; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,

    /// Add autonomous system, prefix and country of source and target, from this file: a MaxMind DB
    /// (.mmdb) or CAIDA's prefix2as. May be given several times; the first file that
    /// knows an address counts
    #[arg(long, value_name = "FILE")]
    asn_db: Vec<PathBuf>,

    /// Let this chain look at the connections too (see observe --list-chains). Its fields need
    /// --output-flows; round trips of the chain rtt are in each record. May be given several times
    #[arg(long = "chain", value_name = "NAME")]
    pub(super) chains: Vec<String>,
}

impl Labelling {
    /// What is said of the run.
    ///
    /// # Errors
    ///
    /// A tag is given twice, with different values.
    pub(super) fn labels(&self) -> Result<Labels, Failure> {
        let mut tags = BTreeMap::new();
        for (name, value) in &self.tags {
            let before = tags.insert(name.clone(), value.clone());
            if let Some(before) = before.filter(|before| before != value) {
                let message = format!("the tag {name} is given twice: {before:?} and {value:?}");
                return Err(Failure::new(Exit::Usage, message));
            }
        }
        Ok(Labels { vantage: self.vantage.clone(), tags })
    }

    /// The databases of networks.
    ///
    /// # Errors
    ///
    /// One cannot be read, or is none.
    pub(super) fn databases(&self) -> Result<Databases, Failure> {
        Databases::open(&self.asn_db).map_err(|error| Failure::new(Exit::NoInput, error))
    }
}

/// A tag: its first equals sign ends the name.
fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("there is no =: write KEY=VALUE, such as season=spring")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || ['_', '-', '.'].contains(&c);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
        return Err(
            "its name has to begin with a letter, and may have only letters, digits, _, - \
                    and . (ASCII)"
                .to_owned(),
        );
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("its name has more than {LONGEST_NAME} characters"));
    }
    Ok((name.to_owned(), said(value)?))
}

/// A text that is to be shown in a line.
fn said(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.chars().any(is_hidden) {
        return Err("it has characters that cannot be shown".to_owned());
    }
    if text.chars().count() > LONGEST_TEXT {
        Err(format!("it has more than {LONGEST_TEXT} characters"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_a_name_and_a_text() {
        let is = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(tag("season=spring"), is("season", "spring"));
        assert_eq!(tag("a.b-c_1=x=y é"), is("a.b-c_1", "x=y é"));
        let long = format!("{}=x", "a".repeat(65));
        for text in [
            "season",
            "=x",
            "a=",
            "a= ",
            "1a=x",
            "__proto__=x",
            "a b=x",
            "é=x",
            "a\n=x",
            "a=x\u{1b}[2J",
            "a=\u{202e}x",
            &long,
        ] {
            let error = tag(text).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{text:?}: {error}");
        }
    }
}
