//! Whether a path carries QUIC: version 1 and version 2, a version that nobody speaks, packets without the
//! bit that QUIC fixes to 1, and a first datagram that is not filled up.
//!
//! A: a handshake of version 1 (RFC 9000) and a page by HTTP/3. B: the same by version 2 (RFC 9369). C: a
//! datagram with a reserved version, whereupon servers name theirs. D: as A, and the fixed bit is cleared
//! once the target takes that (RFC 9287). E: as C, too short to be answered by a server that keeps to the
//! rules, which some do all the same.

use std::time::Duration;

use pathspider_plugin_api::chains::{basic, icmp, quic};
use pathspider_plugin_api::packet::quic::{RESERVED_VERSION, VERSION_1, VERSION_2};
use pathspider_plugin_api::prelude::*;

const V1: Configuration = Configuration::new(0, "version 1").hold(Hold::Initiation);
const V2: Configuration = Configuration::new(1, "version 2").hold(Hold::Initiation);
const RESERVED: Configuration = Configuration::new(2, "reserved version").hold(Hold::Initiation);
const GREASED: Configuration = Configuration::new(3, "fixed bit cleared").hold(Hold::Initiation);
const SHORT: Configuration =
    Configuration::new(4, "reserved version, unpadded").hold(Hold::Initiation);

/// Octets of a datagram that is not filled up.
const UNPADDED: u16 = 300;
/// Octets that a datagram has to have (RFC 9000, section 14.1).
const PADDED: u16 = 1200;

conditions! {
    CONNECTIVITY: connectivity(
        "quic.<v2|reserved>",
        "an answer came that only a reader of our packets can make"
    );
    GREASE: connectivity("quic.greased", "the page came after the handshake");
    ONLINE: online("quic.v1");
    SPOKEN: good("quic.<v1|v2>.spoken", "a handshake of this version was completed");
    UNSPOKEN: absent(
        "quic.<v1|v2>.unspoken",
        "the target named other versions in place of an answer"
    );
    OFFERED: good(
        "quic.version.offered:<version>",
        "the target named this version in answer to a version that nobody speaks"
    );
    UNTAKEN: absent("quic.greased.untaken", "the target does not take packets without the fixed bit");
    RETRY: unknown("quic.retry.demanded", "the target demanded a token before it went on");
    ANSWERED: good("quic.unpadded.answered", "a datagram of 300 octets was answered with versions");
    UNANSWERED: unknown(
        "quic.unpadded.unanswered",
        "a datagram of 300 octets was not answered, as RFC 9000 demands"
    );
}

/// How long an answer to the short datagram is waited for at the most: servers that keep to the rules give
/// none. It is sent twice.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// The measurement of one run.
pub struct Quic {
    connection: Connect,
    timeout: Duration,
}

impl Measurement for Quic {
    fn info() -> Info {
        info!("quic", "QUIC versions, the fixed bit and padding: connectivity")
            .port(ConnectKind::Quic.default_port())
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let timeout = options.timeout()?;
        Ok(Quic { connection: Connect::quic().timeout(timeout), timeout })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![V1, V2, RESERVED, GREASED, SHORT]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, quic::CHAIN, icmp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connection = self.connection.clone();
        Ok(match attempt.config() {
            config if config == V2 => connection.version(VERSION_2),
            config if config == RESERVED => connection.version(RESERVED_VERSION),
            config if config == GREASED => connection.grease_fixed_bit(),
            config if config == SHORT => {
                let connection = connection.timeout(self.timeout.min(PATIENCE));
                connection.version(RESERVED_VERSION).padding(UNPADDED)
            }
            _ => connection,
        })
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(as_meant);
        let mut found = Vec::new();
        let a = evidence.of(V1);
        found.extend(a.and_then(|flow| flow.online(ONLINE)));
        for (config, word) in [(&V1, "v1"), (&V2, "v2")] {
            let spoken = evidence.of(config).and_then(spoken);
            found.extend(spoken.map(|is| if is { SPOKEN } else { UNSPOKEN }.of(word)));
        }
        for (config, word) in [(V2, "v2"), (RESERVED, "reserved")] {
            let verdict = evidence.connectivity(CONNECTIVITY, config);
            found.extend(verdict.map(|verdict| verdict.of(word)));
        }
        found.extend(greased(&evidence));
        if let (Some(a), Some(short)) = (a, evidence.of(SHORT)) {
            match (a.connected(), short.connected()) {
                (_, true) => found.push(ANSWERED),
                // Where nothing is there, nothing of it is known.
                (true, false) => found.push(UNANSWERED),
                (false, false) => {}
            }
        }
        let asked = [RESERVED, SHORT].iter().find_map(|config| offered(evidence.of(config)?));
        found.extend(asked.into_iter().flatten());
        let has_retry = a.and_then(info).is_some_and(|info| info.bool("retry") == Some(true));
        found.extend(has_retry.then_some(RETRY));
        Ok(evidence.conclude(found))
    }
}

/// Whether a flow's packets left as its configuration demands; `None` where the capture has none.
fn as_meant(flow: Flow<'_>) -> Option<bool> {
    let (version, length) = match flow.config() {
        config if config == V2 => (VERSION_2, PADDED),
        config if config == RESERVED => (RESERVED_VERSION, PADDED),
        config if config == SHORT => (RESERVED_VERSION, UNPADDED),
        _ => (VERSION_1, PADDED),
    };
    let unfixed = flow.get(quic::UNFIXED_FWD)?;
    let is_version = flow.get(quic::VERSION_FWD)? == quic::version(version);
    let is_length = flow.get(quic::FIRST_LENGTH_FWD)? == length;
    // Packets behind the first one of a datagram are not looked at.
    let is_fixed = unfixed == 0 || flow.is(GREASED);
    Some(is_version && is_length && is_fixed)
}

/// What the host says of a connection.
fn info(flow: Flow<'_>) -> Option<&Record> {
    flow.outcome().get("quic_info").and_then(Value::as_record)
}

/// Whether a handshake was completed; `None` where neither that nor the contrary was seen.
fn spoken(flow: Flow<'_>) -> Option<bool> {
    let info = info(flow)?;
    match (info.get("handshake_us").is_some(), info.get("versions").is_some()) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// What is known of the fixed bit: where the handshake came about, and the target takes either.
fn greased(evidence: &Evidence<'_>) -> Option<Condition> {
    let flow = evidence.of(GREASED)?;
    let info = info(flow)?;
    info.get("handshake_us")?;
    let parameters = info.get("parameters").and_then(Value::as_record)?;
    if parameters.bool("grease_quic_bit") != Some(true) {
        return Some(UNTAKEN);
    }
    // The wire says whether the bit was cleared.
    (flow.get(quic::UNFIXED_FWD)? > 0)
        .then(|| evidence.compared(GREASE, GREASED, |flow| flow.state() == State::Ok))?
}

/// The versions that the target named, without those that nobody speaks: they are other ones each time.
fn offered(flow: Flow<'_>) -> Option<impl Iterator<Item = Condition>> {
    let versions = flow.get(quic::NEGOTIATION)?.iter().filter_map(Value::as_str);
    let is_reserved = |text: &str| {
        let digits = text.trim_start_matches("0x").as_bytes();
        digits.len() == 8 && digits.chunks(2).all(|pair| pair[1] == b'a')
    };
    Some(versions.filter(move |text| !is_reserved(text)).map(|text| OFFERED.with(text)))
}

export_plugin!(Quic);

#[cfg(test)]
mod tests;
