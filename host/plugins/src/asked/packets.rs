//! Reads what forged packets say of themselves, and refuses those that cannot be sent as they are.

use std::net::IpAddr;
use std::time::Duration;

use pathspider_plugin_api::forge::checksum;
use pathspider_plugin_api::packet::{Direction, protocol};
use pathspider_plugin_api::{Connect, Error, Setting, Value};

use super::OneFlow;
use pathspider_observer::{Dissected, Fragment, dissect, packet};

/// What a packet says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The transport protocol's IANA number.
    pub protocol: u8,
    /// The address that it is from; unspecified where the host is to fill it in.
    pub source: IpAddr,
    /// The address that it goes to.
    pub destination: IpAddr,
    /// Source and destination; `None` where there are none, as in later fragments.
    pub ports: Option<(u16, u16)>,
    /// The sequence number of a SYN that opens a TCP connection.
    pub opening: Option<u32>,
    /// Where the transport header begins; `None` where it is in an earlier fragment.
    pub transport: Option<usize>,
}

/// What a connection's packets say of themselves, in their order: at least one.
///
/// # Errors
///
/// There is none, one cannot be sent as it is, or there are settings of sockets.
pub fn packets(connect: &Connect) -> Result<Vec<Header>, Error> {
    check_settings(connect)?;
    let list = connect.settings().get(Setting::Packets.name()).and_then(Value::as_list);
    let read = |(at, packet): (usize, &Value)| {
        let octets = packet.as_bytes().ok_or_else(|| cannot_send(at, "it is no octets"))?;
        header(octets).map_err(|reason| cannot_send(at, &reason))
    };
    let headers = list.unwrap_or_default().iter().enumerate().map(read);
    let headers = headers.collect::<Result<Vec<Header>, Error>>()?;
    let Some((first, others)) = headers.split_first() else {
        return Err(Error::contract(
            "connect: there are no packets to send; where there is nothing to send, skip the \
             connection (Connect::skip)",
        ));
    };
    let mut one = OneFlow::of(first);
    for (at, other) in others.iter().enumerate() {
        one.take(other).map_err(|reason| cannot_send(at + 1, &reason))?;
    }
    Ok(headers)
}

/// How packets are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// After how long without an answer they are sent again.
    pub after: Duration,
    /// How often, at the most.
    pub times: u64,
    /// Whether they are waited for until a chain calls the flow complete.
    pub until_done: bool,
}

/// After how long packets are sent again at the earliest, for the target's sake.
const SOONEST: Duration = Duration::from_millis(100);

/// How a connection's packets are waited for.
///
/// # Errors
///
/// They are to be repeated too soon.
pub fn waiting(connect: &Connect) -> Result<Waiting, Error> {
    let settings = connect.settings();
    let number = |setting: Setting| settings.u64(setting.name()).unwrap_or(0);
    let after = Duration::from_millis(number(Setting::RepeatAfter));
    let times = number(Setting::RepeatTimes);
    if times > 0 && after < SOONEST {
        let soonest = SOONEST.as_millis();
        return Err(Error::contract(format!(
            "connect: packets are not repeated sooner than after {soonest} ms"
        )));
    }
    let until_done = settings.bool(Setting::UntilDone.name()) == Some(true);
    Ok(Waiting { after, times, until_done })
}

/// Refuses settings of sockets: there is none.
fn check_settings(connect: &Connect) -> Result<(), Error> {
    use Setting::{Packets, RepeatAfter, RepeatTimes, Timeout, UntilDone};
    let known = [Packets, Timeout, RepeatAfter, RepeatTimes, UntilDone].map(Setting::name);
    match connect.settings().iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(Error::contract(format!(
            "connect: packets are sent as they are, and have no setting {name:?}"
        ))),
        None => Ok(()),
    }
}

fn cannot_send(at: usize, reason: &str) -> Error {
    Error::contract(format!("connect: packet {at} cannot be sent as it is: {reason}"))
}

/// Reads a packet.
///
/// # Errors
///
/// Why it cannot be sent as it is: the observer could not read it, or the kernel would change it.
pub fn header(bytes: &[u8]) -> Result<Header, String> {
    let dissected = dissected(bytes)?;
    if dissected.ip_length as usize != bytes.len() {
        return Err(format!("its length says {}, and it has {}", dissected.ip_length, bytes.len()));
    }
    let view = packet(&dissected, 0, Direction::Forward);
    let is_v4 = !view.ip().is_v6();
    if is_v4 && bytes[10..12] != [0, 0] && checksum::of(&[dissected.ip]) != 0 {
        return Err("the kernel would put the right checksum into its IPv4 header".to_owned());
    }
    let is_later = matches!(dissected.fragment, Fragment::Later(_));
    if dissected.tuple.protocol == protocol::SCTP && dissected.tuple.source_port == 0 && !is_later {
        // The checksum of RFC 9260, section 6.8, is no sum that can be mended.
        return Err("no source port can be filled into SCTP".to_owned());
    }
    Ok(Header {
        protocol: dissected.tuple.protocol,
        source: view.ip().source(),
        destination: view.ip().destination(),
        ports: view.ports().filter(|_| !is_later),
        opening: dissected.opening,
        transport: (!is_later).then_some(dissected.ip.len()),
    })
}

/// A packet in its parts.
///
/// # Errors
///
/// Why it has none.
pub fn dissected(bytes: &[u8]) -> Result<Dissected<'_>, String> {
    let mut dissected = Dissected::NONE;
    match dissect(bytes, bytes.len() as u32, &mut dissected) {
        Ok(()) => Ok(dissected),
        Err(kind) => Err(format!("it is malformed ({})", kind.name())),
    }
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::forge;

    use super::*;

    #[test]
    fn what_the_kernel_would_change_is_refused() {
        let good = forge::Packet::to("192.0.2.1".parse().unwrap()).tcp(80).bytes().unwrap();
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            header(&bytes).unwrap_err()
        };
        assert!(refused(&|bytes| bytes[10] ^= 1).contains("checksum"));
        assert!(refused(&|bytes| bytes.push(0)).contains("length"));
        assert!(refused(&|bytes| bytes.truncate(30)).contains("malformed"));
        let mut without = good.clone();
        without[10..12].fill(0);
        assert!(header(&without).is_ok(), "the kernel fills it in");
    }
}
