//! One finding: what was looked at, how it is, and the command that mends it.

use std::fmt;

use pathspider_runtime::text::visible;
use serde_json::{Value, json};

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was looked at.
    subject: &'static str,
    /// How it is.
    says: String,
    /// What mends it, where it is not as it should be.
    mend: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub(super) fn good(subject: &'static str, says: impl fmt::Display) -> Finding {
        Finding { subject, says: says.to_string(), mend: None }
    }

    /// It keeps measurements from working, until this is done.
    pub(super) fn bad(
        subject: &'static str,
        says: impl fmt::Display,
        mend: impl fmt::Display,
    ) -> Finding {
        Finding { subject, says: says.to_string(), mend: Some(mend.to_string()) }
    }

    /// Whether it is as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.mend.is_none()
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "subject": self.subject,
            "good": self.is_good(),
            "says": self.says,
            "mend": self.mend,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_good() { '✓' } else { '✗' };
        write!(f, "{sign} {:10} {}", self.subject, visible(&self.says, 2000))?;
        match &self.mend {
            Some(mend) => write!(f, "\n    mend it: {}", visible(mend, 2000)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_has_a_command_that_mends_it() {
        let good = Finding::good("clock", "is kept");
        assert_eq!(good.to_string(), "✓ clock      is kept");
        let bad = Finding::bad("clock", "is not kept", "timedatectl set-ntp true");
        assert_eq!(
            bad.to_string(),
            "✗ clock      is not kept\n    mend it: timedatectl set-ntp true"
        );
        assert!(!bad.is_good() && bad.json()["mend"] == "timedatectl set-ntp true");
    }
}
