//! The keys of a record, with shape and meaning. The tables of `docs/records.md` and the JSON
//! Schema are made from these lists, so a key that is written stands in one of them.

use serde_json::{Map, Value, json};

use crate::names;

/// A key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub shape: Shape,
    /// Whether each object has it.
    pub is_always: bool,
    /// What it is, for people.
    pub meaning: &'static str,
}

/// What a key's values are.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A text.
    Text,
    /// One of a few words.
    Word,
    /// A whole number of at least zero.
    Whole,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A time, RFC 3339 in UTC.
    Time,
    /// An IP address.
    Address,
    /// A text, or octets that are none.
    Octets,
    /// A list.
    List,
    /// A list of whole numbers.
    Numbers,
    /// A list of texts.
    Texts,
    /// Texts under names of whoever measures.
    TextsByName,
    /// What the input had.
    Anything,
    /// An object with these keys; it may have others.
    Object(&'static [Key]),
    /// A list of such objects.
    Objects(&'static [Key]),
    /// That, or null.
    OrNull(&'static Shape),
}

use Shape::{
    Address, Anything, Flag, List, Number, Numbers, Object, Objects, Octets, OrNull, Text, Texts,
    TextsByName, Time, Whole, Word,
};

const fn always(name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { name, shape, is_always: true, meaning }
}

const fn perhaps(name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { name, shape, is_always: false, meaning }
}

/// A target's record, beside the job's own keys.
pub const RECORD: &[Key] = &[
    perhaps(
        "dip",
        OrNull(&Text),
        "the target's address; of a target that is a name, absent or a result of the measurement",
    ),
    perhaps(
        "dp",
        OrNull(&Whole),
        "the target's port; without one in the line, the measurement's default",
    ),
    perhaps("domain", OrNull(&Text), "the target's name, if the line has one or one was looked up"),
    perhaps(
        "domain_ascii",
        Text,
        "only if `domain` is in another script: the form that was looked up and sent",
    ),
    perhaps(
        names::INPUT,
        Anything,
        "only if the line has keys with names of this table: their values, to the letter",
    ),
    perhaps(
        names::SIP,
        OrNull(&Address),
        "the source address of the connections; null if none left",
    ),
    perhaps(
        names::PATH,
        Texts,
        "`sip`, `*` for what lies between, `dip`; with public addresses and autonomous systems if they are known",
    ),
    perhaps(
        "sip_asn",
        Whole,
        "with `--asn-db`: the autonomous system of the source, or of `--source-public` if that is given",
    ),
    perhaps("sip_prefix", Text, "with `--asn-db`: the prefix that the database has it for"),
    perhaps("sip_country", Text, "with `--asn-db`: the source's country, two letters (ISO 3166-1)"),
    perhaps("dip_asn", Whole, "with `--asn-db`: the target's autonomous system"),
    perhaps("dip_prefix", Text, "with `--asn-db`: the prefix that the database has it for"),
    perhaps("dip_country", Text, "with `--asn-db`: the target's country, two letters (ISO 3166-1)"),
    perhaps(
        names::ROUND,
        Whole,
        "only with `--repeat` or `--confirm`: the [round](#rounds), from 0",
    ),
    perhaps(
        names::TRANSLATED,
        Text,
        "only if the target's address stands for an IPv4 address: the [prefix](#who-answered) that says so",
    ),
    perhaps(
        names::ANSWERED_FROM,
        Object(ANSWERED),
        "how far the answers came, as a [hint](#who-answered); only if the capture has an answer",
    ),
    always(names::CONDITIONS, Texts, "the conclusions; empty if nothing could be concluded"),
    perhaps(names::TIME, Object(TIMES), "from the first connection's start to the last one's end"),
    perhaps(
        names::FAILURES,
        Objects(FAILURE),
        "the connections that failed, in the order of the configurations; absent if none failed",
    ),
    perhaps(
        names::RTT,
        Objects(ROUND_TRIP),
        "with `--chain rtt`, or if the measurement uses that chain: the round trips and TTLs of the connections that were answered",
    ),
    perhaps(
        names::LOCATION,
        Objects(LOCATION),
        "with `--locate`: [where on the path](location.md) packets are harmed, one for each configuration and packet that was looked at",
    ),
    perhaps(
        names::FORWARD,
        Objects(FORWARD),
        "with `--responder-key`, of targets that [respond](respond.md): how packets came to them, one for each configuration and packet",
    ),
    perhaps(
        names::MISSED_FLOWS,
        Whole,
        "with `--output-flows`: connections that the capture has no flow of",
    ),
    perhaps(
        names::FLOW_RESULTS,
        Objects(FLOW),
        "with `--output-flows`: one for each configuration, the baseline first",
    ),
    perhaps(
        names::ERROR,
        Text,
        "only if the plugin failed for this target: its reason. `conditions` then has at most the sums of all rounds",
    ),
    always(
        names::JOB_ID,
        Text,
        "unique in all runs: `RUN-JOB`, with rounds `RUN-JOBrROUND`; of several records of a job `.K` follows",
    ),
    always(names::SCHEMA, Whole, "the version of this format: 1"),
    always(
        names::RUN,
        Text,
        "the same in all records of a run, and in no other's; the metadata have it too",
    ),
    always(names::PLUGIN, Text, "the measurement"),
    always(names::VERSION, Text, "the measurement's version"),
    perhaps(names::VANTAGE, Text, "with `--vantage`: the place that was measured from"),
    perhaps(names::TAGS, TextsByName, "with `--tag`: the words of the run"),
];

const ANSWERED: &[Key] = &[
    always(
        "ttl",
        Numbers,
        "the TTLs (hop limits) of the SYN/ACKs or first answers to the target's connections",
    ),
    always(
        "hops",
        Numbers,
        "how many routers these imply, if the sender began with the next of 32, 64, 128 and 255",
    ),
    always("other_ttl", Numbers, "the lowest and the highest TTL of the target's other packets"),
    perhaps(
        "prefix_hops",
        Numbers,
        "over how many routers other targets of the prefix (/24, /48) had answered, the fewest and the most; only where all `hops` are three or more from that",
    ),
];

const FORWARD: &[Key] = &[
    always("config", Whole, "the configuration"),
    always(
        "carrier",
        Word,
        "which packet: `opening` (the SYN, the first datagram) or `data` (the first segment with data)",
    ),
    perhaps(
        "differs",
        Texts,
        "the fields that came otherwise than they were sent: `field:sent>seen`; empty where it came as it left",
    ),
    perhaps("hops", Whole, "how many routers took one of its hops to live"),
    perhaps("from", Address, "the address that it came from, as the target says"),
    perhaps("from_port", Whole, "the port that it came from"),
    perhaps("unknown", Text, "in place of these: why it is not known how it came"),
    perhaps(
        "found_by",
        Text,
        "by what the target knew its flow: `port and mark`, `mark` (the port was translated) or `port` (the sequence number, or the data, came otherwise)",
    ),
];

const LOCATION: &[Key] = &[
    always("config", Whole, "the configuration whose packets are the marked ones"),
    always("aspect", Text, "what the conditions are about: `ecn`, `dscp.46`"),
    always(
        "carrier",
        Word,
        "which packet was copied: `opening` (the SYN, the first datagram) or `data` (a segment in a connection)",
    ),
    always("shape", Word, "`halves`: the hops that decide; `every`: all"),
    always(
        "found",
        Texts,
        "the findings, in the words of the conditions; empty if everything that was seen is unharmed",
    ),
    perhaps("changed", Objects(CHANGED), "the changes of fields, in the order of the fields"),
    perhaps(
        "alike",
        Texts,
        "fields that change for plain and marked packets alike, which explains nothing: `field:hop`",
    ),
    perhaps("last_well", Whole, "the last hop that a marked packet came to as it was sent"),
    perhaps("quoted_to", Whole, "the last hop that quoted a marked packet"),
    perhaps("target_at", Whole, "the hop at which the target answered; absent if it is unknown"),
    always(
        "hops",
        Objects(HOP),
        "the hops that were asked, in their order, in the flow that was looked at first",
    ),
    always("unknown", Texts, "what could not be known, and why"),
    always("flows", Whole, "how many flows to the target agree, of three"),
    always(
        "packets",
        Whole,
        "packets that were sent, those that make and end connections among them",
    ),
    always("at_target", Whole, "of these, probes that came to the target, or may have"),
    always("ms", Whole, "how long it took, in milliseconds"),
];

const CHANGED: &[Key] = &[
    always("field", Text, "the field: `ecn`, `dscp`, `tcpflags`, `tcpopt-8`"),
    always("hop", Text, "the first hop that shows the change, or the range that this hop is in"),
    always("from", Text, "its value before that"),
    always("to", Text, "its value after that; `absent` if the field was gone"),
];

const HOP: &[Key] = &[
    always("hop", Whole, "which, counted from 1"),
    perhaps("from", Address, "the router that answered"),
    perhaps("asn", Whole, "with `--asn-db`: its autonomous system"),
    perhaps("rtt_us", Whole, "microseconds to the first answer: the router's, else the target's"),
    perhaps("plain", Object(FATE), "what became of the plain packet; absent if none was sent"),
    perhaps("marked", Object(FATE), "what became of the marked packet"),
];

const FATE: &[Key] = &[
    always(
        "fate",
        Word,
        "`seen` (a router quotes it), `silent`, `answered` (by the target), `refused`",
    ),
    perhaps("quoted", Whole, "octets of the packet that are quoted"),
    perhaps("ttl", Whole, "the hops to live that are quoted"),
    perhaps(
        "differs",
        Texts,
        "the fields that came otherwise than they were sent: `field:sent>seen`",
    ),
    perhaps(
        "from",
        Address,
        "who refused the packet, as the answer says. For a packet that was seen: the router, if it is not the hop's",
    ),
    perhaps("type", Whole, "the type of the ICMP error that refused it; absent for a reset"),
    perhaps("code", Whole, "its code"),
];

const TIMES: &[Key] = &[
    always("from", OrNull(&Time), "the first connection's start"),
    always("to", OrNull(&Time), "the last connection's end"),
];

const FAILURE: &[Key] = &[
    always("config", Whole, "the configuration; 0 is the baseline"),
    always(names::ERROR, Text, "why, in a word"),
    perhaps(names::PHASE, Word, "the phase in which it failed"),
    perhaps(names::ICMP, Object(ICMP), "the ICMP error that came back"),
];

const ICMP: &[Key] = &[
    always("type", Whole, "its type (IANA's registries of ICMP and ICMPv6)"),
    always("code", Whole, "its code"),
    always("from", Address, "who sent the error: a router, or the target"),
];

const ROUND_TRIP: &[Key] = &[
    always("config", Whole, "the configuration; 0 is the baseline"),
    always("rtt_us", OrNull(&Whole), "microseconds to the first answer"),
    always("rtt_ttl", OrNull(&Whole), "the answer's TTL or hop limit"),
    always("rtt_hops", OrNull(&Whole), "the hops that this implies"),
];

/// A flow result: the keys of the connection, beside those of its flow.
pub const FLOW: &[Key] = &[
    always("config", Whole, "the configuration; 0 is the baseline"),
    perhaps(
        "spdr_kind",
        Word,
        "the kind of connection, see below; `conversation` for one of the plugin's own; absent if the host sent packets of the plugin, or the plugin reported a connection of its own",
    ),
    always("spdr_state", Whole, "how it ended: 0 OK, 1 failed, 2 time-out, 3 skipped, 4 discarded"),
    perhaps(
        "spdr_carried",
        Flag,
        "whether the path carried the connection, see below; absent if `spdr_state` says so",
    ),
    perhaps(
        "spdr_not_supported",
        Flag,
        "`true` if the plugin says that this machine cannot make the connection; `spdr_error` says why",
    ),
    perhaps("spdr_start", Time, "when the connection was begun"),
    perhaps("spdr_stop", Time, "when it ended"),
    perhaps(names::ERROR, Text, "why the connection failed, see below; absent if it did not"),
    perhaps(
        names::PHASE,
        Word,
        "the phase in which it failed: `connect` (the TCP handshake, or QUIC while nothing has answered), `tls` (the TLS handshake, and QUIC's), `request` (the request and its answer). Absent for forged packets without a conversation",
    ),
    perhaps(names::ICMP, Object(ICMP), "if the connection failed: the ICMP error that came back"),
    perhaps(
        names::SIP,
        OrNull(&Address),
        "our end of the connection; absent if nothing could be sent",
    ),
    perhaps("sp", OrNull(&Whole), "our port"),
    perhaps("dip", OrNull(&Address), "the other end"),
    perhaps("dp", OrNull(&Whole), "its port"),
    perhaps(
        "proto",
        OrNull(&Whole),
        "the transport protocol (IANA); absent if nothing could be sent",
    ),
    always("observed", Flag, "whether the capture has its flow"),
    perhaps(
        "spdr_claimed",
        Flag,
        "whether the capture was asked for the flow; false if nothing left this machine",
    ),
    perhaps(
        "spdr_outcome",
        Object(OUTCOME),
        "only if the plugin or a chain changed how the connection ended. [`pathspider rejudge`](commands.md#rejudge) begins with these values",
    ),
    always(names::JOB_ID, Text, "the `jobId` of the target's record, without the number of a row"),
];

const OUTCOME: &[Key] = &[
    perhaps(
        "otherwise",
        Anything,
        "the keys that the host had found with other values, or that are gone",
    ),
    perhaps("without", Texts, "keys that it had not found"),
];

/// What an HTTP response adds to a flow result.
pub const HTTP: &[Key] = &[
    perhaps("http_response_code", Whole, "the status"),
    perhaps(
        "http_response_header",
        Octets,
        "the header as HTTP/1.1 has it, without the status line; names in lower case",
    ),
    perhaps(
        "http_response_body",
        Octets,
        "the body, up to `--body-limit`; the rest is not read. Only if the response came to its end or to the limit",
    ),
    perhaps("http_info", Object(HTTP_INFO), ""),
];

const HTTP_INFO: &[Key] = &[
    perhaps(
        "version",
        Text,
        "`HTTP/1.0`, `HTTP/1.1`, `HTTP/2.0` or `HTTP/3.0`: of the response, as it stands there",
    ),
    perhaps("body_truncated", Flag, "whether the body is longer than what was kept"),
    perhaps(
        "odd",
        Texts,
        "what in the response RFC 9112 forbids; absent if nothing. `status_line`, `header`: read as browsers read them. `body`: its chunks cannot be separated. `no_http`: another protocol, or HTTP/0.9",
    ),
];

/// The object `tls_info` of a flow result.
pub const TLS_INFO: &[Key] = &[
    perhaps(
        "sni",
        OrNull(&Text),
        "the server name that was sent: the measurement's own, or the job's `domain`, if it is a DNS name",
    ),
    perhaps(
        "ech",
        Word,
        "`grease` where the ClientHello offered Encrypted Client Hello, made up (RFC 9849, section 6.2)",
    ),
    perhaps("version", OrNull(&Text), "`TLSv1.2` or `TLSv1.3`"),
    perhaps("cipher_suite", OrNull(&Text), "its name in IANA's registry"),
    perhaps("alpn", OrNull(&Octets), "the protocol that the target chose"),
    perhaps("alert", Whole, "the alert that ended TLS (IANA's registry of TLS alerts)"),
    perhaps("certificate", OrNull(&Object(CERTIFICATE)), ""),
];

const CERTIFICATE: &[Key] = &[
    perhaps("sha256", Text, "the fingerprint of the target's own certificate, in hexadecimal"),
    perhaps("subject", Octets, "its distinguished name, the first 512 characters"),
    perhaps("issuer", Octets, "who issued it, as far"),
    perhaps("not_before", OrNull(&Time), "null for times before 1970 and after 9999"),
    perhaps("not_after", OrNull(&Time), "the same"),
    perhaps(
        "names",
        Texts,
        "the first 64 alternative names: DNS names and addresses as they are, others with their type",
    ),
    perhaps("names_total", Whole, "how many there are"),
];

/// The object `dns_info` of a flow result.
pub const DNS_INFO: &[Key] = &[
    perhaps("query", Text, "the name that was asked"),
    perhaps(
        "rcode",
        Whole,
        "the response's code (IANA's registry of DNS RCODEs; 0 no error, 3 no such name, 5 refused)",
    ),
    perhaps("answers", Whole, "resource records in its answer section, as its header counts them"),
    perhaps("truncated", Flag, "whether the response says that it is cut off"),
    perhaps("malformed", Flag, "true if its records cannot be read; otherwise absent"),
    perhaps(
        "ignored",
        Whole,
        "only if there were some: messages that were no response to the query. They are passed over, and counted even if no response came in time",
    ),
];

/// The object `quic_info` of a flow result.
pub const QUIC_INFO: &[Key] = &[
    perhaps("version", Text, "the version that was asked for, in hexadecimal: `0x00000001`"),
    perhaps(
        "versions",
        Texts,
        "the first 64 versions that the target named in place of an answer, in its order",
    ),
    perhaps("versions_total", Whole, "how many it named"),
    perhaps("retry", Flag, "whether the target demanded that we ask again with a token"),
    perhaps(
        "handshake_us",
        Whole,
        "microseconds from the first datagram to the handshake's end; absent if the handshake did not end",
    ),
    perhaps(
        "ecn",
        Object(QUIC_SPACES),
        "what became of our packets, for each packet number space in which some were sent",
    ),
    perhaps(
        "came",
        Object(QUIC_CAME),
        "the target's datagrams, by the ECN field that they came with",
    ),
    perhaps(
        "greased",
        Whole,
        "how many of our packets left without the bit that QUIC fixes to 1; absent if none did",
    ),
    perhaps(
        "ignored",
        Whole,
        "only if there were some: datagrams that do not belong to the connection. They are passed over",
    ),
    perhaps(
        "parameters",
        Object(QUIC_PARAMETERS),
        "the target's transport parameters: numbers by the names of RFC 9000, section 18.2, flags, and the others",
    ),
    perhaps("close", Object(QUIC_CLOSE), "the code that ended the connection; absent without one"),
];

const QUIC_SPACES: &[Key] = &[
    perhaps("initial", Object(QUIC_COUNTS), "Initial packets"),
    perhaps("handshake", Object(QUIC_COUNTS), "Handshake packets"),
    perhaps("application", Object(QUIC_COUNTS), "1-RTT packets"),
];

const QUIC_COUNTS: &[Key] = &[
    perhaps("sent", Whole, "how many left"),
    perhaps("acknowledged", Whole, "how many of them the target has acknowledged"),
    perhaps(
        "ect0",
        Whole,
        "packets with ECT(0), as the target counts them; absent if it sent no counts",
    ),
    perhaps("ect1", Whole, "packets with ECT(1), as the target counts them"),
    perhaps("ce", Whole, "packets with CE, as the target counts them"),
];

const QUIC_CAME: &[Key] = &[
    perhaps("not_ect", Whole, "without a mark"),
    perhaps("ect0", Whole, "with ECT(0)"),
    perhaps("ect1", Whole, "with ECT(1)"),
    perhaps("ce", Whole, "with CE"),
];

const QUIC_PARAMETERS: &[Key] = &[
    perhaps("grease_quic_bit", Flag, "`true` if the target accepts either value of the fixed bit"),
    perhaps("others", Texts, "the numbers of the first 32 others, in hexadecimal"),
];

const QUIC_CLOSE: &[Key] = &[
    perhaps("code", Whole, "IANA's registry of QUIC transport error codes, or HTTP/3's codes"),
    perhaps("by", Word, "`target` or `us`"),
    perhaps("application", Flag, "whether the code is the application's"),
    perhaps("reason", Octets, "the reason that was given, its first 256 octets"),
];

/// A field of a chain, whose values may be null.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its values are.
    pub shape: Shape,
    /// What it is, for people.
    pub meaning: &'a str,
}

impl Shape {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Text => "text",
            Word => "word",
            Whole | Number => "number",
            Flag => "true or false",
            Time => "RFC 3339, UTC",
            Address => "address",
            Octets => "text or base64",
            List => "list",
            Numbers => "list of numbers",
            Texts => "list of texts",
            TextsByName => "object of texts",
            Anything => "as it came",
            Object(_) => "object",
            Objects(_) => "list of objects",
            OrNull(shape) => match shape {
                Text => "text or null",
                Whole | Number => "number or null",
                Time => "RFC 3339, UTC, or null",
                Address => "address or null",
                Octets => "text, base64 or null",
                other => other.words(),
            },
        }
    }

    /// As JSON Schema says it.
    fn schema(self) -> Value {
        match self {
            Text | Word => json!({"type": "string"}),
            Whole => json!({"type": "integer", "minimum": 0}),
            Number => json!({"type": "number"}),
            Flag => json!({"type": "boolean"}),
            Time => json!({"type": "string", "format": "date-time"}),
            Address => {
                json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})
            }
            Octets => json!({"$ref": "#/$defs/octets"}),
            List => json!({"type": "array"}),
            Numbers => json!({"type": "array", "items": Whole.schema()}),
            Texts => json!({"type": "array", "items": Text.schema()}),
            TextsByName => json!({"type": "object", "additionalProperties": Text.schema()}),
            Anything => json!({}),
            Object(keys) => object(keys),
            Objects(keys) => json!({"type": "array", "items": object(keys)}),
            OrNull(shape) => json!({"anyOf": [shape.schema(), {"type": "null"}]}),
        }
    }
}

