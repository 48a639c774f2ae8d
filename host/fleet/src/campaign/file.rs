//! The shape of a campaign's file: TOML, whose errors become one sentence with a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pathspider_runtime::text::{is_hidden, visible};
use serde::Deserialize;
use toml::Spanned;

use super::lines::Lines;
use super::measure::{Measure, Table};
use super::{Campaign, Courtesy, Schedule, Time, VERSION, Wrong};

/// Characters of a name at the most.
const LONGEST_NAME: usize = 64;

/// Characters of a reason that are shown.
const LONGEST_REASON: usize = 400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    /// It was checked before.
    #[serde(rename = "version")]
    _version: Option<i64>,
    name: Spanned<String>,
    targets: Spanned<Several>,
    rate: Option<Spanned<f64>>,
    per_target_rate: Option<Spanned<f64>>,
    prefix_spacing: Option<Time>,
    workers: Option<Spanned<u32>>,
    #[serde(default)]
    blocklists: Several,
    #[serde(default)]
    allow_special: bool,
    #[serde(default)]
    resolve: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    vantages: Vec<Spanned<String>>,
    owner: Option<Spanned<String>>,
    contact: Option<Spanned<String>>,
    #[serde(default)]
    schedule: ScheduleShape,
    measure: Spanned<Vec<Spanned<Table>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleShape {
    every: Option<Spanned<Time>>,
    until: Option<Spanned<String>>,
    times: Option<Spanned<u32>>,
}

/// A file, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file's name, or a list of them")]
enum Several {
    One(PathBuf),
    Some(Vec<PathBuf>),
}

impl Default for Several {
    fn default() -> Several {
        Several::Some(Vec::new())
    }
}

impl Several {
    /// The files, as they are found from this folder.
    fn beside(self, folder: &Path) -> Vec<PathBuf> {
        let files = match self {
            Several::One(file) => vec![file],
            Several::Some(files) => files,
        };
        files.into_iter().map(|file| folder.join(file)).collect()
    }
}

pub(super) fn parse(text: &str, folder: &Path) -> Result<Campaign, Wrong> {
    let lines = Lines::new(text);
    check_version(text, &lines)?;
    let shape: Shape = toml::from_str(text).map_err(|error| of_toml(&error, &lines))?;
    let at = |octet: usize, reason: String| Wrong { line: Some(lines.of(octet)), reason };
    let name = shape.name;
    if !is_name(name.get_ref()) {
        let reason = format!(
            "name: {:?} is no name: it has to begin with a letter or digit, and may have only \
             letters, digits, _ and - (ASCII), {LONGEST_NAME} at the most",
            visible(name.get_ref(), LONGEST_NAME)
        );
        return Err(at(name.span().start, reason));
    }
    let place = shape.targets.span().start;
    let targets = shape.targets.into_inner().beside(folder);
    if targets.is_empty() {
        return Err(at(place, "targets: no file is named".to_owned()));
    }
    let rate = |key: &str, value: Option<Spanned<f64>>| match value {
        Some(rate) if !(1e-6..=1e6).contains(rate.get_ref()) => {
            let reason = format!("{key}: {} is not between 1e-6 and 1e6", rate.get_ref());
            Err(at(rate.span().start, reason))
        }
        rate => Ok(rate.map(Spanned::into_inner)),
    };
    let count = |key: &str, value: Option<Spanned<u32>>| match value {
        Some(count) if *count.get_ref() == 0 => {
            Err(at(count.span().start, format!("{key} is 0: it has to be 1 or more")))
        }
        count => Ok(count.map(Spanned::into_inner)),
    };
    let said = |key: &str, value: Option<Spanned<String>>| match value {
        Some(text) if text.get_ref().trim().is_empty() || text.get_ref().contains(is_hidden) => {
            let reason = format!("{key}: it is empty, or has characters that cannot be shown");
            Err(at(text.span().start, reason))
        }
        text => Ok(text.map(Spanned::into_inner)),
    };
    let place = shape.measure.span().start;
    let measures: Vec<Measure> = shape
        .measure
        .into_inner()
        .into_iter()
        .map(|table| Measure::take(table, &lines))
        .collect::<Result<_, Wrong>>()?;
    if measures.is_empty() {
        return Err(at(place, "measure: the campaign has no measurement".to_owned()));
    }
    let vantages = vantages(shape.vantages, &lines)?;
    let ScheduleShape { every, until, times } = shape.schedule;
    if let Some(every) = every.as_ref().filter(|every| every.get_ref().0.is_zero()) {
        return Err(at(every.span().start, "every: it has to be longer than 0".to_owned()));
    }
    let alone = times.as_ref().map(Spanned::span).or(until.as_ref().map(Spanned::span));
    if let Some(span) = alone.filter(|_| every.is_none()) {
        let reason = "times and until go with every: without it the campaign is measured once";
        return Err(at(span.start, reason.to_owned()));
    }
    let until = until.map(|text| {
        let moment = moment(text.get_ref());
        moment.map_err(|reason| at(text.span().start, format!("until: {reason}")))
    });
    Ok(Campaign {
        name: name.into_inner(),
        targets,
        measures,
        resolve: shape.resolve,
        vantages,
        tags: shape.tags,
        courtesy: Courtesy {
            rate: rate("rate", shape.rate)?,
            per_target_rate: rate("per_target_rate", shape.per_target_rate)?,
            prefix_spacing: shape.prefix_spacing,
            workers: count("workers", shape.workers)?,
            blocklists: shape.blocklists.beside(folder),
            allow_special: shape.allow_special,
        },
        schedule: Schedule {
            every: every.map(Spanned::into_inner),
            until: until.transpose()?,
            times: count("times", times)?,
        },
        owner: said("owner", shape.owner)?,
        contact: said("contact", shape.contact)?,
    })
}

