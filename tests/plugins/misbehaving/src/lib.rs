//! A measurement that misbehaves as its option `--how` says, and else connects twice by itself,
//! blocking its worker. And one that has the names of a command and of an option of the host's.
// One of its ways to misbehave is a crash.
#![allow(unsafe_code)]

use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

const A: Configuration = Configuration::new(0, "a");
const B: Configuration = Configuration::new(1, "b");

conditions! {
    CONNECTIVITY: connectivity("misbehaving");
}

/// Conditions of a measurement that is named like a command, and one that nobody declares.
mod other {
    use pathspider_plugin_api::conditions;

    conditions! {
        ONLINE: online("observe");
    }

    pub(super) const ALL: &[&[pathspider_plugin_api::Condition]] = CONDITIONS;
    pub(super) const WORDS: pathspider_plugin_api::Online = ONLINE;

    pub(super) mod undeclared {
        pathspider_plugin_api::conditions! {
            NEVER: unknown("misbehaving.declared.never", "nobody declares it");
        }

        pub(in super::super) fn never() -> pathspider_plugin_api::Condition {
            let _ = CONDITIONS;
            NEVER
        }
    }
}

/// The measurement of one run.
pub struct Misbehaving {
    how: String,
    chain: Option<String>,
    odd: bool,
    combined: AtomicU64,
    from_job: u64,
    host: Host,
}

const WAYS: [&str; 35] = [
    "not",
    "panic-in-new",
    "panic-in-configurations",
    "configurations-swapped",
    "panic-in-chains",
    "panic-in-pre-connect",
    "panic-in-connect",
    "panic-in-post-connect",
    "panic-in-merge",
    "panic-in-combine",
    "panic-in-rows",
    "panic-in-finish",
    "block-in-pre-connect",
    "block-in-connect",
    "block-in-finish",
    "not-a-number-at-the-end",
    "undeclared-condition",
    "wrong-index",
    "verdict-without-flow",
    "not-a-number",
    "key-twice",
    "reserved-key",
    "reserved-row",
    "print",
    "sysctl-by-itself",
    "configure-error",
    "configure-panic",
    "forge",
    "discard-odd-jobs",
    "three-rows",
    "crash-in-connect",
    "abort-in-combine",
    "overflow-in-connect",
    "crash-in-hundredth-combine",
    "crash-in-two-connects",
];

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(120);

impl Misbehaving {
    fn is(&self, way: &str) -> bool {
        self.how == way
    }

    fn may_panic(&self, function: &str) {
        assert!(self.how != format!("panic-in-{function}"), "asked to panic in {function}");
    }
}

fn crash() {
    // SAFETY: none. It is to crash.
    unsafe {
        std::ptr::without_provenance::<u8>(16).read_volatile();
    }
}

/// Crashes on two threads at once, each by another signal.
fn crash_together() {
    static TOGETHER: Barrier = Barrier::new(2);
    if TOGETHER.wait().is_leader() {
        std::process::abort();
    }
    crash();
}

/// Calls itself until there is no stack left.
#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> [u64; 512] {
    let mut deeper = overflow(std::hint::black_box(depth + 1));
    deeper[(depth % 512) as usize] = depth;
    std::hint::black_box(deeper)
}

impl Measurement for Misbehaving {
    fn info() -> Info {
        // No option is known yet.
        if std::env::var_os("MISBEHAVING_IN_INFO").is_some() {
            let _ = std::fs::write("/proc/sys/net/ipv4/ip_default_ttl", "61");
        }
        Info::new("misbehaving", "1.0.0", "Misbehaves on request")
            .contact("https://github.com/pathspider/pathspider")
            .blocking()
            .changes_system()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none()
            .choice("how", &WAYS, "What to do wrong")
            .text("chain", "", "One more chain to ask for")
            .flag("decline-odd-jobs", "Decline every other job")
            .integer("from-job", 0..=1_000_000, 0, "The first job at which to crash")
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let how = options.text("how")?.unwrap_or("not").to_owned();
        // Where nobody can give options.
        let how = std::env::var("MISBEHAVING_HOW").unwrap_or(how);
        let chain = options.text("chain")?.map(str::to_owned);
        let odd = options.flag("decline-odd-jobs")?;
        let from_job = options.integer("from-job")?;
        let combined = AtomicU64::new(0);
        let misbehaving = Misbehaving { how, chain, odd, combined, from_job, host };
        misbehaving.may_panic("new");
        Ok(misbehaving)
    }

    fn configurations(&self) -> Vec<Configuration> {
        self.may_panic("configurations");
        // No option, for `check` tries all their values.
        if std::env::var_os("MISBEHAVING_STAYS").is_some() {
            std::thread::sleep(LONG);
        }
        if self.is("configurations-swapped") { vec![B, A] } else { vec![A, B] }
    }

    fn chains(&self) -> Vec<ChainName> {
        self.may_panic("chains");
        let mut chains = ChainName::list([basic::CHAIN, tcp::CHAIN]);
        chains.extend(self.chain.as_deref().map(ChainName::from));
        chains
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        let is_a = config == ConfigId::BASELINE;
        if self.is("sysctl-by-itself") {
            std::fs::write("/proc/sys/net/ipv4/ip_default_ttl", if is_a { "63" } else { "62" })?;
        }
        system.sysctl("net.ipv4.tcp_sack", if is_a { 1 } else { 0 })?;
        system.sysctl(
            "net.ipv4.tcp_rmem",
            if is_a { "4096 131072 6291456" } else { "4096 100000 6291456" },
        )?;
        system.firewall(if is_a {
            &[]
        } else {
            &["output tcp dport 9 drop", "input tcp sport 9 drop"]
        })?;
        let blackhole = ["ip", "route", "replace", "blackhole", "203.0.113.0/24"];
        system.run(&blackhole, &["ip", "route", "del", "203.0.113.0/24"])?;
        match self.how.as_str() {
            "configure-error" if config.index() == 1 => Err(Error::new("no such luck")),
            "configure-panic" if config.index() == 1 => panic!("configured to panic"),
            _ => Ok(()),
        }
    }

