//! What a plugin asks of a connection: the one place that reads it, and refuses what cannot be had.
//! The engine reads it before it connects, and `pathspider check` reads it in place of connecting.
//!
//! What the machine alone can know (a congestion control that the kernel lacks, a target without a
//! route) is not refused here: it is how a connection ends.

mod flow;
mod packets;

use http::{HeaderMap, HeaderName, HeaderValue};
use pathspider_plugin_api::forge::dns_query;
use pathspider_plugin_api::{Connect, ConnectKind, Error, Job, Record};

pub use flow::OneFlow;
pub use packets::{Header, Waiting, dissected, header, packets, waiting};
pub use pathspider_plugin_api::{Opening, Settings};

/// The name that is asked where neither plugin nor job has one. It exists (RFC 2606), and has no
/// large answer that filters against reflection would drop, as those of the root zone have.
const NAME: &str = "example.com";

/// Refuses what the engine would refuse.
///
/// # Errors
///
/// What is asked for cannot be had.
pub fn check(job: &Job, connect: &Connect) -> Result<(), Error> {
    match connect.kind() {
        ConnectKind::Done | ConnectKind::Skip => Ok(()),
        ConnectKind::Packets => {
            waiting(connect)?;
            packets(connect).map(drop)
        }
        kind => {
            let settings = Settings::read(connect)?;
            headers(&settings)?;
            if matches!(kind, ConnectKind::DnsTcp | ConnectKind::DnsUdp) {
                query(&settings, job, 0)?;
            }
            Ok(())
        }
    }
}

/// The name that a DNS query asks for: the plugin's, else the job's domain.
pub fn name<'a>(settings: &Settings<'a>, job: &'a Job) -> &'a str {
    let given = settings.query.or(job.domain());
    given.filter(|name| !name.is_empty()).unwrap_or(NAME)
}

/// The DNS query with this identifier.
///
/// # Errors
///
/// The name cannot stand in a query.
pub fn query(settings: &Settings<'_>, job: &Job, id: u16) -> Result<Vec<u8>, Error> {
    dns_query(name(settings, job), id)
}

/// The plugin's own headers of an HTTP request.
///
/// # Errors
///
/// A name or a value cannot stand in a request.
pub fn headers(settings: &Settings<'_>) -> Result<HeaderMap, Error> {
    let each = settings.headers.into_iter().flat_map(Record::iter);
    let header = |(name, value): (&str, &pathspider_plugin_api::Value)| {
        let no_name = |_| Error::contract(format!("connect: no header is named {name:?}"));
        let no_value = || {
            Error::contract(format!(
                "connect: the header {name} cannot have the value {value:?}; it takes a text of \
                 visible ASCII"
            ))
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(no_name)?;
        let text = value.as_str().ok_or_else(no_value)?;
        Ok((key, HeaderValue::from_str(text).map_err(|_| no_value())?))
    };
    each.map(header).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(connect: &Connect) -> String {
        let job = Job::new(0, [192, 0, 2, 1].into(), 80, Record::new());
        check(&job, connect).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        let label = "a".repeat(64);
        for (connect, words) in [
            (Connect::http().header("a b", "c"), "no header is named \"a b\""),
            (Connect::http().header("X", "a\r\nb"), "the header X cannot have the value"),
            (Connect::new(ConnectKind::DnsUdp).query(&label), "is no domain name"),
            (Connect::packets(Vec::new(), Duration::from_secs(1)), "no packets"),
            (Connect::packets(vec![vec![0x45]], Duration::from_secs(1)), "packet 0 cannot be sent"),
            (
                Connect::packets(Vec::new(), Duration::from_secs(1)).dscp(46),
                "have no setting \"dscp\"",
            ),
        ] {
            let said = refused(&connect);
            assert!(said.contains(words), "{said}");
        }
    }
}
