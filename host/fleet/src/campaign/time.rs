//! Times in a campaign's file: seconds, or words such as `10m`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A year: so that a time can be added to any other.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A time that something lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(pub(crate) Duration);

impl Time {
    fn checked(time: Duration) -> Result<Time, String> {
        if time > LONGEST { Err("more than a year".to_owned()) } else { Ok(Time(time)) }
    }

    fn of_words(text: &str) -> Result<Time, String> {
        humantime::parse_duration(text).map_err(|error| error.to_string()).and_then(Time::checked)
    }

    fn seconds(seconds: f64) -> Result<Time, String> {
        Duration::try_from_secs_f64(seconds)
            .map_err(|error| error.to_string())
            .and_then(Time::checked)
    }
}

/// Seconds, or words such as `10m`.
impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        match text.parse() {
            Ok(seconds) => Time::seconds(seconds),
            Err(_) => Time::of_words(text),
        }
    }
}

/// As `measure` takes it.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_secs_f64().fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time: seconds, or a text such as \"10m\"")
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Time, E> {
                Time::seconds(seconds as f64).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
                Time::seconds(seconds as f64).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
                Time::seconds(seconds).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                Time::of_words(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Writes a moment as records do.
pub(super) fn rfc3339<S: Serializer>(
    moment: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = moment.map(|moment| humantime::format_rfc3339_seconds(moment).to_string());
    text.serialize(serializer)
}
