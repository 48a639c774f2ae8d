//! Whether a path carries TCP Fast Open (RFC 7413): the option, the cookie, and data on a SYN.
//!
//! Three connections, one after the other: A without Fast Open, B that asks for a cookie, and C
//! that sends its request on the SYN with the cookie that B got.
//!
//! Linux repeats an unanswered SYN without option and data, and cannot be kept from it. So a
//! connection counts as carried only where the SYN with the option was answered, whatever came of
//! a plain one.

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Evidence, Hold, Host,
    Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, SentSyns, System,
    connected, export_plugin,
};

/// B: asks for a cookie.
const COOKIE: ConfigId = ConfigId::new(1);
/// C: sends data on the SYN, where there is a cookie.
const DATA: ConfigId = ConfigId::new(2);

/// Where the kernel says which halves of Fast Open are on.
const SWITCH: &str = "/proc/sys/net/ipv4/tcp_fastopen";
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
        Info::new(
            "tfo",
            env!("CARGO_PKG_VERSION"),
            "TCP Fast Open: connectivity, cookies, data on SYNs",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .changes_system()
        .connectivity("tfo")
        .condition("tfo.cookie.received", "a SYN/ACK carried a cookie")
        .condition("tfo.cookie.not_received", "a SYN that asked for one was answered without")
        .condition("tfo.syndata.acked", "the SYN/ACK acknowledged all data on the SYN")
        .condition("tfo.syndata.not_acked", "the SYN/ACK did not acknowledge all of them")
        .condition("tfo.syndata.failed", "the SYN with data was not answered")
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https};
        Options::none().connect(&[DnsTcp, Http, Https]).timeout()
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        Ok(Tfo { connection: options.connection()? })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let labels = ["no fast open", "cookie", "data"];
        labels.map(|label| Configuration::new(label).hold(Hold::Initiation)).into()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "tfo", "syn"])
    }

    fn default_port(&self) -> u16 {
        self.connection.kind().default_port()
    }

    fn configure(&self, _config: ConfigId, system: &mut System<'_>) -> Result<()> {
        // The server's half, which other programs may use, stays as it is.
        let now = std::fs::read_to_string(SWITCH).ok().and_then(|text| text.trim().parse().ok());
        let switch = now.unwrap_or(0) & !WITHOUT_COOKIE | CLIENT;
        // Else one path that drops data on SYNs would switch it off for all.
        system.sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", 0)?;
        system.sysctl("net.ipv4.tcp_fastopen", switch)
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        let connection = self.connection.clone();
        Ok(if config == ConfigId::BASELINE { connection } else { connection.fast_open() })
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |config, flow| {
            SentSyns::of(flow)?;
            Some((number(flow, "tfo_synkind") != 0) == (config != ConfigId::BASELINE))
        });
        let attempts = [COOKIE, DATA].map(|config| evidence.flow(config));
        let conditions = [
            connectivity(evidence.flow(ConfigId::BASELINE), attempts),
            cookie(attempts),
            // An earlier run's cookie puts data on B's SYN already.
            attempts.into_iter().flatten().rfind(|flow| carries_data(flow)).map(data),
        ];
        Ok(evidence.conclude(conditions.into_iter().flatten()))
    }
}

fn number(flow: &Record, key: &str) -> u64 {
    flow.u64(key).unwrap_or(0)
}

fn carries_data(flow: &Record) -> bool {
    number(flow, "tfo_dlen") > 0
}

/// Whether the SYN/ACK acknowledged all data on the SYN. Sequence numbers count modulo 2³².
fn is_acked(flow: &Record) -> bool {
    let [sequence, length, acknowledgment] =
        ["tfo_seq", "tfo_dlen", "tfo_ack"].map(|key| number(flow, key) as u32);
    let all = sequence.wrapping_add(1).wrapping_add(length);
    carries_data(flow) && number(flow, "syn_count_rev") > 0 && acknowledgment == all
}

/// Whether the SYN with the option was answered, and not one that the kernel repeated without. An
/// answer that has the option too was to that one, whatever was repeated since.
fn is_answered(flow: &Record) -> bool {
    let kind = number(flow, "tfo_synkind") as u8;
    let is_plain_repeated = SentSyns::of(flow).is_none_or(|syns| !syns.all_offer(kind));
    let has_option = number(flow, "tfo_ackkind") != 0;
    is_acked(flow) || has_option || (number(flow, "syn_count_rev") > 0 && !is_plain_repeated)
}

/// One connection with Fast Open that was carried shows that the path does; that it does not takes
/// both, for one alone may have lost its SYN by chance.
fn connectivity(a: Option<&Record>, attempts: [Option<&Record>; 2]) -> Option<Condition> {
    let is_carried = |flow: &Record| connected(flow) && is_answered(flow);
    let carried = attempts.into_iter().flatten().any(is_carried);
    let decided = carried || attempts.iter().all(Option::is_some);
    let a = connected(a?);
    decided.then(|| Condition::compared("tfo", a, carried))
}

/// What came of the SYNs that asked for a cookie.
fn cookie(attempts: [Option<&Record>; 2]) -> Option<Condition> {
    let flows = || attempts.into_iter().flatten();
    let asked = |flow: &&Record| number(flow, "tfo_synclen") == 0;
    if flows().any(|flow| number(flow, "tfo_ackclen") > 0) {
        return Some(Condition::new("tfo.cookie.received"));
    }
    let answered = flows().filter(asked).any(is_answered);
    answered.then(|| Condition::new("tfo.cookie.not_received"))
}

/// What came of the data on a SYN.
fn data(flow: &Record) -> Condition {
    Condition::new(match (is_acked(flow), is_answered(flow)) {
        (true, _) => "tfo.syndata.acked",
        (false, true) => "tfo.syndata.not_acked",
        (false, false) => "tfo.syndata.failed",
    })
}

export_plugin!(Tfo);

#[cfg(test)]
mod tests;
