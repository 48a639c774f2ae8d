//! Lists as other programs write them, what comes back of their keys, and what is said of bad lines.

use std::fs;

use pathspider_e2e::{names, network, temp_dir};
use serde_json::Value;

use super::{ECN, measure};

#[test]
fn lists_of_other_programs_are_measured_where_they_say() {
    let Some(network) = network(1, 0) else { return };
    let ip = network.targets("clean")[0];
    let lines = [
        format!("{{\"dip\":\"{ip}\",\"port\":81}}"),
        format!("{{\"IP\":\"{ip}\",\"Port\":\"81\"}}"),
        format!("{{\"dip\":\"{ip}:81\"}}"),
        format!("{{\"saddr\":\"{ip}\",\"sport\":81,\"dport\":4000}}"),
        "[".to_owned(),
        format!("{{   \"ip\": \"{ip}\",   \"ports\": [ {{\"port\": 81, \"proto\": \"tcp\"}} ] }}"),
        ",".to_owned(),
        format!("{{\"ip\":\"{ip}\",\"ports\":[{{\"port\":81}}] }},"),
        "]".to_owned(),
        format!("{{\"ip\":\"{ip}\",\"data\":{{\"http\":{{\"port\":81,\"result\":{{}}}}}}}}"),
        "# a comment".to_owned(),
        format!("{ip}:81"),
        format!("{ip}:81 # the gateway"),
        format!("{ip},81"),
        format!("{ip},81,"),
        format!("{ip}\t81"),
        format!("{ip},a.example,tag,81"),
        format!("open tcp 81 {ip} 1600000000"),
        format!("Timestamp: 1600000000\tHost: {ip} ()\tPorts: 81/open/tcp//http//"),
        format!("::ffff:{ip},81"),
    ];
    let targets = lines.iter().filter(|line| line.len() > 1 && !line.starts_with('#')).count();
    let end = measure(&network, &["--duplicates"], &(lines.join("\n") + "\n"));
    end.expect(0, &[&format!("{targets} targets")]);
    for record in end.records() {
        let at = record.path.last().cloned();
        assert_eq!((at, record.dp), (Some(ip.to_string()), 81), "{record:?}");
    }
    let headers = format!("# targets of spring\n\nip,port\n{ip},81\n");
    let end = measure(&network, &[], &headers);
    end.expect(0, &["1 target "]);
    assert_eq!(end.records()[0].dp, 81);
    let refused = format!("{ip},a\nfoo,{ip}\n{ip}/32\na.example,80\n");
    let end = measure(&network, &[], &refused);
    end.expect(9, &["input:1: not a job", "input:3: not a job", "standard input has no targets"]);
    assert!(end.records().is_empty(), "{}", end.stdout);
}

#[test]
fn keys_come_back_to_the_letter() {
    let Some(network) = network(1, 0) else { return };
    let ip = network.targets("clean")[0];
    let keys = format!(
        "{{\"dip\":\"{ip}\",\"id\":12345678901234567890123,\"n\":1e2,\"f\":1.10,\"z\":-0,\"t\":1e-401,\
         \"a\":1,\"a\":2,\"\\u0061b\":\"\\/\",\"l\":[1.0, 2]"
    );
    for more in [&[][..], &["--shuffle"], &["--output-flows"]] {
        let end = measure(&network, more, &format!("{keys}}}\n"));
        end.expect(0, &["1 target "]);
        assert!(end.stdout.starts_with(&format!("{keys},\"dp\":80,\"sip\":")), "{}", end.stdout);
    }
    let picked = network.script("$PATHSPIDER filter --keys f,id,a", &format!("{keys}}}\n"));
    let kept = "{\"id\":12345678901234567890123,\"f\":1.10,\"a\":1,\"a\":2}\n";
    assert_eq!(picked.stdout, kept, "{}", picked.stderr);
}

#[test]
fn names_in_other_scripts_are_sent_as_the_dns_has_them() {
    let Some(network) = network(1, 0) else { return };
    let ip = network.targets("clean")[0];
    let pcap = temp_dir("idn").join("http.pcap");
    let input = format!("{{\"dip\":\"{ip}\",\"domain\":\"münchen.example\"}}\n");
    let arguments = ["--save-pcap", pcap.to_str().unwrap(), "ecn", "--connect", "http"];
    let end = network.measure(&arguments, &input);
    end.expect(0, &["1 target "]);
    let ascii = "xn--mnchen-3ya.example";
    let start = input.trim_end().trim_end_matches('}').to_owned();
    let start = format!("{start},\"domain_ascii\":\"{ascii}\",\"dp\":80,");
    assert!(end.stdout.starts_with(&start), "{}", end.stdout);
    let packets = fs::read(pcap).unwrap();
    let host = format!("\r\nhost: {ascii}\r\n").into_bytes();
    let has = packets.windows(host.len()).any(|octets| octets.eq_ignore_ascii_case(&host));
    assert!(has, "no request for {ascii}");
    let again = network.measure(&["ecn", "--connect", "tcp"], &end.stdout);
    again.expect(0, &["1 target "]);
    assert!(again.stdout.starts_with(&start), "{}", again.stdout);

    let Some(network) = names("idn-names", 1) else { return };
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special --resolve ecn --connect tcp \
                  --timeout 0.3";
    let end = network.script(&[network.targets()[0]], script, "7,MÜNCHEN.example\n");
    end.expect(0, &["1 target "]);
    let record = &end.records()[0];
    let text = |key: &str| record.rest.get(key).and_then(Value::as_str);
    assert_eq!((&*record.dip, text("domain")), ("10.255.0.2", Some("MÜNCHEN.example")));
    assert_eq!(text("domain_ascii"), Some(ascii));
}

#[test]
fn lines_that_are_wrong_alike_are_summed_up() {
    let Some(network) = network(1, 0) else { return };
    let lines: String = (0..10).map(|n| format!("10.0.0.{n}/24\n")).collect();
    let end = measure(&network, &[], &lines);
    end.expect(
        9,
        &[
            "standard input:1: not a job: \"10.0.0.0/24\" stands for many addresses",
            "standard input: 9 more lines, the last of them line 10, are not jobs for the reason of",
            "standard input has no targets: no line of it is one",
            "10 lines were not jobs",
        ],
    );
    assert_eq!(end.stderr.matches("/24").count(), 1, "{}", end.stderr);
    measure(&network, &[], "").expect(0, &["standard input is empty: there is nothing to measure"]);
    let nothing = "# only\n\nip,port\n";
    measure(&network, &[], nothing).expect(0, &["standard input has no targets, only blank lines"]);
    let folder = temp_dir("no-text");
    for (name, content, word) in [
        ("a.bz2", &b"BZh91AY&SY"[..], "compressed with bzip2; decompress it first"),
        ("a.zip", b"PK\x03\x04\x14\0", "compressed with zip"),
    ] {
        let file = folder.join(name);
        fs::write(&file, content).unwrap();
        let input = ["--input", file.to_str().unwrap()];
        network.measure(&[&input[..], &ECN].concat(), "").expect(7, &[word]);
    }
    let file = folder.join("utf-16");
    let text = format!("\u{feff}ip,port\r\n{},81\r\n", network.targets("clean")[0]);
    fs::write(&file, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let end = network.measure(&[&["--input", file.to_str().unwrap()][..], &ECN].concat(), "");
    end.expect(0, &["1 target "]);
    assert_eq!(end.records()[0].dp, 81);
}