    fn pre_connect(&self, attempt: &Attempt<'_>) -> Result<Prepared> {
        let job = attempt.job();
        self.may_panic("pre-connect");
        if self.is("block-in-pre-connect") && job.number() == 0 {
            std::thread::sleep(LONG);
        }
        if self.odd && job.number() % 2 == 1 {
            return Err(Error::new("an odd job"));
        }
        Ok(Prepared::new(job.number()))
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        assert_eq!(attempt.prepared::<u64>(), Some(&job.number()), "the host mixed jobs up");
        if attempt.is(B) {
            self.may_panic("connect");
        }
        // No option, for `check` tries all their values.
        let talks = std::env::var("MISBEHAVING_TALKS").ok().filter(|_| !attempt.is(B));
        for number in 1..=talks.and_then(|count| count.parse::<u32>().ok()).unwrap_or(0) {
            self.host.log(Level::Info, &format!("message {number}."));
        }
        match self.how.as_str() {
            "block-in-connect" if job.number() == 0 => std::thread::sleep(LONG),
            "print" => println!("{{\"dip\":\"192.0.2.1\"}}"),
            "crash-in-connect" if job.number() >= self.from_job => crash(),
            "crash-in-two-connects" => crash_together(),
            "overflow-in-connect" => drop(overflow(job.number())),
            "forge" => return Ok(Connect::packets(vec![vec![0x45]], Duration::from_secs(1))),
            _ => {}
        }
        let address = (job.target(), job.port()).into();
        if self.is("discard-odd-jobs") && job.number() % 2 == 1 {
            return Ok(Connect::done(Outcome::new(State::Discard)));
        }
        Ok(Connect::done(match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(stream) => Outcome::new(State::Ok).from_local(stream.local_addr()?),
            Err(_) => Outcome::new(State::Failed),
        }))
    }

    fn post_connect(&self, _: &Attempt<'_>, outcome: Outcome) -> Result<Record> {
        self.may_panic("post-connect");
        let mut record = outcome.into_record();
        match self.how.as_str() {
            "not-a-number" => record.set("ratio", f64::NAN),
            "key-twice" => {
                record.push("key", 1u8);
                record.push("key", 2u8);
            }
            _ => {}
        }
        Ok(record)
    }

    fn merge(&self, _: &Attempt<'_>, flow: Flow<'_>, mut result: Record) -> Result<Record> {
        self.may_panic("merge");
        if self.is("reserved-key") {
            result.set("observed", !flow.seen());
        }
        result.extend(flow.fields());
        Ok(result)
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        self.may_panic("combine");
        if self.is("abort-in-combine") {
            std::process::abort();
        }
        if self.is("crash-in-hundredth-combine") {
            // Slower than the network: there is always a next one.
            std::thread::sleep(Duration::from_millis(5));
            if self.combined.fetch_add(1, Ordering::Relaxed) == 99 {
                crash();
            }
        }
        Ok(match self.how.as_str() {
            "undeclared-condition" => vec![other::undeclared::never()].into(),
            "wrong-index" => vec![Condition::not_applied(ConfigId::new(7))].into(),
            "verdict-without-flow" => vec![CONNECTIVITY.compared(true, true)].into(),
            _ => flows.connectivity(CONNECTIVITY, B).into_iter().collect(),
        })
    }

    fn rows(&self, _: &Flows<'_>) -> Result<Vec<Record>> {
        self.may_panic("rows");
        let row = || Record::new().with("row", 1u8);
        Ok(match self.how.as_str() {
            "reserved-row" => vec![Record::new().with("jobId", "mine")],
            "three-rows" => vec![row(), row().with("row", 2u8), row().with("row", 3u8)],
            _ => Vec::new(),
        })
    }

    fn finish(&self) -> Result<Record> {
        self.may_panic("finish");
        if self.is("block-in-finish") {
            std::thread::sleep(LONG);
        }
        Ok(match self.how.as_str() {
            "not-a-number-at-the-end" => Record::new().with("ratio", f64::NAN),
            _ => Record::new().with("behaved", self.is("not")),
        })
    }
}

/// A measurement named like a command, with an option named like one of `measure`.
pub struct NamedLikeOthers {
    /// It believes that each outcome has all keys, of the right types.
    trusting: bool,
}

impl Measurement for NamedLikeOthers {
    fn info() -> Info {
        let info = Info::new("observe", "1.0.0", "Has the name of a command");
        info.contact("https://github.com/pathspider/pathspider").conditions(other::ALL)
    }

    fn options() -> Options {
        Options::none().text("input", "", "An option that is called --input")
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        match options.text("input")? {
            Some("refused") => Err(Error::new("this input is refused")),
            input => Ok(NamedLikeOthers { trusting: input == Some("trusting") }),
        }
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new(0, "only")]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn connect(&self, _: &Attempt<'_>) -> Result<Connect> {
        Ok(Connect::tcp())
    }

    fn post_connect(&self, _: &Attempt<'_>, outcome: Outcome) -> Result<Record> {
        let record = outcome.into_record();
        assert!(!self.trusting || record.str("spdr_start").is_some(), "no start");
        Ok(record)
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        Ok(flows.online(other::WORDS).into_iter().collect())
    }
}

export_plugin! { measurements: [Misbehaving, NamedLikeOthers], chains: [] }
