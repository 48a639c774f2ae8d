//! Whether a path carries TLS 1.3 with Encrypted Client Hello (RFC 9849).
//!
//! A: a handshake of TLS 1.3 and a page. B: the same with an offer of ECH that is made up (section 6.2), which
//! each target has to ignore. C: as B, with the server name in the open that clients of a large provider
//! of ECH send. D: as A once more. A comes before all that may have a box on the way block what follows,
//! and D after it: where D fails, nothing is known of what B and C failed from.

mod chain;

use pathspider_plugin_api::chains::{basic, icmp, tcp};
use pathspider_plugin_api::prelude::*;

use chain::Ech as Hellos;

const PLAIN: Configuration =
    Configuration::new(0, "tls 1.3").hold(Hold::Initiation).carrier(Carrier::Data);
const GREASE: Configuration =
    Configuration::new(1, "grease").hold(Hold::Initiation).carrier(Carrier::Data);
const OUTER: Configuration =
    Configuration::new(2, "other name").hold(Hold::Initiation).carrier(Carrier::Data);
const CONTROL: Configuration =
    Configuration::new(3, "tls 1.3 again").hold(Hold::Initiation).carrier(Carrier::Data);

conditions! {
    CONNECTIVITY: connectivity("ech.<grease|outername|control>", "the TLS handshake came about");
    TLS13_ABSENT: absent("ech.tls13.absent", "the target does not speak TLS 1.3, which ECH needs");
    NAME_ABSENT: absent(
        "ech.outername.absent",
        "an alert of the target says that it knows no server of the other name"
    );
    FAILURE: unknown(
        "ech.<plain|grease|outername|control>.failure:<how>",
        "what came in place of the handshake: an alert, a reset, silence"
    );
}

/// Each with its word in conditions.
const WORDS: [(Configuration, &str); 4] =
    [(PLAIN, "plain"), (GREASE, "grease"), (OUTER, "outername"), (CONTROL, "control")];

/// The name that is sent in the open with ECH to the largest provider of it.
const OUTER_NAME: &str = "cloudflare-ech.com";

/// Numbers of alerts (RFC 8446, section 6).
const PROTOCOL_VERSION: u64 = 70;
const UNRECOGNIZED_NAME: u64 = 112;

/// The measurement of one run.
pub struct Ech {
    connection: Connect,
    outer_name: String,
    /// Whether its SYNs are ordinary ones.
    ordinary: OrdinarySyns,
}

impl Measurement for Ech {
    fn info() -> Info {
        info!("ech", "Encrypted Client Hello (RFC 9849): connectivity, what is refused")
            .port(ConnectKind::Https.default_port())
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout().text("outer-name", OUTER_NAME, "The other server name")
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let outer_name = options.text("outer-name")?.unwrap_or(OUTER_NAME).to_owned();
        if !is_name(&outer_name) {
            return Err(Error::new(format!("--outer-name: {outer_name:?} is no domain name")));
        }
        let connection = Connect::new(ConnectKind::Https).timeout(options.timeout()?);
        Ok(Ech { connection, outer_name, ordinary: OrdinarySyns::new(host) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        WORDS.iter().map(|(config, _)| config.clone()).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, chain::CHAIN, icmp::CHAIN])
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        self.ordinary.look(system);
        Ok(())
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connection = self.connection.clone();
        Ok(match attempt.config() {
            config if config == GREASE => connection.ech_grease(),
            config if config == OUTER => connection.ech_grease().server_name(&self.outer_name),
            _ => connection.only_tls13(),
        })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = self.weigh(flows);
        let plain = evidence.of(PLAIN);
        if plain.is_some_and(lacks_tls13) {
            return Ok(evidence.conclude([TLS13_ABSENT]));
        }
        let mut found = Vec::new();
        // What failed between two that came about failed from what it had.
        let is_held = evidence.of(CONTROL).is_some_and(has_shaken);
        for (config, word) in &WORDS[1..] {
            let (Some(a), Some(b)) = (plain, evidence.of(config)) else { continue };
            let is_broken = has_shaken(a) && !has_shaken(b);
            let is_unknown_name = *config == OUTER && alert(b) == Some(UNRECOGNIZED_NAME);
            if is_broken && is_unknown_name {
                found.push(NAME_ABSENT);
            } else if !is_broken || is_held || *config == CONTROL {
                found.push(CONNECTIVITY.compared(has_shaken(a), has_shaken(b)).of(word));
            }
        }
        for (config, word) in &WORDS {
            let how = evidence.of(config).and_then(failure);
            found.extend(how.map(|how| FAILURE.of(word).with(how)));
        }
        Ok(evidence.conclude(found))
    }
}

impl Ech {
    /// What the capture proves of each ClientHello.
    fn weigh<'f>(&self, flows: &Flows<'f>) -> Evidence<'f> {
        let is_unconnected = |flow: Flow<'_>| flow.get(tcp::CONNECTED) == Some(false);
        let is_silent = is_unconnected(flows.of(PLAIN));
        flows.weigh(|flow| {
            if flow.asks_for_ecn() {
                return Some(false);
            }
            if is_unconnected(flow) {
                // It never came to a ClientHello. That says nothing of one that offers ECH, and all
                // that there is to know of the control.
                return (is_silent || flow.is(CONTROL)).then_some(true);
            }
            let has_offer = flow.is(GREASE) || flow.is(OUTER);
            let is_offer_meant = flow.get(chain::OFFERED)? == has_offer;
            let is_name_meant =
                !flow.is(OUTER) || flow.get(chain::NAME)?.eq_ignore_ascii_case(&self.outer_name);
            Some(is_offer_meant && is_name_meant)
        })
    }
}

/// What TLS came to.
fn tls(flow: Flow<'_>) -> Option<&Record> {
    flow.outcome().get("tls_info").and_then(Value::as_record)
}

/// Whether the handshake came about. Both ends have the same ClientHello then, octet by octet.
fn has_shaken(flow: Flow<'_>) -> bool {
    tls(flow).is_some_and(|tls| tls.str("version").is_some())
}

/// The alert that ended it.
fn alert(flow: Flow<'_>) -> Option<u64> {
    tls(flow)?.u64("alert")
}

/// Whether the target chose an older version, or refused this one.
fn lacks_tls13(flow: Flow<'_>) -> bool {
    let is_refused = flow.get(chain::ALERT).map(u64::from) == Some(PROTOCOL_VERSION);
    !has_shaken(flow) && (is_refused || flow.get(chain::TLS13) == Some(false))
}

/// What came in place of the handshake.
fn failure(flow: Flow<'_>) -> Option<String> {
    if has_shaken(flow) {
        return None;
    }
    let error = flow.outcome().str("spdr_error")?;
    Some(match (flow.outcome().str("spdr_phase"), error) {
        (Some("tls"), "tls_alert") => format!("alert_{}", alert(flow)?),
        (Some("tls"), "timeout") if flow.connected() => "stalled".to_owned(),
        (Some("tls"), "timeout") => "silence".to_owned(),
        (Some("tls"), error) => error.to_owned(),
        (phase, error) => format!("{}_{error}", phase.unwrap_or("connect")),
    })
}

/// Whether TLS takes it for the name of a server: labels of letters, digits and hyphens.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_mark = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        (1..64).contains(&label.len())
            && label.bytes().all(is_mark)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    name.len() < 254 && name.split('.').all(is_label) && !name.split('.').all(is_number)
}

export_plugin! { measurements: [Ech], chains: [Hellos] }

#[cfg(test)]
mod tests;
