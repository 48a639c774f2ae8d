//! Targets on the command line.

use pathspider_e2e::{Names, Program, names, network};
use serde_json::Value;

#[test]
fn targets_may_stand_on_the_command_line() {
    let Some(network) = names("words", 2) else { return };
    let all = network.targets();
    let name = Names::name(all[1]);
    let script = format!(
        "exec $PATHSPIDER measure -i lab0 --allow-special ecn --connect tcp {} {name}:80 \
         nobody.invalid {}:81",
        all[0], all[0]
    );
    let end = network.script(&[all[0]], &script, "not read");
    end.expect(9, &["the command line:3: not a job: \"nobody.invalid\" cannot be", "3 targets"]);
    let mut found: Vec<(String, u16)> =
        end.records().into_iter().map(|record| (record.dip, record.dp)).collect();
    found.sort();
    let (one, other) = (all[0].to_string(), all[1].to_string());
    assert_eq!(found, [(one.clone(), 80), (one, 81), (other, 80)]);
}

#[test]
fn both_addresses_of_a_name_are_measured() {
    let Some(network) = names("words-pair", 1) else { return };
    let dns = network.targets()[0];
    // 192.0.2.1 and 2001:db8::1, where nobody is.
    let script = "exec $PATHSPIDER ecn -i lab0 --allow-special --connect tcp --timeout 0.3 \
                  www.example.org 10.255.0.9";
    let end = network.script(&[dns], script, "");
    end.expect(0, &["3 targets"]);
    let mut records = end.records();
    records.sort_by_key(|record| record.dip.clone());
    let dips: Vec<&str> = records.iter().map(|record| &*record.dip).collect();
    assert_eq!(dips, ["10.255.0.9", "192.0.2.1", "2001:db8::1"]);
    let domains = records[1..].iter().map(|record| record.rest["domain"].clone());
    assert!(domains.eq([Value::from("www.example.org"), "www.example.org".into()]));
    let mut ids: Vec<&str> = records.iter().map(|record| &*record.job_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
    // In an input, a name is one target.
    let script = "exec $PATHSPIDER measure -i lab0 --allow-special --resolve ecn --connect tcp \
                  --timeout 0.3";
    network.script(&[dns], script, "www.example.org\n").expect(0, &["1 target "]);
}

#[test]
fn a_terminal_gets_sentences_and_a_pipe_records() {
    let Some(network) = network(1, 0) else { return };
    let ip = network.targets("clean")[0];
    let command = format!("ecn -i {} --allow-special --connect tcp {ip}", network.interface());
    let on_terminal = format!("script -qec \"$PATHSPIDER {command}\" /dev/null");
    let end = network.script(&on_terminal, "");
    assert_eq!(end.status, 0, "{} {}", end.stdout, end.stderr);
    let said = end.stdout.replace('\r', "");
    for line in [
        format!("{ip}, port 80\n"),
        "  ✓ ecn.connectivity.works: ".to_owned(),
        "  no ecn: it worked after ".to_owned(),
        "1 target in".to_owned(),
    ] {
        assert!(said.contains(&line), "{line:?} is not in {said}");
    }
    assert!(!said.contains('{'), "{said}");
    let end = network.script(&format!("exec $PATHSPIDER {command}"), "");
    end.expect(0, &["1 target in"]);
    assert_eq!(end.records()[0].conditions[0], "ecn.connectivity.works");
}

#[test]
fn words_that_are_no_targets_are_refused() {
    Program::run(&["measure", "-i", "lo", "--input", "/etc/hosts", "ecn", "a.example"])
        .expect(2, &["not in both"]);
    Program::run(&["ecn", "-i", "lo", "/etc/hosts"]).expect(2, &["--input /etc/hosts"]);
    Program::run(&["dscp", "-i", "lo", "10.0.0.0/8", "--codepoint", "8", "http://a.example/"])
        .expect(9, &["many addresses", "a.example", "the command line has no targets"]);
}