/// The JSON Schema (draft 2020-12) of a target's record, whose flows have the fields of these chains.
/// Further keys are allowed everywhere: the job's own, and those of plugins.
pub fn schema<'a>(fields: impl IntoIterator<Item = Field<'a>>) -> Value {
    let mut schema = object(RECORD);
    let mut flow = object(FLOW);
    let more = [
        object(HTTP),
        json!({"properties": {"tls_info": described(object(TLS_INFO), "what TLS came to")}}),
        json!({"properties": {"dns_info": described(object(DNS_INFO), "what DNS came to")}}),
        json!({"properties": {"quic_info": described(object(QUIC_INFO), "what QUIC came to")}}),
    ];
    for more in more {
        extend(&mut flow["properties"], &more["properties"]);
    }
    for Field { name, shape, meaning } in fields {
        // The connection has the say of what both have.
        if flow["properties"].get(name).is_none() {
            let or_null = json!({"anyOf": [shape.schema(), {"type": "null"}]});
            flow["properties"][name] = described(or_null, meaning);
        }
    }
    schema["properties"][names::FLOW_RESULTS]["items"] = flow;
    schema["properties"][names::SCHEMA]["const"] = names::SCHEMA_VERSION.into();
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of pathspider measure",
        "$defs": {"octets": {"anyOf": [
            Text.schema(),
            {"type": "object", "required": ["base64"], "additionalProperties": false,
             "properties": {"base64": {"type": "string", "contentEncoding": "base64"}}},
        ]}},
    });
    extend(&mut schema, &head);
    schema
}

