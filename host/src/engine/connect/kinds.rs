//! The kinds of connection that this host makes over sockets.

use pathspider_plugin_api::ConnectKind;

use super::kind::Kind;
use super::{dnstcp, dnsudp, http, https, quic, tcp};

/// All of them.
const KINDS: [&dyn Kind; 6] =
    [&tcp::Tcp, &http::Http, &https::Https, &dnstcp::DnsTcp, &dnsudp::DnsUdp, &quic::Quic];

/// What this host does for connections of that kind; `None` where it makes none over sockets.
pub(super) fn find(kind: ConnectKind) -> Option<&'static dyn Kind> {
    KINDS.into_iter().find(|known| known.kind() == kind)
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::Connect;
    use pathspider_plugins::asked::Settings;

    use super::*;

    #[test]
    fn each_kind_of_the_contract_is_made_here_or_not_over_sockets() {
        for kind in ConnectKind::ALL {
            let elsewhere = match kind {
                // These are sent by the forger, made by the plugin, or not made.
                ConnectKind::Syn | ConnectKind::Packets | ConnectKind::Conversation => true,
                ConnectKind::Done | ConnectKind::Skip => true,
                _ => false,
            };
            assert_eq!(find(kind).is_none(), elsewhere, "{kind:?} has no line in KINDS");
            let has_settings = Settings::read(&Connect::new(kind)).is_ok();
            let is_set = !elsewhere || matches!(kind, ConnectKind::Syn | ConnectKind::Conversation);
            assert_eq!(has_settings, is_set, "{kind:?} has no line in connect/settings.rs");
        }
    }

    #[test]
    fn the_pages_explain_each_kind_that_is_made_here() {
        let page = include_str!("../../../../docs/records.md");
        for kind in KINDS {
            let name = kind.kind().name();
            assert!(page.contains(&format!("| `{name}` | ")), "docs/records.md lacks {name}");
        }
    }
}
