//! Which libpcap this process has loaded.

use std::fs;

/// Its version, by the name of the library's file; `None` where it is linked statically.
pub fn libpcap() -> Option<String> {
    named_in(&fs::read_to_string("/proc/self/maps").ok()?)
}

/// `address permissions offset device inode path`, a mapping each.
fn named_in(maps: &str) -> Option<String> {
    let name = |line: &str| line.rsplit_once('/').map(|(_, name)| name.to_owned());
    let mut names = maps.lines().filter_map(name);
    names.find_map(|name| name.strip_prefix("libpcap.so.").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_its_version() {
        let maps = "7f1a-7f1b r-xp 0000 08:01 42   /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f1c-7f1d r-xp 0000 08:01 43   /usr/lib/x86_64-linux-gnu/libpcap.so.1.10.3\n";
        assert_eq!(named_in(maps).as_deref(), Some("1.10.3"));
        assert_eq!(named_in("7f1a-7f1b rw-p 0000 00:00 0\n"), None);
    }
}
