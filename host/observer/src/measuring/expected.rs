//! The ends to which connections go, or are about to.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::super::key::{Address, Peer};

/// How many connections go to each end, and to each address.
#[derive(Default)]
pub(super) struct Expected {
    ends: HashMap<Peer, u32, RandomState>,
    addresses: HashMap<Address, u32, RandomState>,
}

impl Expected {
    /// One more goes there.
    pub(super) fn add(&mut self, peer: Peer) {
        *self.addresses.entry(peer.address()).or_default() += 1;
        *self.ends.entry(peer).or_default() += 1;
    }

    /// One of them does not any more.
    pub(super) fn remove(&mut self, peer: &Peer) {
        if let Some(count) = self.ends.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                self.ends.remove(peer);
            }
            let address = peer.address();
            if let Some(count) = self.addresses.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.addresses.remove(&address);
                }
            }
        }
    }

    /// Whether any goes to this end.
    #[inline]
    pub(super) fn has(&self, peer: &Peer) -> bool {
        self.ends.contains_key(peer)
    }

    /// Whether any goes to this address, whatever the port.
    pub(super) fn has_address(&self, address: Address) -> bool {
        self.addresses.contains_key(&address)
    }
}
