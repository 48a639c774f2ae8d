//! The name of a place, or of a campaign, in an argument.

/// A name that can be a folder's, and a part of a subject on a server.
pub(super) fn place(text: &str) -> Result<String, String> {
    match crate::campaign::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, _ and - (ASCII), and no more than 64 of them".to_owned()),
    }
}
