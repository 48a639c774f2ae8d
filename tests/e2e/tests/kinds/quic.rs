//! The kind `quic`: handshakes and pages by HTTP/3, what is known of them, and answers that are none.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pathspider_e2e::{FlowResult, python_with, skipped, temp_dir, wait_until};
use pathspider_lab::scenario::{Mirrored, Quic, Server};
use pathspider_plugin_api::packet::quic::{
    LongHeader, RESERVED_VERSION, VERSION_1, VERSION_2, probe,
};
use serde_json::{Value, json};

use super::place::{Place, place};
use super::{carried, failure};

/// The number that a flow result has there.
fn count(result: &FlowResult, pointer: &str) -> Option<u64> {
    let info = result.rest.get("quic_info").unwrap_or(&Value::Null);
    info.pointer(pointer).and_then(Value::as_u64)
}

/// A place whose server speaks QUIC like this.
fn spoken(test: &str, quic: Quic) -> Option<Place> {
    place(test, &Server { quic, ..Server::default() })
}

#[test]
fn a_handshake_brings_a_page_and_what_the_packets_came_to() {
    let Some(place) = spoken("quic", Quic::default()) else { return };
    let plain = place.result("quic", 443, &[]);
    assert_eq!(failure(&plain), (0, "none", "none"), "{plain:?}");
    assert_eq!(plain.rest["http_response_code"], 200);
    assert_eq!(plain.rest["http_response_body"], "pathspider lab, HTTP/3.0.\n");
    assert_eq!(plain.rest["http_info"], json!({"version": "HTTP/3.0", "body_truncated": false}));
    let tls = &plain.rest["tls_info"];
    assert_eq!((&tls["version"], &tls["alpn"]), (&json!("TLSv1.3"), &json!("h3")));
    assert_eq!(
        (&tls["sni"], &tls["certificate"]["names"]),
        (&json!("lab.example"), &json!(["lab.example"]))
    );
    let info = &plain.rest["quic_info"];
    assert_eq!((&info["version"], &info["retry"]), (&json!("0x00000001"), &json!(false)));
    assert_eq!((&info["versions"], &info["close"]), (&Value::Null, &Value::Null));
    assert_eq!(info["parameters"]["grease_quic_bit"], true);
    assert!(info["parameters"]["initial_max_data"].as_u64() > Some(0));
    assert!(count(&plain, "/handshake_us") > Some(0));
    // Without a mark, nobody counts any.
    assert!(count(&plain, "/ecn/initial/acknowledged") > Some(0));
    assert_eq!(count(&plain, "/ecn/initial/ect0"), None);
    assert_eq!((count(&plain, "/greased"), count(&plain, "/ignored")), (None, None));
    for (mark, name) in [("2", "ect0"), ("1", "ect1"), ("3", "ce")] {
        let marked = place.result("quic", 443, &["--ecn", mark]);
        assert_eq!(failure(&marked), (0, "none", "none"), "{marked:?}");
        assert_eq!(marked.rest[&format!("ecn_{name}_data_fwd")], true, "{marked:?}");
        for space in ["initial", "application"] {
            let [sent, acknowledged, counted] = ["sent", "acknowledged", name]
                .map(|key| count(&marked, &format!("/ecn/{space}/{key}")).unwrap());
            assert!(0 < acknowledged && acknowledged <= sent, "{marked:?}");
            assert!(acknowledged <= counted && counted <= sent, "{marked:?}");
        }
    }
}

#[test]
fn servers_that_mirror_no_marks_or_demand_a_token_are_known() {
    let Some(place) =
        spoken("quic-odd", Quic { ecn: Mirrored::None, retry: true, ..Quic::default() })
    else {
        return;
    };
    let result = place.result("quic", 443, &["--ecn", "2"]);
    assert_eq!(failure(&result), (0, "none", "none"), "{result:?}");
    assert_eq!(result.rest["quic_info"]["retry"], true);
    assert!(count(&result, "/ecn/application/acknowledged") > Some(0));
    assert_eq!(count(&result, "/ecn/application/ect0"), None);
}

#[test]
fn a_server_that_grants_no_stream_holds_up_nobody() {
    let Some(place) = spoken("quic-streams", Quic { streams: false, ..Quic::default() }) else {
        return;
    };
    let result = place.result("quic", 443, &["--timeout", "0.5"]);
    assert_eq!((failure(&result), carried(&result)), ((2, "timeout", "request"), Some(true)));
}

#[test]
fn the_fixed_bit_is_cleared_where_the_server_takes_that() {
    for (test, grease) in [("quic-greased", true), ("quic-fixed", false)] {
        let Some(place) = spoken(test, Quic { grease, ..Quic::default() }) else { return };
        let result = place.result("quic", 443, &["--grease"]);
        assert_eq!(failure(&result), (0, "none", "none"), "{result:?}");
        assert_eq!(count(&result, "/greased").is_some(), grease, "{result:?}");
    }
}

