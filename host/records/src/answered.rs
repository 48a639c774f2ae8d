//! From how far a target's answers came: a hint at who answered.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The hint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Answered {
    /// The TTLs of the first answers.
    pub ttl: Vec<u8>,
    /// How many routers these imply, the fewest first.
    pub hops: Vec<u8>,
    /// The lowest and the highest TTL of the target's other packets.
    pub other_ttl: Vec<u8>,
    /// Where that is far from it, over how many routers other targets of the prefix answered.
    pub prefix_hops: Vec<u8>,
}

impl Answered {
    /// Of a value, which may be somebody else's and anything.
    pub(crate) fn read(value: &RawValue) -> Option<Answered> {
        let answered: Answered = serde_json::from_str(value.get()).ok()?;
        (!answered.ttl.is_empty()).then_some(answered)
    }

    /// Whether the target answered from much nearer or farther than others of its prefix.
    pub fn is_out_of_place(&self) -> bool {
        !self.prefix_hops.is_empty()
    }

    /// Whether other packets had another TTL than the first answers: another box may have answered.
    pub fn is_apart(&self) -> bool {
        self.other_ttl.iter().any(|ttl| !self.ttl.contains(ttl))
    }
}
