//! The name of a place, or of a campaign, in an argument.

/// A name that can be a folder's, and a part of a subject on a server.
pub(super) fn place(text: &str) -> Result<String, String> {
    if crate::campaign::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("letters, digits, _ and - (ASCII), and no more than 64 of them".to_owned())
    }
}
