//! Whether a path carries TCP Fast Open (RFC 7413): the option, the cookie, and data on a SYN.
//!
//! Three connections, each when the former one is known: A without Fast Open, B that asks for a
//! cookie, and C that sends its request on the SYN with the cookie that B got. C is left out where
//! neither A nor B was carried: nobody is there.
//!
//! Linux repeats an unanswered SYN without option and data, and cannot be kept from it. So a
//! connection counts as carried only where the SYN with the option was answered, whatever came of
//! a plain one.
//!
//! With `--connect syn`, the SYNs are the measurement's own, and always repeated as they are. They carry
//! no data, so C asks for a cookie once more where B got none.

use pathspider_plugin_api::chains::{basic, syn, tcp, tfo};
use pathspider_plugin_api::forge::{ordinary_mss, ordinary_options};
use pathspider_plugin_api::packet::tcp_option::{
    EXPERIMENTS, FAST_OPEN, FAST_OPEN_EXPERIMENT as EXPERIMENT,
};
use pathspider_plugin_api::prelude::*;

const PLAIN: Configuration = Configuration::new(0, "no fast open").hold(Hold::Initiation);
/// B: asks for a cookie.
const COOKIE: Configuration = Configuration::new(1, "cookie").hold(Hold::Initiation);
/// C: sends data on the SYN, where there is a cookie.
const DATA: Configuration = Configuration::new(2, "data").hold(Hold::Initiation);

/// C of SYNs of our own.
const AGAIN: Configuration = Configuration::new(2, "cookie again").hold(Hold::Initiation);

/// What asks for a cookie: the option (RFC 7413, section 4.1.1), and its precursor (RFC 6994).
const ASKS: [&[u8]; 2] = [&[FAST_OPEN, 2], &[EXPERIMENTS[1], 4, EXPERIMENT[0], EXPERIMENT[1]]];

conditions! {
    CONNECTIVITY: connectivity("tfo");
    RECEIVED: good("tfo.cookie.received", "a SYN/ACK carried a cookie");
    NOT_RECEIVED: absent(
        "tfo.cookie.not_received",
        "a SYN that asked for a cookie was answered without one"
    );
    ACKED: good("tfo.syndata.acked", "the SYN/ACK acknowledged all data on the SYN");
    NOT_ACKED: unknown(
        "tfo.syndata.not_acked",
        "the SYN/ACK did not acknowledge all data on the SYN"
    );
    FAILED: impaired("tfo.syndata.failed", "the SYN with data was not answered");
}

/// Where the kernel says which halves of Fast Open are on.
const SWITCH: &str = "net.ipv4.tcp_fastopen";
/// Its bit of the client's half.
const CLIENT: u32 = 1;
/// Its bit that sends data without a cookie.
const WITHOUT_COOKIE: u32 = 4;

/// The Fast Open measurement of one run.
pub struct Tfo {
    connection: Connect,
}

impl Measurement for Tfo {
    fn info() -> Info {
        info!("tfo", "TCP Fast Open: connectivity, cookies, data on SYNs")
            .changes_system()
            .depends()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Syn};
        Options::none().connect(&[DnsTcp, Http, Https, Syn]).timeout()
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        Ok(Tfo { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN, COOKIE, if self.is_forged() { AGAIN } else { DATA }]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, tfo::CHAIN, syn::CHAIN])
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        if self.is_forged() {
            return Ok(());
        }
        // The server's half, which other programs may use, stays as it is.
        let Some(now) = system.read(SWITCH)? else {
            return Err(Error::new("this kernel has no TCP Fast Open"));
        };
        system.pin_ordinary_syns()?;
        let switch = now.parse::<u32>()? & !WITHOUT_COOKIE | CLIENT;
        // Else one path that drops data on SYNs would switch it off for all.
        system.sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", 0)?;
        system.sysctl(SWITCH, switch)
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let connection = self.connection.clone();
        if attempt.is(PLAIN) {
            return Ok(connection);
        }
        let was_not_carried =
            |config| attempt.earlier(config).is_some_and(|flow| flow.seen() && !flow.connected());
        if attempt.is(DATA) && was_not_carried(PLAIN) && was_not_carried(COOKIE) {
            return Ok(Connect::skip("nobody answered the connections before"));
        }
        if !self.is_forged() {
            return Ok(connection.fast_open());
        }
        let got = attempt.earlier(COOKIE).filter(|_| attempt.is(AGAIN));
        if got.is_some_and(|flow| is_positive(flow.get(tfo::ACK_COOKIE))) {
            return Ok(Connect::skip("it has a cookie, and data on a SYN take a socket"));
        }
        // As Linux does: by the precursor where the option brought none, and by the option again where
        // nobody answered.
        let asks = ASKS[usize::from(got.is_some_and(Flow::connected))];
        let ordinary = ordinary_options(ordinary_mss(attempt.job().target()));
        Ok(connection.tcp_options(&[&ordinary, asks].concat()))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            SentSyns::of(flow)?;
            let has_option = flow.get(tfo::SYN_KIND).is_some_and(|kind| kind != 0);
            Some(has_option != flow.is(PLAIN) && !flow.asks_for_ecn())
        });
        let attempts = [COOKIE, DATA].map(|config| evidence.of(config));
        let conditions = [
            connectivity(evidence.of(PLAIN), attempts, flows.of(DATA).state() == State::Skipped),
            cookie(attempts),
            // An earlier run's cookie puts data on B's SYN already.
            attempts.into_iter().flatten().rfind(|&flow| carries_data(flow)).map(data),
        ];
        Ok(evidence.conclude(conditions.into_iter().flatten()))
    }
}

