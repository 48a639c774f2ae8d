//! Whether a path carries TCP options that nobody knows (RFC 6994), and lists of them that fill the
//! header, on SYNs and on data.
//!
//! A: a handshake whose SYN has known options and NOPs, and a request whose segments have NOPs. B, one
//! for each place and form: the same with another list in that place. All are conversations, for no
//! socket sends such options. With `--connect syn` there are SYNs alone, which nobody goes on with.

mod chain;
mod lists;

use std::time::Duration;

use pathspider_plugin_api::Class;
use pathspider_plugin_api::chains::{basic, icmp, tcp, tcpopt};
use pathspider_plugin_api::conversation::tcp::{Segment, Stream, TcpClient, TcpExchange};
use pathspider_plugin_api::forge::HttpRequest;
use pathspider_plugin_api::packet::TcpFlags;
use pathspider_plugin_api::prelude::*;

use chain::{Options as OptionsChain, tcpext};
use lists::{Form, Place, list};

conditions! {
    CONNECTIVITY: connectivity(
        "tcpext.<syn|data>.<form>",
        "the handshake was made, or the data were acknowledged"
    );
    DROPPED: impaired(
        "tcpext.<syn|data>.<form>.failure.dropped",
        "nothing answered segments with the options; in A it did"
    );
    RESET: impaired(
        "tcpext.<syn|data>.<form>.failure.reset",
        "segments with the options were answered with a reset"
    );
    ICMP: impaired(
        "tcpext.<syn|data>.<form>.failure.icmp",
        "an ICMP error about segments with the options came"
    );
    ECHOED: impaired(
        "tcpext.<syn|data>.<form>.option.mirrored",
        "the answer had our own option, which no target knows"
    );
    READ: good(
        "tcpext.syn.sled.option.read",
        "the target agreed to SACK, which stands behind the NOPs"
    );
    UNREAD: unknown(
        "tcpext.syn.sled.option.unread",
        "the target agreed to SACK in A, and not behind the NOPs"
    );
}

/// The words of `--on`, the default first.
const WHERE: [&str; 3] = ["both", "syn", "data"];

/// The measurement of one run.
pub struct Tcpext {
    host: Host,
    connection: Connect,
    timeout: Duration,
    /// What each configuration has in another place than the baseline, which comes first.
    probes: Vec<Option<(Place, Form)>>,
}

