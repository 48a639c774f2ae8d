//! Whether a target's page comes by HTTP/3 as it comes by HTTPS over TCP, and where one of both fails.
//!
//! A: a handshake of TCP and TLS, and a GET request. B: a handshake of QUIC, and the same by HTTP/3
//! (RFC 9114), to the same address and port. The response in A says whether the target offers HTTP/3
//! there at all (Alt-Svc, RFC 7838).

use pathspider_plugin_api::chains::{basic, icmp, quic, syn, tcp};
use pathspider_plugin_api::prelude::*;

const TCP: Configuration = Configuration::new(0, "https").hold(Hold::Initiation);
const QUIC: Configuration = Configuration::new(1, "h3").hold(Hold::Initiation);

conditions! {
    CONNECTIVITY: connectivity("h3", "the page came");
    ABSENT: absent(
        "h3.protocol.absent",
        "the page came over TCP and not by HTTP/3, and the target does not say that it speaks HTTP/3"
    );
    OFFERED: good(
        "h3.response.offered",
        "the response over TCP says that HTTP/3 is spoken on this port (Alt-Svc)"
    );
    UNOFFERED: absent(
        "h3.response.unoffered",
        "the response over TCP does not say that HTTP/3 is spoken on this port"
    );
    FAILURE: unknown("h3.<tcp|quic>.failure:<reason>", "where HTTP/3 failed, and why: PHASE_REASON");
}

/// The measurement of one run.
pub struct H3 {
    connections: [Connect; 2],
}

impl Measurement for H3 {
    fn info() -> Info {
        info!("h3", "HTTP/3 beside HTTPS over TCP: connectivity, and what fails")
            .port(ConnectKind::Quic.default_port())
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let timeout = options.timeout()?;
        let over = [Connect::new(ConnectKind::Https), Connect::quic()];
        Ok(H3 { connections: over.map(|connection| connection.timeout(timeout)) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![TCP, QUIC]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN, quic::CHAIN, icmp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        Ok(self.connections[attempt.config().index()].clone())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            if flow.is(QUIC) {
                flow.get(quic::VERSION_FWD).map(|_| true)
            } else {
                SentSyns::of(flow).map(|_| true)
            }
        });
        let mut found = Vec::new();
        let has_page = |flow: Flow<'_>| flow.state() == State::Ok;
        let (a, b) = (evidence.of(TCP), evidence.of(QUIC));
        let offers = a.and_then(|flow| offers(flow, flows.job().port()));
        if let (Some(a), Some(b)) = (a, b) {
            let is_lacking = has_page(a) && !has_page(b) && !b.connected() && offers == Some(false);
            found.push(if is_lacking {
                ABSENT
            } else {
                CONNECTIVITY.compared(has_page(a), has_page(b))
            });
        }
        found.extend(offers.map(|offers| if offers { OFFERED } else { UNOFFERED }));
        for (flow, word) in [(a, "tcp"), (b, "quic")] {
            let reason = flow.and_then(reason);
            found.extend(reason.map(|reason| FAILURE.of(word).with(reason)));
        }
        Ok(evidence.conclude(found))
    }
}

/// Why a connection failed, and what it was doing then.
fn reason(flow: Flow<'_>) -> Option<String> {
    let outcome = flow.outcome();
    let error = outcome.str("spdr_error")?;
    let phase = outcome.str("spdr_phase").unwrap_or("connect");
    Some(format!("{phase}_{error}"))
}

/// Whether the response says that HTTP/3 is spoken on this port of the same host (RFC 9114, section 3.1);
/// `None` where there was no response.
fn offers(flow: Flow<'_>, port: u16) -> Option<bool> {
    let headers = flow.outcome().get("http_response_header")?.as_bytes()?;
    let headers = String::from_utf8_lossy(headers);
    let mut lines = headers.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.by_ref().filter(|(name, _)| name.eq_ignore_ascii_case("alt-svc"));
    let here = format!("h3=\":{port}\"");
    Some(values.any(|(_, value)| value.split(',').any(|one| one.trim().starts_with(&here))))
}

export_plugin!(H3);

#[cfg(test)]
mod tests;
