//! The addresses of names, one record each, as targets of other measurements.
//!
//! A and AAAA are asked for at the same time, through the servers of `/etc/resolv.conf`; names in
//! `/etc/hosts` are found there. Names are absolute: search domains are for people's typing. No
//! packet is captured: what is concluded is the server's word.

use std::net::IpAddr;
use std::sync::Once;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Host, Info, Job, Level, Measurement,
    OptionValues, Options, Outcome, Prepared, Record, Result, State, Value, export_plugin,
};
use tokio::runtime::Runtime;

const TIMEOUT: &str = "time-out";
const NO_NAME: &str = "no such name";
const NO_ADDRESS: &str = "no address";

/// The lookups of one run.
pub struct DnsResolv {
    runtime: Runtime,
    resolver: TokioResolver,
    types: &'static [RecordType],
    timeout: Duration,
    keep_failed: bool,
    host: Host,
    /// Whether a failure was told that may be the resolver's own.
    told: Once,
}

impl Measurement for DnsResolv {
    fn info() -> Info {
        Info::new(
            "dnsresolv",
            env!("CARGO_PKG_VERSION"),
            "Addresses of names, one record each: targets for other measurements",
        )
        .contact(env!("CARGO_PKG_REPOSITORY"))
        .blocking()
        .takes_names()
        .condition("dnsresolv.resolution.succeeded", "the resolver gave an address")
        .condition("dnsresolv.resolution.failed", "it gave none: dns_error says why")
    }

    fn options() -> Options {
        Options::none()
            .choice("family", &["both", "ipv4", "ipv6"], "Which addresses to ask for")
            .number("timeout", 0.01..=3600.0, 10.0, "SECONDS", "How long one name may take")
            .flag("keep-failed", "Write a record also of a name without an address")
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("dnsresolv")
            .enable_all()
            .build()?;
        let mut resolver = TokioResolver::builder_tokio()?;
        let settings = resolver.options_mut();
        // Each name is asked for once, and `-w` says how many at the same time.
        settings.cache_size = 0;
        settings.max_active_requests = 1 << 16;
        Ok(DnsResolv {
            resolver: resolver.build()?,
            runtime,
            types: match options.text("family")? {
                Some("ipv4") => &[RecordType::A],
                Some("ipv6") => &[RecordType::AAAA],
                _ => &[RecordType::A, RecordType::AAAA],
            },
            timeout: options.timeout()?,
            keep_failed: options.flag("keep-failed")?,
            host,
            told: Once::new(),
        })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("lookup")]
    }

    fn chains(&self) -> Vec<ChainName> {
        Vec::new()
    }

    fn connect(&self, job: &Job, _prepared: &Prepared, _config: ConfigId) -> Result<Connect> {
        let Some(name) = job.domain() else {
            return Ok(Connect::skip("the line has no domain"));
        };
        Ok(Connect::done(match self.addresses(name) {
            Ok(found) => {
                let found: Value = found.into_iter().collect();
                Outcome::new(State::Ok).with("dns_addresses", found)
            }
            Err(reason) => {
                self.tell(name, &reason);
                let state = match self.keep_failed {
                    true if reason.contains(TIMEOUT) => State::Timeout,
                    true => State::Failed,
                    false => State::Discard,
                };
                Outcome::new(state).with("dns_error", reason)
            }
        }))
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        let [flow] = flows else { return Ok(Vec::new()) };
        let found = flow.get("dns_addresses").map(|_| "dnsresolv.resolution.succeeded");
        let failed = flow.get("dns_error").map(|_| "dnsresolv.resolution.failed");
        Ok(found.or(failed).map(Condition::new).into_iter().collect())
    }

    fn rows(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Record>> {
        let [flow] = flows else { return Ok(Vec::new()) };
        if let Some(reason) = flow.str("dns_error") {
            return Ok(vec![Record::new().with("dns_error", reason)]);
        }
        let found = flow.get("dns_addresses").and_then(Value::as_list).unwrap_or_default();
        Ok(found.iter().map(|address| Record::new().with("dip", address.clone())).collect())
    }
}

impl DnsResolv {
    /// The addresses of a name, or why none is known.
    fn addresses(&self, name: &str) -> std::result::Result<Vec<IpAddr>, String> {
        let name = format!("{}.", name.trim_end_matches('.'));
        let ask = |kind| tokio::time::timeout(self.timeout, self.resolver.lookup(&*name, kind));
        let answers = self.runtime.block_on(async {
            match *self.types {
                [first, second] => <[_; 2]>::from(tokio::join!(ask(first), ask(second))).into(),
                ref types => vec![ask(types[0]).await],
            }
        });
        let (mut found, mut reasons) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer.unwrap_or(Err(NetError::Timeout)) {
                Ok(lookup) => {
                    found.extend(lookup.answers().iter().filter_map(|r| r.data.ip_addr()))
                }
                Err(error) => reasons.push(reason(&error)),
            }
        }
        reasons.dedup();
        match (found.is_empty(), reasons.is_empty()) {
            (false, _) => Ok(found),
            // Aliases that lead to no address.
            (true, true) => Err(NO_ADDRESS.to_owned()),
            (true, false) => Err(reasons.join("; ")),
        }
    }

    /// Tells the first failure that is not the name's own.
    fn tell(&self, name: &str, reason: &str) {
        if reason != NO_NAME && reason != NO_ADDRESS {
            let message = format!("{name}: {reason}; further such failures are not told");
            self.told.call_once(|| self.host.log(Level::Warning, &message));
        }
    }
}

/// In fixed words where there are some.
fn reason(error: &NetError) -> String {
    let code = match error {
        NetError::Timeout => return TIMEOUT.to_owned(),
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        other => return other.to_string(),
    };
    match code {
        ResponseCode::NXDomain => NO_NAME.to_owned(),
        ResponseCode::NoError => NO_ADDRESS.to_owned(),
        code => format!("the server answered: {code}"),
    }
}

export_plugin!(DnsResolv);
