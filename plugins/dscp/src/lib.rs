//! Whether a path carries packets with a differentiated services code point (RFC 2474), and which
//! code point the answers have.
//!
//! A: code point 0, the default forwarding that everything has. B, one for each `--codepoint`: that
//! one, on every packet of the connection. It is set on the socket, so neither the firewall nor any
//! other connection of the machine is touched.
//!
//! 0 is a mark like any other: an answer whose mark a path bleached has it.

use pathspider_plugin_api::chains::{basic, dns, dscp, icmp, tcp};
use pathspider_plugin_api::prelude::*;

mod remarking;

conditions! {
    CONNECTIVITY: connectivity("dscp.<codepoint>");
    REPLYMARK: unknown(
        "dscp.<codepoint>.replymark:<mark>",
        "an answer to packets with this code point had that mark"
    );
    REMARKED: impaired(
        "dscp.<codepoint>.location.remarked:<behaviour>",
        "the code point was changed on the way out, by this behaviour of RFC 9435"
    );
}

/// The DSCP measurement of one run.
pub struct Dscp {
    connection: Connect,
    /// Code points by configuration; the baseline's comes first.
    code_points: Vec<u8>,
    /// Whether its SYNs are ordinary ones.
    ordinary: OrdinarySyns,
}

impl Measurement for Dscp {
    fn info() -> Info {
        info!("dscp", "Differentiated services code points: connectivity, marks of answers")
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, DnsUdp, Http, Https, Quic, Tcp};
        let help = "Code points to send, each compared with 0";
        let kinds = [Http, Https, Tcp, DnsTcp, DnsUdp, Quic];
        let options = Options::none().connect(&kinds).timeout();
        // Six bits (RFC 2474, section 3).
        options.integers("codepoint", 0..=63, &[48], help).words(names())
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let mut code_points = vec![0];
        for code_point in options.integers("codepoint")? {
            if !code_points[1..].contains(&code_point) {
                code_points.push(code_point);
            }
        }
        let ordinary = OrdinarySyns::new(host);
        Ok(Dscp { connection: options.connection()?, code_points, ordinary })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let configuration = |(place, code_point): (usize, &u8)| {
            // Where 0 is asked for, it is compared with itself.
            let again = if place > 0 && *code_point == 0 { " again" } else { "" };
            let label = format!("dscp {code_point}{again}");
            Configuration::new(place, "dscp").labelled(label).hold(Hold::Initiation)
        };
        self.code_points.iter().enumerate().map(configuration).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        let all = [basic::CHAIN, tcp::CHAIN, dscp::CHAIN, icmp::CHAIN];
        // A flow of DNS over UDP has no end but the response.
        let dns = (self.connection.kind() == ConnectKind::DnsUdp).then_some(dns::CHAIN);
        ChainName::list(all.into_iter().chain(dns))
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        if !matches!(self.connection.kind(), ConnectKind::DnsUdp | ConnectKind::Quic) {
            self.ordinary.look(system);
        }
        Ok(())
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        Ok(self.connection.clone().dscp(self.code_points[attempt.config().index()]))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            if flow.asks_for_ecn() {
                return Some(false);
            }
            let code_point = self.code_points[flow.config().index()];
            let mut sent = marks(flow, [dscp::SYN_FWD, dscp::DATA_FWD]).peekable();
            sent.peek().is_some().then(|| sent.all(|mark| mark == code_point))
        });
        let mut conditions = Vec::new();
        for (place, code_point) in self.code_points.iter().enumerate() {
            let config = ConfigId::new(place);
            if config != ConfigId::BASELINE {
                let verdict = evidence.connectivity(CONNECTIVITY, config);
                conditions.extend(verdict.map(|verdict| verdict.of(code_point)));
            }
            let Some(flow) = evidence.of(config) else { continue };
            for mark in marks(flow, [dscp::SYN_REV, dscp::DATA_REV]) {
                let condition = REPLYMARK.of(code_point).with(mark);
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
        }
        Ok(evidence.conclude(conditions))
    }

    fn located(&self, _: &Flows<'_>, location: &Location) -> Result<Vec<Condition>> {
        let Some(code_point) = self.code_points.get(location.config().index()) else {
            return Ok(Vec::new());
        };
        let mut conditions = Vec::new();
        for change in location.changes().filter(|change| change.field == "dscp") {
            let number = |value: &Value| value.as_u64().and_then(|mark| u8::try_from(mark).ok());
            let Some((was, is)) = number(&change.was).zip(number(&change.is)) else { continue };
            for behaviour in remarking::behaviours(was, is) {
                let condition = REMARKED.of(code_point).with(behaviour);
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
        }
        Ok(conditions)
    }
}

/// The names of code points (the registry of IANA): RFC 2474, RFC 2597, RFC 3246, RFC 5865, RFC 8622 and
/// RFC 9956.
fn names() -> Vec<(&'static str, i64)> {
    const CS: [&str; 8] = ["CS0", "CS1", "CS2", "CS3", "CS4", "CS5", "CS6", "CS7"];
    const AF: [[&str; 3]; 4] = [
        ["AF11", "AF12", "AF13"],
        ["AF21", "AF22", "AF23"],
        ["AF31", "AF32", "AF33"],
        ["AF41", "AF42", "AF43"],
    ];
    let others = [("EF", 46), ("NQB", 45), ("LE", 1), ("VOICE-ADMIT", 44)];
    let selectors = (0..).zip(CS).map(|(class, name)| (name, 8 * class));
    // Class and precedence begin with 1 in the name.
    let assured = (1..).zip(AF).flat_map(|(class, names)| {
        (1..).zip(names).map(move |(precedence, name)| (name, 8 * class + 2 * precedence))
    });
    others.into_iter().chain(selectors).chain(assured).collect()
}

/// The code points that the packets of one direction had: the SYN's and that of the data.
fn marks(flow: Flow<'_>, fields: [Field<u8>; 2]) -> impl Iterator<Item = u8> {
    fields.into_iter().filter_map(move |field| flow.get(field))
}

export_plugin!(Dscp);

#[cfg(test)]
mod tests;
