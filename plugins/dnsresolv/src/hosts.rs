//! Names that the system's file of hosts has.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

/// The addresses of each name.
#[derive(Default)]
pub(crate) struct Hosts {
    names: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Those of `/etc/hosts`; none without that file.
    pub(crate) fn of_the_system() -> Hosts {
        let text = fs::read("/etc/hosts").unwrap_or_default();
        Hosts::read(&String::from_utf8_lossy(&text))
    }

    /// Those of such a file.
    pub(crate) fn read(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
            for name in words {
                let addresses = hosts.names.entry(key(name)).or_default();
                addresses.push(address);
            }
        }
        hosts
    }

    /// A name's addresses.
    pub(crate) fn addresses(&self, name: &str) -> &[IpAddr] {
        if self.names.is_empty() {
            &[]
        } else {
            self.names.get(&key(name)).map_or(&[], Vec::as_slice)
        }
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_addresses_of_all_their_lines() {
        let hosts = Hosts::read(
            "# of this network\n192.0.2.1 a.example A # and\nbad b.example\n2001:db8::1\ta.example\n",
        );
        let found: Vec<String> =
            hosts.addresses("A.example.").iter().map(IpAddr::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "2001:db8::1"]);
        assert!(hosts.addresses("b.example").is_empty());
    }
}