#[test]
fn what_a_server_does_not_speak_is_said() {
    let Some(place) = spoken("quic-words", Quic::default()) else { return };
    let reserved = RESERVED_VERSION.to_string();
    let asked = place.result("quic", 443, &["--quic-version", &reserved]);
    assert_eq!((failure(&asked), carried(&asked)), ((0, "none", "none"), Some(true)));
    let info = &asked.rest["quic_info"];
    assert_eq!(info["version"], "0x1a2a3a4a");
    assert!(info["versions"].as_array().unwrap().contains(&json!("0x00000001")), "{info}");
    let short = ["--quic-version", &reserved, "--padding", "1199", "--timeout", "0.5"];
    let short = place.result("quic", 443, &short);
    assert_eq!((failure(&short), carried(&short)), ((2, "timeout", "request"), Some(false)));
    let other = place.result("quic", 443, &["--quic-version", &VERSION_2.to_string()]);
    assert_eq!((failure(&other), carried(&other)), ((1, "no_version", "tls"), Some(true)));
    assert_eq!(other.rest["quic_info"]["version"], "0x6b3343cf");
    assert!(count(&other, "/versions_total") > Some(1), "{other:?}");
    let alpn = place.result("quic", 443, &["--alpn", "carrier-pigeon"]);
    assert_eq!((failure(&alpn), carried(&alpn)), ((1, "tls_alert", "tls"), Some(true)));
    assert_eq!(alpn.rest["tls_info"]["alert"], 120);
    assert_eq!(count(&alpn, "/close/code"), Some(0x100 + 120));
    assert_eq!(alpn.rest["quic_info"]["close"]["by"], "target");
}

#[test]
fn nobody_there_has_its_words_over_quic_too() {
    let Some(place) = spoken("quic-nobody", Quic { listening: false, ..Quic::default() }) else {
        return;
    };
    let refused = place.result("quic", 443, &[]);
    assert_eq!(failure(&refused), (1, "port_unreachable", "connect"), "{refused:?}");
    place.script(
        "nft add table inet t; nft add chain inet t i '{ type filter hook input priority 0; }'; \
         nft add rule inet t i udp dport 10 drop; \
         nft add chain inet t o '{ type filter hook output priority 0; }'; \
         nft add rule inet t o udp dport 12 drop",
    );
    let dead = place.result("quic", 10, &["--timeout", "0.3"]);
    assert_eq!((failure(&dead), carried(&dead)), ((2, "timeout", "connect"), Some(false)));
    let prohibited = place.result("quic", 12, &[]);
    assert_eq!(failure(&prohibited), (1, "prohibited", "connect"));
}

