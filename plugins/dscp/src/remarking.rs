//! Which of the behaviours that RFC 9435 lists in section 4 explain a change of a code point.

/// The three bits that were the precedence of RFC 791.
const PRECEDENCE: u8 = 0b111_000;
/// The others.
const LOW: u8 = !PRECEDENCE & 0b111_111;

/// Those that turn one code point into the other. Several may: the mechanism does not show in one change.
/// What no operation on bits explains is a re-marking to a particular code point.
pub(crate) fn behaviours(was: u8, is: u8) -> Vec<&'static str> {
    let found = [
        ("bleach_dscp", is == 0),
        ("bleach_tos_precedence", was & PRECEDENCE != 0 && is == was & LOW),
        ("remark_tos", is & LOW == was & LOW && is & PRECEDENCE != 0),
        ("bleach_low", was & LOW != 0 && is == was & PRECEDENCE),
    ];
    let found = found.into_iter().filter(|(_, explains)| *explains);
    let found: Vec<&str> = found.map(|(behaviour, _)| behaviour).collect();
    if found.is_empty() { vec!["remark_dscp"] } else { found }
}