/// The names of places, each once.
fn vantages(names: Vec<Spanned<String>>, lines: &Lines<'_>) -> Result<Vec<String>, Wrong> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        let line = Some(lines.of(name.span().start));
        let name = name.into_inner();
        if !is_name(&name) || all.contains(&name) {
            let shown = visible(&name, LONGEST_NAME);
            let reason = format!("vantages: {shown:?} is no name of a place, or is there twice");
            return Err(Wrong { line, reason });
        }
        all.push(name);
    }
    Ok(all)
}

/// Of a file of another version nothing else is said: its keys may be others.
fn check_version(text: &str, lines: &Lines<'_>) -> Result<(), Wrong> {
    #[derive(Deserialize)]
    struct Only {
        version: Option<Spanned<i64>>,
    }
    // What is no TOML at all is said of the whole.
    let Ok(Only { version: Some(version) }) = toml::from_str(text) else { return Ok(()) };
    if *version.get_ref() == VERSION {
        return Ok(());
    }
    let reason = format!(
        "the campaign is of version {}, and this program reads version {VERSION}: use the program that \
         it was written for",
        version.get_ref()
    );
    Err(Wrong { line: Some(lines.of(version.span().start)), reason })
}

fn of_toml(error: &toml::de::Error, lines: &Lines<'_>) -> Wrong {
    let said = error.message().replace('\n', ", ");
    let line = error.span().map(|span| lines.of(span.start));
    // A value of another type is not named by its key.
    let key = line
        .and_then(|line| lines.text().lines().nth(line - 1)?.split_once('='))
        .filter(|_| said.starts_with("invalid"))
        .map(|(key, _)| format!("{}: ", key.trim()));
    let reason = format!("{}{said}", key.unwrap_or_default());
    Wrong { line, reason: visible(&reason, LONGEST_REASON) }
}

/// Whether a text can be a campaign's name, and a place's: it is a part of files' names.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(fits)
}

