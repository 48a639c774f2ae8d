//! The chain `noop`, which has no fields.

crate::fields! {
    pub CHAIN = "noop": "nothing: flows with their times only";
}
