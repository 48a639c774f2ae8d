//! The machine's ordinary SYN, on which the baselines of measurements rely that make sockets.
//!
//! Whether it asks for ECN is a setting of the machine, and of its kernel: Linux asks for AccECN from
//! 7.0 on. A measurement that changes the system pins it. One that changes nothing looks at its SYNs
//! on the wire, and gives `pathspider.not_applied`.

use std::sync::Once;

use crate::chains::tcp;
use crate::error::Result;
use crate::flows::Flow;
use crate::host::{Host, Level};
use crate::packet::TcpFlags;
use crate::system::System;

/// What SYNs ask for, and what those of others are answered.
const ECN: &str = "net.ipv4.tcp_ecn";

/// The value of [`ECN`] with which nothing is asked for, and others are answered as with this one;
/// `None` where nothing is asked for already.
fn without_asking(value: &str) -> Option<&'static str> {
    match value.trim() {
        // No ECN, ECN and AccECN, where others ask for it.
        "0" | "2" | "5" => None,
        "3" | "4" => Some("5"),
        _ => Some("2"),
    }
}

impl System<'_> {
    /// Has the machine's SYNs ask neither for ECN (RFC 3168) nor for AccECN (RFC 9768). What it
    /// answers others stays as it is. Nothing is changed where it asks for neither.
    ///
    /// A route or a congestion control may ask all the same, so look at the SYN on the wire
    /// ([`Flow::asks_for_ecn`]).
    ///
    /// # Errors
    ///
    /// See [`sysctl`](System::sysctl).
    pub fn pin_ordinary_syns(&mut self) -> Result<()> {
        let value = self.read(ECN)?;
        match value.as_deref().and_then(without_asking) {
            Some(value) => self.sysctl(ECN, value),
            None => Ok(()),
        }
    }
}

impl Flow<'_> {
    /// Whether our first SYN asked for ECN or AccECN. An ordinary one does not; what becomes of one
    /// that does depends on what the path does to ECN. Needs the chain `tcp`.
    pub fn asks_for_ecn(self) -> bool {
        let sent = self.get(tcp::SYNFLAGS_FWD);
        sent.is_some_and(|flags| flags & TcpFlags::ASK_FOR_ECN != TcpFlags::NONE)
    }
}

/// For a measurement that changes nothing: says once in a run that the machine's SYNs ask for ECN.
pub struct OrdinarySyns {
    host: Host,
    looked: Once,
}

impl OrdinarySyns {
    /// Says it through this host.
    pub fn new(host: Host) -> OrdinarySyns {
        OrdinarySyns { host, looked: Once::new() }
    }

    /// Looks at the machine, the first time that it is called.
    pub fn look(&self, system: &System<'_>) {
        self.looked.call_once(|| {
            // The wire decides; without an answer there is only no advice.
            let Ok(Some(value)) = system.read(ECN) else { return };
            if let Some(other) = without_asking(&value) {
                self.host.log(
                    Level::Warning,
                    &format!(
                        "{ECN} is {value}: this machine's SYNs ask for ECN, so nothing can be \
                         concluded from them (pathspider.not_applied); set it to {other} for the \
                         time of the run"
                    ),
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asks_is_changed_and_answers_stay_as_they_are() {
        let all = ["0", "1", "2", "3", "4", "5", "1\n"].map(without_asking);
        assert_eq!(all, [None, Some("2"), None, Some("5"), Some("5"), None, Some("2")]);
    }
}
