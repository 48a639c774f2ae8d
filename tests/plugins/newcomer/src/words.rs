//! The mistakes. The tests that make them read this file too, so that none is forgotten there.

/// Each by the name that `NEWCOMER` has.
pub(crate) const MISTAKES: [&str; 28] = [
    "name-with-capitals",
    "no-version",
    "no-description",
    "no-contact",
    "conditions-forgotten",
    "condition-of-one-word",
    "condition-of-the-host",
    "condition-left-open",
    "default-out-of-range",
    "option-with-capitals",
    "time-out-forgotten",
    "option-of-another-type",
    "option-misspelt",
    "no-configuration",
    "configurations-of-one-place",
    "configurations-from-one-on",
    "configurations-of-one-label",
    "own-chain-forgotten",
    "chain-misspelt",
    "changes-undeclared",
    "earlier-undeclared",
    "field-of-no-chain",
    "field-unwrapped",
    "configuration-that-is-not-there",
    "chain-of-a-taken-field",
    "chain-with-a-field-twice",
    "chain-that-sets-anothers-field",
    "chain-that-panics",
];

/// What is no mistake, and may look like one: a chain that has the name of one of the host's.
pub(crate) const NAMESAKE: &str = "chain-with-a-name-of-the-hosts";
