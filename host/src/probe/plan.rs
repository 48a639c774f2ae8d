//! Which measurements apply to which targets, and how each connects.

use pathspider_plugin_api::carriage::Proof;
use pathspider_plugin_api::{ConnectKind, Info, OptionKind, OptionValues, Options, Record, Value};
use pathspider_plugins::Found;

use super::Host;

/// A measurement of some of the targets.
pub(crate) struct Task<'a> {
    pub(crate) found: &'a Found,
    pub(crate) values: OptionValues,
    /// The places of its targets among all.
    pub(crate) hosts: Vec<usize>,
}

/// What is to be done, in this order: measurements of names come last, for the others find out which
/// addresses the names have.
/// `timeout`: how long one connection may take, in seconds, where that is said.
pub(crate) fn plan<'a>(found: &'a [Found], hosts: &[Host], timeout: Option<f64>) -> Vec<Task<'a>> {
    let mut tasks: Vec<Task<'a>> = Vec::new();
    for found in found {
        for (place, host) in hosts.iter().enumerate() {
            if found.info.names && !host.is_name() {
                continue;
            }
            let Some(values) = values(&found.info, &found.options, host.port) else { continue };
            let values = match timeout {
                Some(seconds) => with(&values, "timeout", &seconds.into()),
                None => values,
            };
            let same = |task: &&mut Task<'a>| {
                task.found.info.name == found.info.name && task.values == values
            };
            match tasks.iter_mut().find(same) {
                Some(task) => task.hosts.push(place),
                None => tasks.push(Task { found, values, hosts: vec![place] }),
            }
        }
    }
    tasks.sort_by_key(|task| task.found.info.names);
    tasks
}

/// The options by which a measurement applies to a target with this port; `None` where none do.
fn values(info: &Info, options: &Options, port: Option<u16>) -> Option<OptionValues> {
    let defaults = options.defaults();
    let Some(port) = port.filter(|_| !info.names) else { return Some(defaults) };
    let connect = options.iter().find(|spec| spec.name == "connect");
    let Some(OptionKind::Choice(words)) = connect.map(|spec| &spec.kind) else {
        // Its packets are its own: to another service's port they would say nothing.
        return (info.port == port || info.port == ConnectKind::Tcp.default_port())
            .then_some(defaults);
    };
    let word = words.iter().find(|word| fits(word, port))?;
    Some(with(&defaults, "connect", &word.as_str().into()))
}

/// The same with another value of an option, where there is one of this name.
fn with(values: &OptionValues, option: &str, value: &Value) -> OptionValues {
    let replaced = values.record().iter().map(|(name, before)| {
        (name.to_owned(), if name == option { value.clone() } else { before.clone() })
    });
    OptionValues::new(replaced.collect::<Record>())
}

/// Whether what is behind a port can be expected to answer a kind of connection: what it is for, or a
/// handshake, which any service of TCP has.
fn fits(word: &str, port: u16) -> bool {
    match ConnectKind::from_name(word) {
        // A conversation asks in its own words, as a measurement does that offers no kinds.
        Some(ConnectKind::Conversation) => true,
        Some(kind) => {
            let is_handshake = matches!(kind.proof(), Proof::Handshake | Proof::SynAck);
            kind.default_port() == port || is_handshake
        }
        None => word.starts_with("tcp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connects(kinds: &[ConnectKind], port: u16) -> Option<String> {
        let info = Info::new("x", "1", "");
        let values = values(&info, &Options::none().connect(kinds).timeout(), Some(port))?;
        assert_eq!(values.timeout().unwrap().as_secs(), 5);
        let hurried = with(&values, "timeout", &0.5.into());
        assert_eq!(hurried.timeout().unwrap().as_millis(), 500);
        assert_eq!(with(&values, "other", &0.5.into()), values);
        values.record().str("connect").map(str::to_owned)
    }

    #[test]
    fn the_kind_of_connection_goes_by_the_port() {
        use ConnectKind::{DnsTcp, DnsUdp, Http, Https, Tcp};
        let most = [Http, Https, Tcp, DnsTcp];
        for (port, kind) in [(80, "http"), (443, "https"), (8080, "tcp"), (22, "tcp")] {
            assert_eq!(connects(&most, port).as_deref(), Some(kind), "{port}");
        }
        assert_eq!(connects(&[DnsTcp, Http, Https], 53).as_deref(), Some("dnstcp"));
        assert_eq!(connects(&[DnsUdp, DnsTcp], 22), None);
        assert_eq!(connects(&[Http, Https], 22), None, "an SSH server answers neither");
    }

    #[test]
    fn packets_of_its_own_go_to_a_port_of_tcp_or_to_their_own() {
        let of = |info: Info, port| values(&info, &Options::none(), port).is_some();
        let dns = || Info::new("x", "1", "").port(53);
        assert!(of(dns(), None) && of(dns(), Some(53)) && !of(dns(), Some(443)));
        assert!(of(Info::new("x", "1", ""), Some(443)));
        assert!(of(dns().takes_names(), Some(443)), "it asks others about the name");
    }
}
