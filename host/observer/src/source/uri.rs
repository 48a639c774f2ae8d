//! Reads a source's URI.

use std::path::{Path, PathBuf};

use super::SourceError;
use super::live;

/// What a URI names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uri {
    Live(String),
    File(PathBuf),
    StandardInput,
}

impl Uri {
    pub(super) fn parse(uri: &str) -> Result<Uri, SourceError> {
        if uri == "-" {
            return Ok(Uri::StandardInput);
        }
        match uri.split_once(':') {
            Some(("int" | "ring" | "pcapint", name)) => Ok(Uri::Live(name.into())),
            Some(("pcapfile", "-")) => Ok(Uri::StandardInput),
            Some(("pcapfile", path)) => Ok(Uri::File(path.into())),
            // Names of files and interfaces may hold colons.
            Some((scheme, _)) if is_scheme(scheme) && !is_there(uri) => {
                Err(SourceError::Scheme { scheme: scheme.into() })
            }
            _ => Ok(bare(uri)),
        }
    }
}

/// Whether a URI names a file or standard input, and not an interface.
pub fn is_recorded(uri: &str) -> bool {
    matches!(Uri::parse(uri), Ok(Uri::File(_) | Uri::StandardInput))
}

/// An interface of that name wins over a file; what is neither is taken for a path when it looks
/// like one, so that the error that follows speaks of the right thing.
fn bare(name: &str) -> Uri {
    let looks_like_path = name.contains(['/', '.']) || Path::new(name).exists();
    if looks_like_path && !live::exists(name) {
        Uri::File(name.into())
    } else {
        Uri::Live(name.into())
    }
}

fn is_there(name: &str) -> bool {
    Path::new(name).exists() || live::exists(name)
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_sources() {
        for uri in ["int:eth7", "ring:eth7", "pcapint:eth7", "eth7"] {
            assert_eq!(Uri::parse(uri), Ok(Uri::Live("eth7".into())), "{uri}");
        }
        assert_eq!(Uri::parse("lo"), Ok(Uri::Live("lo".into())));
    }

    #[test]
    fn recorded_sources() {
        for uri in ["pcapfile:a.pcap", "a.pcap"] {
            assert_eq!(Uri::parse(uri), Ok(Uri::File("a.pcap".into())), "{uri}");
        }
        assert_eq!(Uri::parse("./eth0"), Ok(Uri::File("./eth0".into())));
        assert_eq!(Uri::parse("-"), Ok(Uri::StandardInput));
        assert_eq!(Uri::parse("pcapfile:-"), Ok(Uri::StandardInput));
    }

    #[test]
    fn unknown_schemes_are_named() {
        let error = Uri::parse("erf:x").unwrap_err();
        assert!(error.to_string().starts_with("no kind of source \"erf\""));
    }
}
