//! Names of plugins and commands: today's, those of PATHspider's earlier generations, and guesses
//! at what a mistyped one was meant to be.

use std::path::Path;

use super::exit::{Exit, Failure};
use pathspider_plugins::{Found, LoadError, Loaded, Registry};
use pathspider_plugins::{conditions, options};
use pathspider_runtime::say;

/// 0.9 named its plugins by their classes: `ECNSpider`.
const CLASS_SUFFIX: &str = "spider";

/// Plugins of PATHspider that have no counterpart here, and what to do instead.
const PLUGINS_LEFT_OUT: [(&str, &str); 2] = [
    ("template", "it was an example for authors, as plugins/ecn and plugin-api/README.md are here"),
    ("tls", "it asked for protocols by NPN and ALPN; h2 asks for HTTP/2 by ALPN"),
];

/// Commands of PATHspider that have no counterpart here, and what to do instead.
const COMMANDS_LEFT_OUT: [(&str, &str); 5] = [
    ("test", "`make test` runs all tests, and `make demo` measures a network of known paths"),
    (
        "upload",
        "it sent files to one observatory; send them with curl, as an observatory asks for them",
    ),
    ("wizard", "--help and `pathspider help PLUGIN` say what there is to choose"),
    ("analyze", "`pathspider filter --count` counts conditions"),
    ("traceroute", "`pathspider trace` shows where on a path packets are harmed"),
];

/// The measurement of a name, in either case, also by its class name of 0.9.
pub(super) fn lookup<'a>(registry: &'a Registry, name: &str) -> Option<&'a Found> {
    registry.find(name).or_else(|| registry.find(without_class_suffix(name)?))
}

/// Whether a plugin was meant by this name: one that can be used, that was rejected, or that
/// PATHspider had.
pub(super) fn is_plugin(registry: &Registry, name: &str) -> bool {
    let plain = plain(name);
    lookup(registry, name).is_some()
        || registry.rejected_named(plain).next().is_some()
        || left_out(&PLUGINS_LEFT_OUT, plain).is_some()
}

/// The measurement of a name; what it hides is reported.
///
/// # Errors
///
/// There is none, or its file is rejected.
pub(super) fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a Found, Failure> {
    let plain = plain(name);
    if let Some(found) = lookup(registry, name) {
        if let Some(shadowed) = registry.shadowed.iter().find(|s| s.name == found.info.name) {
            say!(
                "using {} of {}; the one of {} is not used",
                shadowed.name,
                shadowed.by.display(),
                shadowed.path.display()
            );
        }
        for rejected in registry.rejected_named(plain) {
            say!(
                "using {}; {} is rejected: {}",
                found.path.display(),
                rejected.path.display(),
                rejected.error
            );
        }
        let option = options::unusable(&found.options).map(|trouble| {
            format!("its option {trouble}: rebuild it with an option that can be given")
        });
        if let Some(trouble) = option.or_else(|| conditions::unusable(&found.info)) {
            let message = format!(
                "the plugin {} cannot be used: {trouble}; `pathspider check FILE` says more",
                found.path.display()
            );
            return Err(Failure::new(Exit::PluginRefused, message));
        }
        return Ok(found);
    }
    if let Some(rejected) = registry.rejected_named(plain).next() {
        return Err(refuse(&rejected.path, &rejected.error));
    }
    let instead = match left_out(&PLUGINS_LEFT_OUT, plain) {
        Some(instead) => format!(" any more: {instead}"),
        None => did_you_mean(suggestion(name, plugin_names(registry))),
    };
    Err(Failure::new(
        Exit::NoPlugin,
        format!("there is no plugin named {name:?}{instead}; {}", there_are(registry)),
    ))
}

/// Loads the file of a measurement.
///
/// # Errors
///
/// It is not any more what it was.
pub(super) fn load(found: &Found) -> Result<Loaded, Failure> {
    found.load().map_err(|error| refuse(&found.path, &error))
}

fn refuse(path: &Path, error: &LoadError) -> Failure {
    let message = format!("the plugin {} is rejected: {error}", path.display());
    Failure::new(Exit::PluginRefused, message)
}

