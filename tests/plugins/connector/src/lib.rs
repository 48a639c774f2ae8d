//! Makes any kind of connection with any settings, and concludes nothing: what came of it stands in
//! the records' flow results.

use pathspider_plugin_api::chains::{basic, dns, ecn, tcp, tfo};
use pathspider_plugin_api::prelude::*;

const KINDS: [ConnectKind; 6] = [
    ConnectKind::Tcp,
    ConnectKind::Http,
    ConnectKind::Https,
    ConnectKind::DnsTcp,
    ConnectKind::DnsUdp,
    ConnectKind::Quic,
];

struct Connector {
    connect: Connect,
    times: usize,
    hold: Hold,
    stall: String,
}

impl Connector {
    fn stall_in(&self, function: &str, job: &Job) {
        if self.stall == function && job.number() == 1 {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
    }
}

impl Measurement for Connector {
    fn info() -> Info {
        Info::new("connector", "0.1.0", "any connection")
    }

    fn options() -> Options {
        Options::none()
            .connect(&KINDS)
            .timeout()
            .integer("times", 1..=9, 1, "Connections to each target, one after the other")
            .choice("hold", &["initiation", "handshake", "completion"], "How long one waits")
            .flag("fast-open", "TCP Fast Open")
            .choice("stall", &["nowhere", "connect", "combine"], "Where it stays for ever")
            .text("alpn", "", "Protocols, with commas between")
            .flag("only-tls13", "TLS 1.3 and no other")
            .flag("ech-grease", "Encrypted Client Hello, made up")
            .text("server-name", "", "The server name of TLS")
            .text("query", "", "The name that is asked")
            .text("header", "", "NAME:VALUE, with | between")
            .text("to", "", "Another address to connect to")
            .integer("ttl", 0..=255, 0, "Hops; 0 for the system's")
            .integer("ecn", 0..=3, 0, "The ECN field")
            .integer("quic-version", 0..=0xffff_ffff, 0, "QUIC's version; 0 for the host's choice")
            .integer(
                "padding",
                0..=65_507,
                0,
                "Octets of a question for versions; 0 for the host's",
            )
            .flag("grease", "QUIC's fixed bit cleared")
    }

    fn new(options: &OptionValues, _: Host) -> Result<Self> {
        let mut connect = Connect::new(options.connect()?).timeout(options.timeout()?);
        if options.flag("fast-open")? {
            connect = connect.fast_open();
        }
        if let Some(list) = options.text("alpn")? {
            connect = connect.alpn(&list.split(',').collect::<Vec<_>>());
        }
        if options.flag("only-tls13")? {
            connect = connect.only_tls13();
        }
        if options.flag("ech-grease")? {
            connect = connect.ech_grease();
        }
        if let Some(name) = options.text("server-name")? {
            connect = connect.server_name(name);
        }
        if let Some(name) = options.text("query")? {
            connect = connect.query(name);
        }
        for header in options.text("header")?.into_iter().flat_map(|list| list.split('|')) {
            let (name, value) = header.split_once(':').unwrap_or((header, ""));
            connect = connect.header(name, value);
        }
        if let Some(to) = options.text("to")?.filter(|to| !to.is_empty()) {
            connect = connect.to(to.parse().map_err(|_| Error::new("--to is no address"))?);
        }
        match options.integer("ttl")? {
            0 => {}
            hops => connect = connect.ttl(hops),
        }
        match options.integer("ecn")? {
            0 => {}
            field => connect = connect.ecn(field),
        }
        match options.integer("quic-version")? {
            0 => {}
            version => connect = connect.version(version),
        }
        match options.integer("padding")? {
            0 => {}
            octets => connect = connect.padding(octets),
        }
        if options.flag("grease")? {
            connect = connect.grease_fixed_bit();
        }
        let hold = match options.text("hold")? {
            Some("handshake") => Hold::Handshake,
            Some("completion") => Hold::Completion,
            _ => Hold::Initiation,
        };
        let stall = options.text("stall")?.unwrap_or_default().to_owned();
        Ok(Connector { connect, times: options.integer("times")?, hold, stall })
    }

    fn configurations(&self) -> Vec<Configuration> {
        let configuration =
            |time| Configuration::new(time, "").labelled(time.to_string()).hold(self.hold);
        (0..self.times).map(configuration).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, tfo::CHAIN, dns::CHAIN, ecn::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        self.stall_in("connect", attempt.job());
        Ok(self.connect.clone())
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        self.stall_in("combine", flows.job());
        Ok(Conclusion::none())
    }
}

export_plugin!(Connector);