/// What answers a first datagram with these connection IDs.
type Answer = fn(&LongHeader<'_>) -> Vec<u8>;

/// A list of this many versions for a datagram.
fn versions(asked: &LongHeader<'_>, count: usize) -> Vec<u8> {
    let list = RESERVED_VERSION.to_be_bytes().repeat(count);
    [probe(0, asked.source(), asked.destination(), 0), list].concat()
}

#[test]
fn only_who_has_read_ours_has_answered() {
    let Some(place) = spoken("quic-forged", Quic::default()) else { return };
    // What anybody can send, and what answers another connection.
    let forged: [Answer; 7] = [
        |asked| versions(asked, 0),
        |asked| [versions(asked, 3), vec![0]].concat(),
        |asked| [probe(0, asked.source(), &[9; 8], 0), vec![1, 2, 3, 4]].concat(),
        |asked| [probe(0, &[9; 8], asked.destination(), 0), vec![1, 2, 3, 4]].concat(),
        // An Initial that opens with nobody's keys, and a Retry with a wrong tag.
        |asked| [probe(1, asked.source(), &[9; 8], 0), vec![0, 0x44, 0x9e], vec![7; 1182]].concat(),
        |asked| {
            let mut retry = [probe(1, asked.source(), &[9; 8], 0), vec![5; 40]].concat();
            retry[0] = 0xf0;
            retry
        },
        |_| vec![0x40; 1200],
    ];
    for (place_of, answer) in forged.into_iter().enumerate() {
        let port = place.udp(move |asked| match LongHeader::read(asked) {
            Some(header) => answer(&header),
            None => Vec::new(),
        });
        let result = place.result("quic", port, &["--timeout", "0.5"]);
        assert_eq!(failure(&result), (2, "timeout", "connect"), "{place_of}: {result:?}");
        assert_eq!(carried(&result), Some(false), "{place_of}");
    }
}

#[test]
fn a_list_of_versions_without_end_is_cut() {
    let Some(place) = spoken("quic-endless", Quic::default()) else { return };
    let port = place.udp(|asked| match LongHeader::read(asked) {
        Some(header) => versions(&header, 16_000),
        None => Vec::new(),
    });
    let result = place.result("quic", port, &[]);
    assert_eq!((failure(&result), carried(&result)), ((1, "no_version", "tls"), Some(true)));
    assert_eq!(count(&result, "/versions_total"), Some(16_000));
    assert_eq!(result.rest["quic_info"]["versions"].as_array().map(Vec::len), Some(64));
}

/// A server of another make, in a place's namespace; it ends with this.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one in Python; `None`, after saying so, where it cannot be had.
fn aioquic(place: &Place, port: u16) -> Option<Other> {
    let python = python_with(Path::new(env!("CARGO_TARGET_TMPDIR")), "aioquic", "aioquic==1.*")?;
    let mut command = Command::new(python);
    let source = include_str!("aioquic.py");
    command.args(["-c", source, &port.to_string()]).stdout(Stdio::piped());
    place.namespace.place(&mut command);
    let mut server = Other(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Some(server)
}

/// Starts the one in C that comes with ngtcp2; `None`, after saying so, where it is not installed.
fn ngtcp2(place: &Place, port: u16) -> Option<Other> {
    const PROGRAM: &str = "/usr/sbin/gtlsserver";
    if !Path::new(PROGRAM).exists() {
        skipped(format!("there is no {PROGRAM} (`make quic-server`)"));
        return None;
    }
    let folder = temp_dir("ngtcp2");
    std::fs::create_dir(folder.join("page")).unwrap();
    std::fs::write(folder.join("page/index.html"), "ngtcp2\n").unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-keyout", "key", "-out", "certificate", "-subj", "/CN=ngtcp2.example"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut command = Command::new(PROGRAM);
    command.args([
        "--quiet",
        "--htdocs=page",
        "127.0.0.1",
        &port.to_string(),
        "key",
        "certificate",
    ]);
    command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
    place.namespace.place(&mut command);
    let server = Other(command.spawn().unwrap());
    let sockets = format!("/proc/{}/net/udp", server.0.id());
    let bound = format!(":{port:04X} ");
    wait_until("ngtcp2's server listens", || {
        std::fs::read_to_string(&sockets).is_ok_and(|sockets| sockets.contains(&bound))
    });
    Some(server)
}

/// What a server of another make is like.
struct Make {
    start: fn(&Place, u16) -> Option<Other>,
    page: &'static str,
    /// The versions of QUIC that it speaks.
    versions: &'static [u32],
    /// Whether it tells which marks arrive.
    mirrors: bool,
    /// Whether it takes packets without the fixed bit.
    greases: bool,
}

/// As `docs/measurements/quic.md` has them, beside the lab's own server.
const AIOQUIC: Make = Make {
    start: aioquic,
    page: "aioquic\n",
    versions: &[VERSION_1, VERSION_2],
    mirrors: false,
    greases: false,
};
const NGTCP2: Make =
    Make { start: ngtcp2, page: "ngtcp2\n", versions: &[VERSION_1], mirrors: true, greases: true };

/// Speaks with it as each make has to be spoken with.
fn speak(test: &str, make: &Make) {
    const PORT: u16 = 4433;
    let Some(place) = spoken(test, Quic::default()) else { return };
    let Some(_server) = (make.start)(&place, PORT) else { return };
    for version in make.versions {
        let number = version.to_string();
        let page = place.result("quic", PORT, &["--quic-version", &number, "--ecn", "2"]);
        assert_eq!(failure(&page), (0, "none", "none"), "{page:?}");
        assert_eq!(page.rest["http_response_body"], make.page);
        assert_eq!(page.rest["quic_info"]["version"], format!("{version:#010x}"));
        let acknowledged = count(&page, "/ecn/application/acknowledged");
        let counted = count(&page, "/ecn/application/ect0");
        assert!(acknowledged > Some(0), "{page:?}");
        assert_eq!(counted.is_some(), make.mirrors, "{page:?}");
        assert!(counted.is_none() || counted >= acknowledged, "{page:?}");
    }
    let greased = place.result("quic", PORT, &["--grease"]);
    assert_eq!(failure(&greased), (0, "none", "none"), "{greased:?}");
    assert_eq!(count(&greased, "/greased").is_some(), make.greases, "{greased:?}");
    let alpn = place.result("quic", PORT, &["--alpn", "carrier-pigeon"]);
    assert_eq!((failure(&alpn), carried(&alpn)), ((1, "tls_alert", "tls"), Some(true)), "{alpn:?}");
    let reserved = RESERVED_VERSION.to_string();
    let asked = place.result("quic", PORT, &["--quic-version", &reserved]);
    assert_eq!(failure(&asked), (0, "none", "none"), "{asked:?}");
    let named = asked.rest["quic_info"]["versions"].as_array().unwrap();
    for version in make.versions {
        assert!(named.contains(&json!(format!("{version:#010x}"))), "{named:?}");
    }
}

#[test]
fn a_server_in_python_is_understood() {
    speak("quic-aioquic", &AIOQUIC);
}

#[test]
fn a_server_in_c_is_understood() {
    speak("quic-ngtcp2", &NGTCP2);
}