/// Says that a first word is neither a command nor a plugin, and what it may have been meant as.
pub(super) fn unknown(registry: &Registry, commands: &[&str], word: &str) -> Failure {
    if let Some(instead) = left_out(&COMMANDS_LEFT_OUT, word) {
        return Failure::new(
            Exit::Usage,
            format!("there is no command {word} any more: {instead}"),
        );
    }
    let guess = guess(registry, commands, word);
    let exit = match guess {
        Some(name) if commands.contains(&name) => Exit::Usage,
        _ => Exit::NoPlugin,
    };
    Failure::new(
        exit,
        format!(
            "there is no command, plugin or file named {word:?}{}; there are the commands {} and the \
             plugins {}",
            did_you_mean(guess),
            commands.join(", "),
            listed(registry)
        ),
    )
}

/// Says that what stands where a plugin is named is an option of nothing.
pub(super) fn no_option(word: &str, options: &[String]) -> Failure {
    let guess = suggestion(word, options.iter().map(String::as_str));
    let guess = did_you_mean(guess);
    Failure::new(
        Exit::Usage,
        format!(
            "measure has no option {word}{guess}; a plugin's own options stand behind its name: \
             pathspider measure [OPTIONS] PLUGIN [OPTIONS OF THE PLUGIN]"
        ),
    )
}

/// Whether [`unknown`] has more to say of a word than that there is no such thing.
pub(super) fn resembles(registry: &Registry, commands: &[&str], word: &str) -> bool {
    left_out(&COMMANDS_LEFT_OUT, word).is_some() || guess(registry, commands, word).is_some()
}

fn guess<'a>(registry: &'a Registry, commands: &[&'a str], word: &str) -> Option<&'a str> {
    suggestion(word, commands.iter().copied().chain(plugin_names(registry)))
}

/// What there is to choose from, for a message.
pub(super) fn there_are(registry: &Registry) -> String {
    if registry.found.is_empty() {
        "no plugin was found (see pathspider --list-plugins)".to_owned()
    } else {
        format!("there are: {}", listed(registry))
    }
}

fn listed(registry: &Registry) -> String {
    let names: Vec<&str> = plugin_names(registry).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn plugin_names(registry: &Registry) -> impl Iterator<Item = &str> {
    registry.found.iter().map(|found| found.info.name.as_str())
}

/// The name that a word differs least from: in one letter, or in one of three; letters swapped
/// count as one.
fn suggestion<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word).to_ascii_lowercase();
    let letters = word.chars().count();
    names
        .map(|name| (strsim::osa_distance(&word, name), name))
        .filter(|(distance, _)| letters > 1 && *distance <= (letters / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

fn without_class_suffix(name: &str) -> Option<&str> {
    let split = name.len().checked_sub(CLASS_SUFFIX.len()).filter(|&at| at > 0)?;
    let (start, end) = name.split_at_checked(split)?;
    end.eq_ignore_ascii_case(CLASS_SUFFIX).then_some(start)
}

/// A name without what 0.9 put after it.
fn plain(name: &str) -> &str {
    without_class_suffix(name).unwrap_or(name)
}

fn left_out(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(left, _)| left.eq_ignore_ascii_case(name)).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_of_0_9() {
        assert_eq!(plain("ECNSpider"), "ECN");
        assert_eq!(plain("tfoSPIDER"), "tfo");
        assert_eq!(plain("spider"), "spider");
        assert_eq!(plain("ecn"), "ecn");
        assert_eq!(plain("äspider"), "ä");
        assert_eq!(plain("äpider"), "äpider");
    }

    #[test]
    fn mistyped_names_are_guessed() {
        let guess =
            |word| suggestion(word, ["measure", "observe", "filter", "ecn", "dscp"].into_iter());
        assert_eq!(guess("mesure"), Some("measure"));
        assert_eq!(guess("obsrve"), Some("observe"));
        assert_eq!(guess("enc"), Some("ecn"));
        assert_eq!(guess("DSPC"), Some("dscp"));
        assert_eq!(guess("EncSpider"), Some("ecn"));
        for word in ["targets.csv", "telepathy", "/tmp/in", "x", ""] {
            assert_eq!(guess(word), None, "{word}");
        }
    }

    #[test]
    fn what_is_gone_is_said_to_be() {
        let empty = Registry::default();
        let message = |failure| match failure {
            Failure::Told { exit, message } => (exit, message),
            Failure::Parser(error) => panic!("{error}"),
        };
        let (exit, said) = message(find(&empty, "TemplateSpider").map(|_| ()).unwrap_err());
        assert_eq!(exit, Exit::NoPlugin);
        assert!(said.contains("any more: it was an example"), "{said}");
        let (exit, said) = message(unknown(&empty, &["measure"], "upload"));
        assert_eq!(exit, Exit::Usage);
        assert!(said.contains("any more"), "{said}");
    }
}
