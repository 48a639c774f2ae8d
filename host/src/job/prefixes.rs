//! Sets of prefixes, and whether one of them covers an address.

use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

/// A set of prefixes of both families.
#[derive(Default)]
pub(super) struct Prefixes(JointPrefixSet<IpNet>);

impl Prefixes {
    /// Whether one of them covers the address.
    pub(super) fn covers(&self, address: IpAddr) -> bool {
        self.0.get_spm(&IpNet::from(address)).is_some()
    }
}

impl FromIterator<IpNet> for Prefixes {
    fn from_iter<I: IntoIterator<Item = IpNet>>(prefixes: I) -> Prefixes {
        let mut set = JointPrefixSet::default();
        for prefix in prefixes {
            set.insert(prefix.trunc());
        }
        Prefixes(set)
    }
}
