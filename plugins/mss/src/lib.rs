//! Which maximum segment size (RFC 9293, section 3.7.1) each side's SYN announces, as it is seen
//! here.
//!
//! One configuration: an ordinary connection, or one whose SYN announces the size of `--mss`.

use pathspider_plugin_api::chains::{basic, mss, syn, tcp};
use pathspider_plugin_api::packet::tcp_option::MSS_LENGTH;
use pathspider_plugin_api::prelude::*;

const ONLY: Configuration = Configuration::new(0, "mss").hold(Hold::Initiation);

conditions! {
    ONLINE: online("mss");
    LOCAL: unknown("mss.option.local.value:<octets>", "what our SYN announced");
    REMOTE: unknown("mss.option.remote.value:<octets>", "what the SYN/ACK announced");
    ABSENT: absent("mss.option.received.absent", "the SYN/ACK announced nothing");
    UNCHANGED: unknown("mss.option.received.unchanged", "the SYN/ACK announced the same as our SYN");
    INFLATED: unknown("mss.option.received.inflated", "the SYN/ACK announced more than our SYN");
    DEFLATED: unknown("mss.option.received.deflated", "the SYN/ACK announced less than our SYN");
}

/// The sizes that Linux takes for a socket (`TCP_MAXSEG`): from `TCP_MIN_MSS` to `MAX_TCP_WINDOW`.
const SIZES: std::ops::RangeInclusive<u16> = 88..=32767;

/// The MSS measurement of one run.
pub struct Mss {
    connection: Connect,
    /// What our SYN is to announce, where that was said.
    announced: Option<u16>,
    /// Whether its SYNs are ordinary ones.
    ordinary: OrdinarySyns,
}

impl Measurement for Mss {
    fn info() -> Info {
        info!("mss", "Maximum segment size: what each side's SYN announces").conditions(CONDITIONS)
    }

    fn options() -> Options {
        use ConnectKind::{DnsTcp, Http, Https, Syn, Tcp};
        let help = "What our SYN announces, 88 to 32767 octets; 0 leaves it to the kernel";
        let options = Options::none().connect(&[Tcp, Http, Https, DnsTcp, Syn]).timeout();
        options.integer("mss", 0..=(*SIZES.end()).into(), 0, help)
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let connection = options.connection()?;
        let ordinary = OrdinarySyns::new(host);
        match options.integer("mss")? {
            0 => Ok(Mss { connection, announced: None, ordinary }),
            size if SIZES.contains(&size) => {
                Ok(Mss { connection: connection.mss(size), announced: Some(size), ordinary })
            }
            size => Err(Error::new(format!("--mss {size}: Linux announces 88 or more"))),
        }
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![ONLY]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, mss::CHAIN, syn::CHAIN])
    }

    fn configure(&self, _: ConfigId, system: &mut System<'_>) -> Result<()> {
        if self.connection.kind() != ConnectKind::Syn {
            self.ordinary.look(system);
        }
        Ok(())
    }

    fn connect(&self, _: &Attempt<'_>) -> Result<Connect> {
        Ok(self.connection.clone())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            SentSyns::of(flow)?;
            let as_said = self.announced.is_none_or(|size| local(flow) == Some(size.into()));
            Some(as_said && !flow.asks_for_ecn())
        });
        let mut conditions = Vec::new();
        if let Some(flow) = evidence.of(ONLY) {
            conditions.extend(flow.online(ONLINE));
            conditions.extend(values(flow));
        }
        Ok(evidence.conclude(conditions))
    }
}

/// What was announced, and how the target's compares with ours. A malformed option announces
/// nothing, and is not absent either.
fn values(flow: Flow<'_>) -> impl Iterator<Item = Condition> {
    let (local, remote) = (local(flow), remote(flow));
    let answered = flow.get(syn::COUNT_REV).is_some_and(|count| count > 0);
    let received = match (local, remote) {
        _ if answered && flow.get(mss::LENGTH_REV).is_none() => Some(ABSENT),
        (Some(local), Some(remote)) if remote > local => Some(INFLATED),
        (Some(local), Some(remote)) if remote < local => Some(DEFLATED),
        (Some(_), Some(_)) => Some(UNCHANGED),
        _ => None,
    };
    let local = local.map(|size| LOCAL.with(size));
    let remote = remote.map(|size| REMOTE.with(size));
    [local, remote, received].into_iter().flatten()
}

/// What our SYN announced, if its option has the right length.
fn local(flow: Flow<'_>) -> Option<u64> {
    flow.get(mss::VALUE_FWD).filter(|_| flow.get(mss::LENGTH_FWD) == Some(MSS_LENGTH))
}

/// What the target's announced, by the same rule.
fn remote(flow: Flow<'_>) -> Option<u64> {
    flow.get(mss::VALUE_REV).filter(|_| flow.get(mss::LENGTH_REV) == Some(MSS_LENGTH))
}

export_plugin!(Mss);

#[cfg(test)]
mod tests;
