//! Whether a path carries connections that ask for HTTP/2 (RFC 9113), and whether the target
//! speaks it.
//!
//! Over TLS, A offers `http/1.1` by ALPN (RFC 7301) and B offers `h2` before it, so that a target
//! without HTTP/2 chooses `http/1.1` and is no fault of the path. Without TLS, B's request asks
//! for the change by `Upgrade: h2c` (RFC 7540, section 3.2; deprecated by RFC 9113, section 3.1).

mod chain;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

use chain::Offer;

const HTTP1: Configuration =
    Configuration::new(0, "http/1.1").hold(Hold::Initiation).carrier(Carrier::Data);
const HTTP2: Configuration =
    Configuration::new(1, "http/2").hold(Hold::Initiation).carrier(Carrier::Data);

conditions! {
    CONNECTIVITY: connectivity("h2");
    CHANGED: good("h2.upgrade.success", "the target changed to HTTP/2, or chose it by ALPN");
    NOT_CHANGED: absent("h2.upgrade.failed", "the target answered without HTTP/2");
}

/// What a client says of itself with the upgrade (RFC 7540, section 3.2.1): a SETTINGS frame's
/// payload in base64url, which is `SETTINGS_ENABLE_PUSH = 0`.
const SETTINGS: &str = "AAIAAAAA";

/// The status that agrees to an upgrade (RFC 9110, section 15.2.2).
const SWITCHING_PROTOCOLS: u64 = 101;

/// The HTTP/2 measurement of one run.
pub struct H2 {
    connection: Connect,
    /// Whether its SYNs are ordinary ones.
    ordinary: OrdinarySyns,
}

impl Measurement for H2 {
    fn info() -> Info {
        info!("h2", "HTTP/2 by ALPN or upgrade: connectivity, change").conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().connect(&[ConnectKind::Http, ConnectKind::Https]).timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        Ok(H2 { connection: options.connection()?, ordinary: OrdinarySyns::new(host) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![HTTP1, HTTP2]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, chain::CHAIN])
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        self.ordinary.look(system);
        Ok(())
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connection = self.connection.clone();
        Ok(match (connection.kind(), attempt.is(HTTP2)) {
            (ConnectKind::Https, true) => connection.alpn(&["h2", "http/1.1"]),
            (ConnectKind::Https, false) => connection.alpn(&["http/1.1"]),
            (_, true) => connection
                .header("Connection", "Upgrade, HTTP2-Settings")
                .header("Upgrade", "h2c")
                .header("HTTP2-Settings", SETTINGS),
            (_, false) => connection,
        })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| match flow.get(chain::OFFERED) {
            _ if flow.asks_for_ecn() => Some(false),
            Some(offered) => Some(offered == flow.is(HTTP2)),
            // Until the handshake is over, B is like A: that B alone did not come so far says
            // nothing about HTTP/2.
            None => (is_unanswered(flows.of(HTTP1)) && is_unanswered(flow)).then_some(true),
        });
        let verdict = evidence.connectivity(CONNECTIVITY, HTTP2);
        let changed = evidence.of(HTTP2).and_then(changed);
        let change = changed.map(|changed| if changed { CHANGED } else { NOT_CHANGED });
        Ok(evidence.conclude(verdict.into_iter().chain(change)))
    }
}

/// Whether our SYN was captured, and the handshake never came about.
fn is_unanswered(flow: Flow<'_>) -> bool {
    flow.get(tcp::SYNFLAGS_FWD).is_some() && flow.get(tcp::CONNECTED) == Some(false)
}

/// Whether the target changed to HTTP/2; `None` where it did not answer, and where the capture does not
/// have the answer that the socket had.
fn changed(b: Flow<'_>) -> Option<bool> {
    match b.outcome().get("tls_info").and_then(Value::as_record) {
        Some(tls) => {
            tls.str("version")?;
            Some(tls.get("alpn").and_then(Value::as_bytes) == Some(b"h2"))
        }
        None => {
            let agreed = b.outcome().u64("http_response_code")? == SWITCHING_PROTOCOLS;
            match (agreed, b.get(chain::SWITCHED)) {
                (true, Some(true)) => Some(true),
                (true, _) => None,
                (false, _) => Some(false),
            }
        }
    }
}

export_plugin! { measurements: [H2], chains: [Offer] }

#[cfg(test)]
mod tests;
