//! Conditions: what a measurement concludes. Each is declared once, as a constant.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::configuration::ConfigId;

/// One conclusion about a path, such as `ecn.connectivity.works`.
///
/// Words joined by dots, the measurement's name first; a value may follow after a colon. All but the
/// last word is its [`aspect`](Condition::aspect). A condition means *seen*; its absence means *no
/// evidence*.
///
/// [`conditions!`](crate::conditions) declares them. In a name, `<word>` stands for a word that
/// [`of`](Condition::of) puts in, `<one|other>` for one of these, and `:<value>` at the end for a
/// value of [`with`](Condition::with).
#[derive(Debug, Clone)]
pub struct Condition {
    name: Cow<'static, str>,
    class: Class,
    meaning: &'static str,
}

crate::variants! {
    /// What a condition says of the path. What selects or sums up conditions goes by it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Class {
        /// The path carries it, or the target has it.
        Good,
        /// The target has not got it. The path is not to blame.
        Absent,
        /// The path harmed it.
        Impaired,
        /// It says neither: a value that was seen, or what has several reasons.
        Unknown,
    }
}

impl Class {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Good => "good",
            Class::Absent => "absent",
            Class::Impaired => "impaired",
            Class::Unknown => "unknown",
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }
}

const NOT_APPLIED: Condition = Condition::declare(
    "pathspider.not_applied:<config>",
    Class::Unknown,
    "packets of this configuration were not sent as it demands",
);
const NOT_OBSERVED: Condition = Condition::declare(
    "pathspider.not_observed",
    Class::Unknown,
    "what would prove a conclusion is not in the capture",
);

impl Condition {
    /// For [`conditions!`](crate::conditions), and for hosts.
    #[doc(hidden)]
    pub const fn declare(name: &'static str, class: Class, meaning: &'static str) -> Condition {
        Condition { name: Cow::Borrowed(name), class, meaning }
    }

    /// From the boundary: of this text, of a class that the declaration tells.
    pub(crate) fn received(text: Cow<'static, str>) -> Condition {
        Condition { name: text, class: Class::Unknown, meaning: "" }
    }

    /// The same with the class of its declaration.
    #[cfg(feature = "driver")]
    pub(crate) fn classed(self, class: Class) -> Condition {
        Condition { class, ..self }
    }

    /// The condition of this text, for those who have no constant of it. The host refuses one that the
    /// measurement does not declare, and takes the class from there.
    pub fn of_text(text: String) -> Condition {
        Condition::received(text.into())
    }

    /// Puts a word in the place of the name's first placeholder; [`with`](Condition::with) puts in the
    /// value after the colon.
    pub fn of(mut self, word: impl fmt::Display) -> Condition {
        let (name, value) = self.name.split_at(self.name.find(':').unwrap_or(self.name.len()));
        let placed = name.split_once('<').and_then(|(before, rest)| {
            let (_, after) = rest.split_once('>')?;
            Some(self.written(format_args!("{before}{word}{after}{value}")))
        });
        if let Some(placed) = placed {
            self.name = placed.into();
        }
        self
    }

    /// Gives it its value: `name:value`. It has no blanks, no control characters and no `<`, or the host
    /// refuses the job's conclusions: what comes from the network is to be cleaned first.
    pub fn with(mut self, value: impl fmt::Display) -> Condition {
        let name = self.name.split_once(':').map_or(&*self.name, |(name, _)| name);
        self.name = self.written(format_args!("{name}:{value}")).into();
        self
    }

    /// A text that is about as long as the name: measurements make some of these for each target.
    fn written(&self, text: fmt::Arguments<'_>) -> String {
        let mut written = String::with_capacity(self.name.len());
        // Writing to a `String` does not fail.
        let _ = written.write_fmt(text);
        written
    }

    /// `pathspider.not_applied:<config>`: the capture shows packets of this configuration that
    /// were not sent as it demands, so nothing can be concluded from it.
    pub fn not_applied(config: impl Into<ConfigId>) -> Condition {
        NOT_APPLIED.with(config.into().index())
    }

    /// `pathspider.not_observed`: what would prove a conclusion is not in the capture. The host
    /// gives it for flows that were missed; a plugin, for the one packet that counts.
    pub fn not_observed() -> Condition {
        NOT_OBSERVED
    }

