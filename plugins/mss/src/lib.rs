//! Which maximum segment size (RFC 9293, section 3.7.1) each side's SYN announces, as it is seen
//! here.
//!
//! One configuration: an ordinary connection, or one whose SYN announces the size of `--mss`.

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, ConnectKind, Error, Evidence, Hold,
    Host, Info, Job, Measurement, OptionValues, Options, Prepared, Record, Result, SentSyns,
    export_plugin,
};

/// The sizes that Linux takes for a socket (`TCP_MAXSEG`): from `TCP_MIN_MSS` to `MAX_TCP_WINDOW`.
const SIZES: std::ops::RangeInclusive<i64> = 88..=32767;

/// The length of the option: kind, length and two octets (RFC 9293, section 3.2).
const LENGTH: u64 = 4;

/// The MSS measurement of one run.
pub struct Mss {
    connection: Connect,
    /// What our SYN is to announce, where that was said.
    announced: Option<u16>,
}

impl Measurement for Mss {
    fn info() -> Info {
        Info::new(
            "mss",
            env!("CARGO_PKG_VERSION"),
            "Maximum segment size: what each side's SYN announces",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .online("mss")
        .condition("mss.option.local.value:<octets>", "what our SYN announced")
        .condition("mss.option.remote.value:<octets>", "what the SYN/ACK announced")
        .condition("mss.option.received.absent", "the SYN/ACK announced nothing")
        .condition("mss.option.received.unchanged", "it announced what our SYN did")
        .condition("mss.option.received.inflated", "it announced more than our SYN did")
        .condition("mss.option.received.deflated", "it announced less than our SYN did")
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Tcp};
        let help = "What our SYN announces, 88 to 32767 octets; 0 leaves it to the kernel";
        Options::none().connect(&[Tcp, Http, Https, DnsTcp]).timeout().integer(
            "mss",
            0..=*SIZES.end(),
            0,
            help,
        )
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        let mut connection = options.connection()?;
        let announced = match options.integer("mss")? {
            0 => None,
            size if SIZES.contains(&size) => Some(size as u16),
            size => return Err(Error::new(format!("--mss {size}: Linux announces 88 or more"))),
        };
        if let Some(size) = announced {
            connection = connection.mss(size);
        }
        Ok(Mss { connection, announced })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("mss").hold(Hold::Initiation)]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp", "mss", "syn"])
    }

    fn default_port(&self) -> u16 {
        self.connection.kind().default_port()
    }

    fn connect(&self, _job: &Job, _prepared: &Prepared, _config: ConfigId) -> Result<Connect> {
        Ok(self.connection.clone())
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let evidence = Evidence::weigh(flows, |_, flow| {
            SentSyns::of(flow)?;
            Some(self.announced.is_none_or(|size| announced(flow, "fwd") == Some(size.into())))
        });
        let mut conditions = Vec::new();
        if let Some(flow) = evidence.flow(ConfigId::BASELINE) {
            conditions.extend(Condition::online("mss", flow));
            conditions.extend(values(flow));
        }
        Ok(evidence.conclude(conditions))
    }
}

/// What was announced, and how the target's compares with ours. A malformed option announces
/// nothing, and is not absent either.
fn values(flow: &Record) -> Vec<Condition> {
    let (local, remote) = (announced(flow, "fwd"), announced(flow, "rev"));
    let mut conditions = Vec::new();
    conditions.extend(local.map(|size| Condition::with_value("mss.option.local.value", size)));
    conditions.extend(remote.map(|size| Condition::with_value("mss.option.remote.value", size)));
    let answered = flow.u64("syn_count_rev").is_some_and(|count| count > 0);
    let received = match (local, remote) {
        _ if answered && flow.u64("mss_len_rev").is_none() => "absent",
        (Some(local), Some(remote)) if remote > local => "inflated",
        (Some(local), Some(remote)) if remote < local => "deflated",
        (Some(_), Some(_)) => "unchanged",
        _ => return conditions,
    };
    conditions.push(Condition::new(format!("mss.option.received.{received}")));
    conditions
}

/// The value of a direction's option, if it has the right length.
fn announced(flow: &Record, direction: &str) -> Option<u64> {
    flow.u64(&format!("mss_len_{direction}")).filter(|&length| length == LENGTH)?;
    flow.u64(&format!("mss_value_{direction}"))
}

export_plugin!(Mss);

#[cfg(test)]
mod tests;
