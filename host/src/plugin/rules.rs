//! The rules of the contract that a program can see to, by the names that messages and
//! `pathspider check` give them.

/// Whether a text can be the name of a measurement or a chain.
pub(crate) fn is_name(text: &str) -> bool {
    let mut octets = text.bytes();
    octets.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && octets.all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
        && text.len() <= 64
}