    /// Its text, value included.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// What it is about: `ecn.negotiation` of `ecn.negotiation.succeeded`.
    pub fn aspect(&self) -> &str {
        aspect(&self.name)
    }

    /// What it says of the path.
    pub fn class(&self) -> Class {
        self.class
    }

    /// What was seen when it is given.
    pub fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// Its text, given up.
    pub fn into_text(self) -> Cow<'static, str> {
        self.name
    }
}

/// All but the last word of a name; a value may have any character.
fn aspect(name: &str) -> &str {
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    name.rsplit_once('.').map_or(name, |(aspect, _)| aspect)
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.name == other.name
    }
}

impl Eq for Condition {}

impl std::hash::Hash for Condition {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The four conditions in which a baseline A is compared with an experiment B:
/// `connectivity("ecn")` in [`conditions!`](crate::conditions). What works says, where the plugin does
/// not say it: they connected, and got a response if they asked.
#[derive(Debug, Clone, Copy)]
pub struct Connectivity {
    names: [&'static str; 4],
    works: &'static str,
}

impl Connectivity {
    #[doc(hidden)]
    pub const fn declare(names: [&'static str; 4], works: &'static str) -> Connectivity {
        Connectivity { names, works }
    }

    /// Those of a name that only the running program knows. They live as long as the program, so it makes
    /// them once.
    pub fn leaked(name: &str, works: Option<&str>) -> Connectivity {
        let leak = |text: String| -> &'static str { text.leak() };
        let words = ["works", "broken", "offline", "transient"];
        let works = works.unwrap_or("they connected, and got a response if they asked");
        Connectivity {
            names: words.map(|word| leak(format!("{name}.connectivity.{word}"))),
            works: leak(format!("baseline and experiment worked: {works}")),
        }
    }

    /// Its conditions.
    pub const fn conditions(self) -> [Condition; 4] {
        let [works, broken, offline, transient] = self.names;
        [
            Condition::declare(works, Class::Good, self.works),
            Condition::declare(
                broken,
                Class::Impaired,
                "the baseline worked, the experiment did not",
            ),
            Condition::declare(offline, Class::Unknown, "neither worked"),
            Condition::declare(
                transient,
                Class::Unknown,
                "the experiment worked, the baseline did not",
            ),
        ]
    }

    /// The one that says whether A and B worked.
    pub fn compared(self, a: bool, b: bool) -> Condition {
        let [works, broken, offline, transient] = self.conditions();
        match (a, b) {
            (true, true) => works,
            (true, false) => broken,
            (false, false) => offline,
            (false, true) => transient,
        }
    }
}

/// The two conditions of a measurement with a single configuration: `online("mss")` in
/// [`conditions!`](crate::conditions).
#[derive(Debug, Clone, Copy)]
pub struct Online([&'static str; 2]);

impl Online {
    #[doc(hidden)]
    pub const fn declare(names: [&'static str; 2]) -> Online {
        Online(names)
    }

    /// Its conditions.
    pub const fn conditions(self) -> [Condition; 2] {
        let [online, offline] = self.0;
        [
            Condition::declare(online, Class::Good, "the connection succeeded"),
            Condition::declare(offline, Class::Unknown, "it did not"),
        ]
    }

    /// The one that says whether it worked.
    pub fn said(self, worked: bool) -> Condition {
        let [online, offline] = self.conditions();
        if worked { online } else { offline }
    }
}

/// Declares all conditions of a measurement, each once: a constant, and a place in `CONDITIONS`, which
/// [`Info::conditions`](crate::Info::conditions) takes.
///
/// A line is a constant's name, its [class](crate::Class), its name in records and its meaning.
/// `connectivity("x")` and `online("x")` are the conditions of [`Connectivity`](crate::Connectivity)
/// and [`Online`](crate::Online). Where a measurement compares by a measure of its own
/// ([`Evidence::compared`](crate::Evidence::compared)), it says which:
/// `connectivity("x", "their data were acknowledged")`.
///
/// ```
/// use pathspider_plugin_api::conditions;
///
/// conditions! {
///     CONNECTIVITY: connectivity("x.<code>");
///     ACCEPTED: good("x.negotiation.accepted", "the target agreed to it");
///     REFUSED: absent("x.negotiation.refused", "it did not");
///     MARK: unknown("x.<code>.mark:<mark>", "its answer had this mark");
/// }
///
/// assert_eq!(ACCEPTED.aspect(), "x.negotiation");
/// assert_eq!(MARK.of(46).with(0).as_str(), "x.46.mark:0");
/// assert_eq!(CONNECTIVITY.compared(true, false).of(46).as_str(), "x.46.connectivity.broken");
/// assert_eq!(CONDITIONS.iter().map(|group| group.len()).sum::<usize>(), 7);
/// ```
#[macro_export]
macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident: $class:ident($($argument:literal),+ $(,)?);)*) => {
        $(
            $(#[$doc])*
            const $name: $crate::conditions!(@type $class) =
                $crate::conditions!(@value $class $($argument),+);
        )*

        /// All conditions that the measurement can give.
        const CONDITIONS: &[&[$crate::Condition]] =
            &[$(&$crate::conditions!(@all $class $($argument),+)),*];
    };
    (@type connectivity) => { $crate::Connectivity };
    (@type online) => { $crate::Online };
    (@type $class:ident) => { $crate::Condition };
    (@value connectivity $prefix:literal) => {
        $crate::conditions!(
            @value connectivity $prefix, "they connected, and got a response if they asked"
        )
    };
    (@value connectivity $prefix:literal, $works:literal) => {
        $crate::Connectivity::declare(
            [
                concat!($prefix, ".connectivity.works"),
                concat!($prefix, ".connectivity.broken"),
                concat!($prefix, ".connectivity.offline"),
                concat!($prefix, ".connectivity.transient"),
            ],
            concat!("baseline and experiment worked: ", $works),
        )
    };
    (@value online $prefix:literal) => {
        $crate::Online::declare([
            concat!($prefix, ".connectivity.online"),
            concat!($prefix, ".connectivity.offline"),
        ])
    };
    (@value good $name:literal, $meaning:literal) => {
        $crate::Condition::declare($name, $crate::Class::Good, $meaning)
    };
    (@value absent $name:literal, $meaning:literal) => {
        $crate::Condition::declare($name, $crate::Class::Absent, $meaning)
    };
    (@value impaired $name:literal, $meaning:literal) => {
        $crate::Condition::declare($name, $crate::Class::Impaired, $meaning)
    };
    (@value unknown $name:literal, $meaning:literal) => {
        $crate::Condition::declare($name, $crate::Class::Unknown, $meaning)
    };
    (@all connectivity $($argument:literal),+) => {
        $crate::conditions!(@value connectivity $($argument),+).conditions()
    };
    (@all online $prefix:literal) => {
        $crate::conditions!(@value online $prefix).conditions()
    };
    (@all $class:ident $name:literal, $meaning:literal) => {
        [$crate::conditions!(@value $class $name, $meaning)]
    };
    (@value $class:ident $($arguments:tt)*) => {
        compile_error!(concat!(
            "conditions!: no condition is declared by `",
            stringify!($class($($arguments)*)),
            "`: good, absent, impaired and unknown take a name and a meaning; connectivity and \
             online take the words before the last two"
        ))
    };
    (@all $($wrong:tt)*) => { [] };
    ($($wrong:tt)*) => {
        compile_error!(
            "conditions!: a line is `NAME: good(\"x.word\", \"what was seen\");`, or \
             `NAME: connectivity(\"x\");`"
        );
    };
}

/// A condition that a measurement declares, as hosts keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionInfo {
    /// The condition's name. A word in angle brackets stands for any word or value:
    /// `dscp.<codepoint>.replymark:<mark>`.
    pub name: String,
    /// What it says of the path.
    pub class: Class,
    /// What was seen when it is given.
    pub meaning: String,
}

impl ConditionInfo {
    /// What a constant declares: one condition, or one for each word of a `<one|other>`.
    pub(crate) fn declared(condition: &Condition) -> Vec<ConditionInfo> {
        let one = |name: &str| ConditionInfo {
            name: name.into(),
            class: condition.class,
            meaning: condition.meaning.into(),
        };
        let name = condition.as_str();
        let choice = name.split_once('<').and_then(|(before, rest)| {
            let (words, after) = rest.split_once('>')?;
            words.contains('|').then_some((before, words, after))
        });
        match choice {
            Some((before, words, after)) => {
                words.split('|').map(|word| one(&format!("{before}{word}{after}"))).collect()
            }
            None => vec![one(name)],
        }
    }

