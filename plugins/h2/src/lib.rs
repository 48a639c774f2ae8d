//! Whether a path carries connections that ask for HTTP/2 (RFC 9113), and whether the target
//! speaks it.
//!
//! Over TLS, A offers `http/1.1` by ALPN (RFC 7301) and B offers `h2` before it, so that a target
//! without HTTP/2 chooses `http/1.1` and is no fault of the path. Without TLS, B's request asks
//! for the change by `Upgrade: h2c` (RFC 7540, section 3.2; deprecated by RFC 9113, section 3.1).

mod chain;

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Evidence, Hold, Host,
    Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, Value, export_plugin,
};

use chain::Offer;

/// The experiment, B.
const HTTP2: ConfigId = ConfigId::new(1);

/// What a client says of itself with the upgrade (RFC 7540, section 3.2.1): a SETTINGS frame's
/// payload in base64url, which is `SETTINGS_ENABLE_PUSH = 0`.
const SETTINGS: &str = "AAIAAAAA";

/// The status that agrees to an upgrade (RFC 9110, section 15.2.2).
const SWITCHING_PROTOCOLS: u64 = 101;

/// The HTTP/2 measurement of one run.
pub struct H2 {
    connection: Connect,
}

impl Measurement for H2 {
    fn info() -> Info {
        Info::new(
            "h2",
            env!("CARGO_PKG_VERSION"),
            "HTTP/2 by ALPN or upgrade: connectivity, change",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .connectivity("h2")
        .condition("h2.upgrade.success", "the target changed to HTTP/2, or chose it")
        .condition("h2.upgrade.failed", "it answered, and did not")
    }

    fn options() -> Options {
        Options::none().connect(&[ConnectKind::Http, ConnectKind::Https]).timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(H2 { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        ["http/1.1", "http/2"].map(|label| Configuration::new(label).hold(Hold::Initiation)).into()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "h2"])
    }

    fn default_port(&self) -> u16 {
        self.connection.kind().default_port()
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        let connection = self.connection.clone();
        Ok(match (connection.kind(), config) {
            (ConnectKind::Https, HTTP2) => connection.alpn(&["h2", "http/1.1"]),
            (ConnectKind::Https, _) => connection.alpn(&["http/1.1"]),
            (_, HTTP2) => connection
                .header("Connection", "Upgrade, HTTP2-Settings")
                .header("Upgrade", "h2c")
                .header("HTTP2-Settings", SETTINGS),
            _ => connection,
        })
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |config, flow| match flow.bool("h2_offered") {
            Some(offered) => Some(offered == (config == HTTP2)),
            // Until the handshake is over, B is like A: that B alone did not come so far says
            // nothing about HTTP/2.
            None => flows[..=config.index()].iter().all(is_unanswered).then_some(true),
        });
        let mut conditions = Vec::from_iter(evidence.connectivity("h2", HTTP2));
        conditions.extend(evidence.flow(HTTP2).and_then(changed).map(|changed| match changed {
            true => Condition::new("h2.upgrade.success"),
            false => Condition::new("h2.upgrade.failed"),
        }));
        Ok(evidence.conclude(conditions))
    }
}

/// Whether our SYN was captured, and the handshake never came about.
fn is_unanswered(flow: &Record) -> bool {
    flow.u64("tcp_synflags_fwd").is_some() && flow.bool("tcp_connected") == Some(false)
}

/// Whether the target changed to HTTP/2; `None` where it did not answer.
fn changed(b: &Record) -> Option<bool> {
    match b.get("tls_info").and_then(Value::as_record) {
        Some(tls) => {
            tls.str("version")?;
            Some(tls.get("alpn").and_then(Value::as_bytes) == Some(b"h2"))
        }
        None => {
            let agreed = b.u64("http_response_code")? == SWITCHING_PROTOCOLS;
            Some(agreed && b.bool("h2_switched") == Some(true))
        }
    }
}

export_plugin! { measurements: [H2], chains: [Offer] }

#[cfg(test)]
mod tests;