impl Tfo {
    /// Whether the SYNs are our own.
    fn is_forged(&self) -> bool {
        self.connection.kind() == ConnectKind::Syn
    }
}

fn is_positive<T: From<u8> + PartialOrd>(number: Option<T>) -> bool {
    number.is_some_and(|number| number > T::from(0))
}

fn carries_data(flow: Flow<'_>) -> bool {
    is_positive(flow.get(tfo::DATA))
}

/// Whether the SYN/ACK acknowledged all data on the SYN. Sequence numbers count modulo 2³².
fn is_acked(flow: Flow<'_>) -> bool {
    let (sequence, length) = (flow.get(tfo::SEQUENCE), flow.get(tfo::DATA));
    let all =
        sequence.zip(length).map(|(first, length)| first.wrapping_add(1).wrapping_add(length));
    let answered = is_positive(flow.get(syn::COUNT_REV));
    carries_data(flow) && answered && flow.get(tfo::ACKNOWLEDGMENT) == all
}

/// Whether the SYN with the option was answered, and not one that the kernel repeated without. An
/// answer that has the option too was to that one, whatever was repeated since.
fn is_answered(flow: Flow<'_>) -> bool {
    let kind = flow.get(tfo::SYN_KIND).unwrap_or(0);
    let is_plain_repeated = SentSyns::of(flow).is_none_or(|syns| !syns.all_offer(kind));
    let has_option = is_positive(flow.get(tfo::ACK_KIND));
    let answered = is_positive(flow.get(syn::COUNT_REV));
    is_acked(flow) || has_option || (answered && !is_plain_repeated)
}

/// One connection with Fast Open that was carried shows that the path does; that it does not takes
/// both, for one alone may have lost its SYN by chance. Where A was not carried either, B is enough.
fn connectivity(
    a: Option<Flow<'_>>,
    attempts: [Option<Flow<'_>>; 2],
    is_data_skipped: bool,
) -> Option<Condition> {
    let is_carried = |flow: Flow<'_>| flow.connected() && is_answered(flow);
    let carried = attempts.into_iter().flatten().any(is_carried);
    let needed = if is_data_skipped { &attempts[..1] } else { &attempts[..] };
    let decided = carried || needed.iter().all(Option::is_some);
    let a = a?.connected();
    decided.then(|| CONNECTIVITY.compared(a, carried))
}

/// What came of the SYNs that asked for a cookie.
fn cookie(attempts: [Option<Flow<'_>>; 2]) -> Option<Condition> {
    let mut flows = attempts.into_iter().flatten();
    if flows.clone().any(|flow| is_positive(flow.get(tfo::ACK_COOKIE))) {
        return Some(RECEIVED);
    }
    let asked = |flow: Flow<'_>| !is_positive(flow.get(tfo::SYN_COOKIE));
    flows.any(|flow| asked(flow) && is_answered(flow)).then_some(NOT_RECEIVED)
}

/// What came of the data on a SYN.
fn data(flow: Flow<'_>) -> Condition {
    match (is_acked(flow), is_answered(flow)) {
        (true, _) => ACKED,
        (false, true) => NOT_ACKED,
        (false, false) => FAILED,
    }
}

export_plugin!(Tfo);

#[cfg(test)]
mod tests;
