//! A measurement that misbehaves as its option `--how` says, and else connects twice by itself,
//! blocking its worker. And one that has the names of a command and of an option of the host's.
// One of its ways to misbehave is a crash.
#![allow(unsafe_code)]

use std::net::TcpStream;
use std::time::Duration;

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Error, Host, Info, Job, Measurement,
    OptionValues, Options, Outcome, Prepared, Record, Result, State, System, export_plugin,
};

/// The measurement of one run.
pub struct Misbehaving {
    how: String,
    chain: Option<String>,
}

const WAYS: [&str; 13] = [
    "not",
    "panic-in-pre-connect",
    "panic-in-connect",
    "panic-in-combine",
    "undeclared-condition",
    "configure-error",
    "configure-panic",
    "decline-odd-jobs",
    "discard-odd-jobs",
    "three-rows",
    "crash-in-connect",
    "abort-in-combine",
    "overflow-in-connect",
];

impl Misbehaving {
    fn is(&self, way: &str) -> bool {
        self.how == way
    }
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
        Info::new("misbehaving", "1.0.0", "Misbehaves on request")
            .blocking()
            .changes_system()
            .connectivity("mis")
    }

    fn options() -> Options {
        Options::none().choice("how", &WAYS, "What to do wrong").text(
            "chain",
            "",
            "One more chain to ask for",
        )
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        let how = options.text("how")?.unwrap_or("not").to_owned();
        Ok(Misbehaving { how, chain: options.text("chain")?.map(str::to_owned) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("a"), Configuration::new("b")]
    }

    fn chains(&self) -> Vec<ChainName> {
        let mut chains = ChainName::list(&["basic", "tcp"]);
        chains.extend(self.chain.as_deref().map(ChainName::from));
        chains
    }

    fn configure(&self, config: ConfigId, system: &mut System<'_>) -> Result<()> {
        let is_a = config == ConfigId::BASELINE;
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

    fn pre_connect(&self, job: &Job) -> Result<Prepared> {
        assert!(!self.is("panic-in-pre-connect"), "asked to panic in pre_connect");
        if self.is("decline-odd-jobs") && job.number() % 2 == 1 {
            return Err(Error::new("an odd job"));
        }
        Ok(Prepared::new(job.number()))
    }

    fn connect(&self, job: &Job, prepared: &Prepared, config: ConfigId) -> Result<Connect> {
        assert_eq!(prepared.get::<u64>(), Some(&job.number()), "the host mixed jobs up");
        assert!(!self.is("panic-in-connect") || config.index() == 0, "asked to panic in connect");
        match self.how.as_str() {
            // SAFETY: none. It is to crash.
            "crash-in-connect" => unsafe {
                std::ptr::without_provenance::<u8>(16).read_volatile();
            },
            "overflow-in-connect" => drop(overflow(job.number())),
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

    fn rows(&self, _job: &Job, _flows: &[Record]) -> Result<Vec<Record>> {
        let rows = if self.is("three-rows") { 3u64 } else { 0 };
        Ok((0..rows).map(|row| Record::new().with("row", row)).collect())
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        assert!(!self.is("panic-in-combine"), "asked to panic in combine");
        if self.is("abort-in-combine") {
            std::process::abort();
        }
        if self.is("undeclared-condition") {
            return Ok(vec![Condition::new("mis.declared.never")]);
        }
        Ok(Condition::connectivity("mis", &flows[0], &flows[1]).into_iter().collect())
    }
}

/// A measurement named like a command, with an option named like one of `measure`.
pub struct NamedLikeOthers;

impl Measurement for NamedLikeOthers {
    fn info() -> Info {
        let info = Info::new("observe", "1.0.0", "Has the name of a command");
        info.condition("observe.connectivity.online", "it connected")
            .condition("observe.connectivity.offline", "it did not")
    }

    fn options() -> Options {
        Options::none().text("input", "", "An option that is called --input")
    }

    fn new(options: &OptionValues, _host: Host) -> Result<Self> {
        match options.text("input")? {
            Some("refused") => Err(Error::new("this input is refused")),
            _ => Ok(NamedLikeOthers),
        }
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("only")]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp"])
    }

    fn connect(&self, _: &Job, _: &Prepared, _: ConfigId) -> Result<Connect> {
        Ok(Connect::tcp())
    }

    fn combine(&self, _job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        Ok(Condition::online("observe", &flows[0]).into_iter().collect())
    }
}

export_plugin! { measurements: [Misbehaving, NamedLikeOthers], chains: [] }