    /// What it is about: `ecn.negotiation` of `ecn.negotiation.succeeded`.
    pub fn aspect(&self) -> &str {
        aspect(&self.name)
    }

    /// Whether a condition is one of those declared by this name.
    pub fn covers(&self, condition: &str) -> bool {
        let mut rest = condition;
        let mut pattern = self.name.as_str();
        while let Some((literal, after)) = pattern.split_once('<') {
            let Some((_, after)) = after.split_once('>') else {
                break;
            };
            let Some(value) = rest.strip_prefix(literal) else {
                return false;
            };
            // A placeholder for a value takes all that follows the colon, else one word.
            let takes_value = literal.ends_with(':') && after.is_empty();
            let ends = |c: char| {
                c == '<' || c.is_whitespace() || c.is_control() || !takes_value && ".:".contains(c)
            };
            let end = value.find(ends).unwrap_or(value.len());
            if end == 0 {
                return false;
            }
            rest = &value[end..];
            pattern = after;
        }
        rest == pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(name: &str, condition: &str) -> bool {
        let name = name.into();
        ConditionInfo { name, class: Class::Good, meaning: String::new() }.covers(condition)
    }

    #[test]
    fn placeholders_take_one_word_or_a_value() {
        assert!(covers("ecn.connectivity.works", "ecn.connectivity.works"));
        assert!(!covers("ecn.connectivity.works", "ecn.connectivity.works:1"));
        assert!(covers("dscp.<n>.replymark:<m>", "dscp.46.replymark:0"));
        assert!(!covers("dscp.<n>.replymark:<m>", "dscp.46.x.replymark:0"));
        assert!(!covers("dscp.<n>.replymark:<m>", "dscp.46.replymark:"));
        assert!(!covers("dscp.<n>.works", "dscp.<n>.works"), "nobody has put a word in");
        for value in ["<m>", "a b", "a\n", "<"] {
            assert!(!covers("x.mark:<m>", &format!("x.mark:{value}")), "{value}");
        }
        assert!(!covers("x.<n>.works", "x.a b.works"));
        assert!(covers("x.router:<address>", "x.router:2001:db8::1"));
        assert!(covers("quic.vn.versions:<list>", "quic.vn.versions:0x1,draft-29.a"));
    }

    #[test]
    fn what_is_put_in_stands_in_its_place() {
        conditions! {
            MARK: unknown("x.<n>.mark:<m>", "seen");
            SEEN: good("x.<ect0|ce>.seen", "seen");
            ABSENT: absent("x.option.absent", "none");
            BOTH: connectivity("x.<n>");
        }
        assert_eq!(MARK.of(7).with("a.b").as_str(), "x.7.mark:a.b");
        assert_eq!(MARK.of(7).with("a.b").aspect(), "x.7");
        assert_eq!(ABSENT.of("y"), ABSENT);
        assert_eq!(MARK.of(7).of(8).as_str(), "x.7.mark:<m>", "a value is no word");
        assert_eq!((ABSENT.class(), ABSENT.meaning()), (Class::Absent, "none"));
        assert_eq!(BOTH.compared(false, true).of(1).as_str(), "x.1.connectivity.transient");
        let names: Vec<String> =
            ConditionInfo::declared(&SEEN).into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["x.ect0.seen", "x.ce.seen"]);
        let all = CONDITIONS.iter().copied().flatten().count();
        assert_eq!(all, 7);
    }

    #[test]
    fn what_works_is_said_by_the_plugin_or_for_it() {
        conditions! {
            USUAL: connectivity("x");
            OWN: connectivity("y", "their data were acknowledged");
        }
        let meaning = |words: Connectivity| words.compared(true, true).meaning();
        let usual =
            "baseline and experiment worked: they connected, and got a response if they asked";
        assert_eq!(meaning(USUAL), usual);
        assert_eq!(meaning(OWN), "baseline and experiment worked: their data were acknowledged");
        assert_eq!(CONDITIONS[1][0].meaning(), meaning(OWN));
        assert_eq!(OWN.compared(true, false).as_str(), "y.connectivity.broken");
        let leaked = |works| Connectivity::leaked("y", works).conditions();
        assert_eq!(leaked(Some("their data were acknowledged")), OWN.conditions());
        assert_eq!(leaked(None)[0].meaning(), usual);
    }

    #[test]
    fn classes_have_names() {
        for class in Class::ALL {
            assert_eq!(Class::from_name(class.name()), Some(class));
        }
    }
}