fn moment(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text)
        .map_err(|_| format!("{:?} is no time such as 2026-12-24T00:00:00Z", visible(text, 64)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::measure::PluginOption;
    use super::*;

    const MINIMAL: &str = "name = 'spring'\ntargets = 't.csv'\n[[measure]]\nplugin = 'ecn'\n";

    fn parse(text: &str) -> Result<Campaign, Wrong> {
        super::parse(text, Path::new("/c"))
    }

    fn wrong(text: &str) -> (usize, String) {
        let wrong = parse(text).unwrap_err();
        (wrong.line.unwrap(), wrong.reason)
    }

    #[test]
    fn a_minimal_file() {
        let campaign = parse(MINIMAL).unwrap();
        assert_eq!((&*campaign.name, &*campaign.targets), ("spring", &["/c/t.csv".into()][..]));
        assert_eq!(campaign.measures[0].plugin, "ecn");
        assert_eq!(campaign.courtesy, Courtesy::default());
        let first = SystemTime::UNIX_EPOCH;
        assert_eq!(campaign.schedule.begin(0, first), Some(first));
        assert_eq!(campaign.schedule.begin(1, first), None, "once");
    }

    #[test]
    fn all_keys() {
        let text = "version = 1\nname = 'a-1'\ntargets = ['a.csv', '/b.ndjson']\nrate = 10\n\
            per_target_rate = 0.5\nprefix_spacing = '500ms'\nworkers = 7\nblocklists = 'never'\n\
            allow_special = true\nresolve = true\nowner = 'x'\ncontact = 'y'\n\
            tags = {season = 'spring'}\n[schedule]\nevery = '6h'\n\
            until = '1970-01-01T12:00:00Z'\ntimes = 9\n\
            [[measure]]\nplugin = 'dscp'\ncodepoint = [8, 46]\nconnect = 'tcp'\ntimeout = 2.5\n\
            fast = true\nslow = false\nrounds = 3\nround_interval = 60\nconfirm = 2\nflows = true\n\
            capture = true\nchains = ['rtt']\n";
        let campaign = parse(text).unwrap();
        let measure = &campaign.measures[0];
        let mut options: Vec<String> =
            measure.options.iter().filter_map(PluginOption::word).collect();
        options.sort();
        assert_eq!(
            options,
            ["--codepoint=46", "--codepoint=8", "--connect=tcp", "--fast", "--timeout=2.5"]
        );
        assert_eq!(measure.round_interval, Some(Time(Duration::from_secs(60))));
        assert_eq!((measure.line, measure.option_lines["timeout"]), (18, 22));
        assert_eq!(campaign.targets, [Path::new("/c/a.csv"), Path::new("/b.ndjson")]);
        let first = SystemTime::UNIX_EPOCH;
        let hours = |hours: u64| first + Duration::from_secs(hours * 3600);
        assert_eq!(campaign.schedule.begin(2, first), Some(hours(12)));
        assert_eq!(campaign.schedule.begin(3, first), None, "after the end");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let with = |line: &str| format!("{line}\n{MINIMAL}");
        for (text, line, word) in [
            (with("colour = 'red'"), 1, "unknown field `colour`"),
            (with("version = 2"), 1, "version 2"),
            (with("version = 2\ncolour = 'red'"), 1, "version 2"),
            (with("rate = 0"), 1, "not between"),
            (with("rate = 'fast'"), 1, "rate"),
            (with("workers = 0"), 1, "1 or more"),
            (with("contact = ''"), 1, "empty"),
            (MINIMAL.replace("spring", "a.b"), 1, "is no name"),
            (MINIMAL.replace("spring", "../x"), 1, "is no name"),
            (MINIMAL.replace("'t.csv'", "[]"), 2, "no file"),
            (MINIMAL.replace("'t.csv'", "7"), 2, "a file's name"),
            (MINIMAL.replace("plugin = 'ecn'", "plugin = '--x'"), 4, "is no name"),
            (MINIMAL.replace("plugin = 'ecn'", "connect = 'tcp'"), 3, "lacks the key plugin"),
            (format!("{MINIMAL}rounds = 'x'\n"), 5, "rounds: "),
            (format!("{MINIMAL}'a b' = 1\n"), 5, "neither a key"),
            (format!("{MINIMAL}x = {{y = 1}}\n"), 5, "an option has"),
            (format!("{MINIMAL}sha256 = 'abc'\n"), 5, "64 hexadecimal digits"),
            (format!("{MINIMAL}[schedule]\nevery = 0\n"), 6, "longer than 0"),
            (format!("{MINIMAL}[schedule]\ntimes = 3\n"), 6, "go with every"),
            (format!("{MINIMAL}[schedule]\nevery = 1\nuntil = 'soon'\n"), 7, "is no time"),
            (format!("{MINIMAL}[schedule]\never = 1\n"), 6, "unknown field `ever`"),
            ("name = \n".to_owned(), 1, ""),
        ] {
            let (found, reason) = wrong(&text);
            assert!(found == line && reason.contains(word), "{text}: {found}: {reason}");
            assert_eq!(reason.lines().count().max(1), 1, "{reason}");
        }
        assert!(parse("name = 'x'\n").unwrap_err().reason.contains("missing field"));
    }
}