/// An object with these keys.
fn object(keys: &[Key]) -> Value {
    let property = |key: &Key| (key.name.to_owned(), described(key.shape.schema(), key.meaning));
    let required = keys.iter().filter(|key| key.is_always).map(|key| key.name);
    json!({
        "type": "object",
        "required": required.collect::<Vec<_>>(),
        "properties": keys.iter().map(property).collect::<Map<_, _>>(),
    })
}

fn described(mut schema: Value, meaning: &str) -> Value {
    if !meaning.is_empty() {
        schema["description"] = meaning.into();
    }
    schema
}

fn extend(object: &mut Value, more: &Value) {
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
}

/// The rows of a table of Markdown for people. Keys within an object stand after it, with its name
/// before them.
pub fn table(keys: &[Key]) -> String {
    let mut rows = String::from("| key | shape | what it is |\n|---|---|---|\n");
    add_rows("", keys, &mut rows);
    rows
}

fn add_rows(before: &str, keys: &[Key], rows: &mut String) {
    for Key { name, shape, meaning, .. } in keys {
        let has_section = *name == names::FLOW_RESULTS;
        let name = format!("{before}{name}");
        if !meaning.is_empty() {
            let meaning = meaning.replace('|', "\\|");
            *rows += &format!("| `{name}` | {} | {meaning} |\n", shape.words());
        }
        match shape {
            Object(keys) | Objects(keys) | OrNull(Object(keys)) if !has_section => {
                add_rows(&format!("{name}."), keys, rows);
            }
            _ => {}
        }
    }
}