impl Measurement for Tcpext {
    fn info() -> Info {
        info!("tcpext", "TCP options that nobody knows: connectivity, what becomes of them")
            .converses()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        let options = Options::none().connect(&[ConnectKind::Conversation, ConnectKind::Syn]);
        options.choice("on", &WHERE, "Which segments have the options").timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let (connection, timeout) = (options.connection()?, options.timeout()?);
        let on = options.text("on")?.unwrap_or(WHERE[0]);
        let is_forged = connection.kind() == ConnectKind::Syn;
        if is_forged && on == Place::Data.word() {
            return Err(Error::new("--on data: with --connect syn there are no data"));
        }
        let is_there = |place: &Place| !is_forged || *place == Place::Syn;
        let places = Place::ALL.into_iter().filter(|place| on == WHERE[0] || on == place.word());
        let places = places.filter(is_there);
        let each = |place| Form::ALL.into_iter().map(move |form| Some((place, form)));
        let probes = [None].into_iter().chain(places.flat_map(each)).collect();
        Ok(Tcpext { host, connection, timeout, probes })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let one = |(at, probe): (usize, &Option<(Place, Form)>)| {
            let configuration = Configuration::new(at, "plain").hold(Hold::Initiation);
            let Some((place, form)) = probe else { return configuration };
            let label = format!("{} {}", place.word(), form.word());
            configuration.labelled(label).carrier(match place {
                Place::Syn => Carrier::Opening,
                Place::Data => Carrier::Data,
            })
        };
        self.probes.iter().enumerate().map(one).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, tcpopt::CHAIN, icmp::CHAIN, tcpext::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        let probe = self.probe(attempt.config());
        if self.connection.kind() == ConnectKind::Syn {
            return Ok(self.connection.clone().tcp_options(&meant(probe, Place::Syn)));
        }
        // A handshake is enough to see what becomes of a SYN.
        let asks = probe.is_none_or(|(place, _)| place == Place::Data);
        let request = HttpRequest::get(job, &self.host).octets()?;
        let probing = Probing {
            syn: meant(probe, Place::Syn),
            data: meant(probe, Place::Data),
            request: asks.then_some(request),
        };
        let client = TcpClient::new(probing).option_room(lists::MOST);
        Ok(Connect::conversation(client).timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let is_open = flows.of(ConfigId::BASELINE).shook_hands();
        let evidence = flows.weigh(|flow| {
            let probe = self.probe(flow.config());
            let was = |place, all: Option<&str>, same| {
                Some(all? == lists::hexadecimal(&meant(probe, place)) && flow.has(same))
            };
            if !was(Place::Syn, flow.get(tcpext::SYN), tcpext::SYN_SAME)? {
                return Some(false);
            }
            match probe {
                Some((Place::Syn, _)) => Some(true),
                _ if flow.has(tcp::CONNECTED) => {
                    was(Place::Data, flow.get(tcpext::DATA), tcpext::DATA_SAME)
                }
                // Until its data, a connection is as A: a handshake that failed says nothing of them.
                Some((Place::Data, _)) => (!is_open).then_some(true),
                None => Some(true),
            }
        });
        let mut conditions = Vec::new();
        for (at, probe) in self.probes.iter().enumerate() {
            let Some((place, form)) = *probe else { continue };
            let verdict = evidence.compared(CONNECTIVITY, ConfigId::new(at), |flow| match place {
                Place::Syn => flow.shook_hands(),
                Place::Data => flow.has(tcpext::ACKED),
            });
            let (Some(a), Some(b)) =
                (evidence.of(ConfigId::BASELINE), evidence.of(ConfigId::new(at)))
            else {
                continue;
            };
            let named = |condition: Condition| condition.of(place.word()).of(form.word());
            let is_broken = verdict.as_ref().is_some_and(|v| v.class() == Class::Impaired);
            conditions.extend(verdict.map(named));
            conditions.extend(is_broken.then(|| named(failure(b))));
            let echoed = match place {
                Place::Syn => tcpext::SYN_ECHOED,
                Place::Data => tcpext::DATA_ECHOED,
            };
            conditions.extend(b.has(echoed).then(|| named(ECHOED)));
            let is_sled = (place, form) == (Place::Syn, Form::Sled) && b.shook_hands();
            if is_sled && a.has(tcpopt::SACK) {
                conditions.push(if b.has(tcpopt::SACK) { READ } else { UNREAD });
            }
        }
        Ok(evidence.conclude(conditions))
    }
}

impl Tcpext {
    fn probe(&self, config: ConfigId) -> Option<(Place, Form)> {
        self.probes.get(config.index()).copied().flatten()
    }
}

/// The options that the segments in a place are to have, when this is probed.
fn meant(probe: Option<(Place, Form)>, place: Place) -> Vec<u8> {
    list(place, probe.filter(|probe| probe.0 == place).map(|(_, form)| form))
}

/// How a connection failed that works without the options.
fn failure(b: Flow<'_>) -> Condition {
    match icmp::errors(b).next() {
        _ if b.has(tcp::RST_REV) => RESET,
        Some(_) => ICMP,
        None => DROPPED,
    }
}

/// A handshake, and perhaps a request.
struct Probing {
    syn: Vec<u8>,
    data: Vec<u8>,
    request: Option<Vec<u8>>,
}

impl TcpExchange for Probing {
    fn opened(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        match &self.request {
            Some(request) => stream.write(request),
            None => stream.close(),
        }
        Ok(())
    }

    fn acknowledged(&mut self, stream: &mut Stream<'_>) -> Result<()> {
        // That is what counts; an answer still has a second to come.
        stream.close();
        Ok(())
    }

    fn outgoing(&mut self, segment: &mut Segment) {
        if segment.has(TcpFlags::SYN) {
            segment.set_options(&self.syn);
        } else if !segment.payload().is_empty() {
            segment.set_options(&self.data);
        }
    }
}

export_plugin!(measurements: [Tcpext], chains: [OptionsChain]);

#[cfg(test)]
mod tests;
