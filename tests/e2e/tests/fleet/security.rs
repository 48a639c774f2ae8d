//! Agents that lie, strangers, and TLS: with a real server's accounts.

use std::fs;
use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use pathspider_e2e::{Program, wait_until};

use super::raw::Raw;
use super::rig::{Fleet, Nats};

const ONE: &str = "name = 'one'\ntargets = 'targets.ndjson'\nallow_special = true\n\
    vantages = ['a', 'b']\n[[measure]]\nplugin = 'dscp'\nconnect = 'tcp'\ntimeout = 2\n";

/// What an agent with the key of `a` can do to the results of `b`, whatever it says.
fn a_place_writes_its_own_results_alone(test: &str, nats: Nats) {
    let Some(fleet) = Fleet::new(test, 4, nats, &["--vantage", "a", "--vantage", "b"]) else {
        return;
    };
    fleet.submit(ONE, "2");
    let mut liar = Raw::connect(&fleet, "a");
    let nobody = "503";
    // Its own, which is none, and once more: the first one stays.
    assert!(liar.request("ps.result.one.a.0.0.0", "noise").contains("\"seq\":1"));
    let again = liar.request("ps.result.one.a.0.0.0", "other noise");
    assert!(again.contains("maximum messages per subject exceeded"), "{again}");
    // Nobody asked for these, and they are not counted.
    for of in ["7.0.0", "0.9.0", "0.0.2", "0.0.4294967296", "x.0.0"] {
        liar.request(&format!("ps.result.one.a.{of}"), "noise");
    }
    // That of another place, what is wanted, and what others say.
    for subject in [
        "ps.result.one.b.0.0.0",
        "ps.holder.b",
        "ps.report.one.b",
        "ps.member.one.b.ready",
        "ps.control.one",
        "ps.board",
        "ps.shard.one.9",
        // Of others' results nothing is read, and nothing is deleted.
        "FL.API.DIRECT.GET.PS_RESULTS.ps.result.one.b.0.0.0",
        "FL.API.STREAM.DELETE.PS_RESULTS",
        "FL.API.STREAM.PURGE.PS_RESULTS",
        "FL.API.STREAM.UPDATE.PS_RESULTS",
        "FL.API.CONSUMER.CREATE.PS_RESULTS",
        "FL.API.STREAM.MSG.DELETE.PS_AGENTS",
    ] {
        let answer = liar.request(subject, "{}");
        assert!(answer.contains(nobody), "{subject}: {answer}");
    }
    for subject in ["$JS.API.STREAM.DELETE.PS_RESULTS", "$JS.API.STREAM.NAMES"] {
        let answer = liar.request(subject, "");
        assert!(answer.contains(nobody) || answer.contains("10039"), "{subject}: {answer}");
    }
    // A reply subject that is another place's: the server would write its answer there.
    for subject in ["FL.API.DIRECT.GET.PS_SHARDS.ps.shard.one.0", "FL.API.STREAM.INFO.PS_RESULTS"] {
        liar.publish(subject, Some("ps.result.one.b.0.0.0"), "");
        liar.publish(subject, Some("ps.control.one"), "");
    }
    // All that it sent was read when this is answered.
    assert!(liar.request("FL.API.DIRECT.GET.PS_CONTROL.ps.board", "").contains("one"));
    let status = fleet.status("one");
    assert_eq!(status["wanted"], "running");
    let results = |place: usize| &status["places"][place]["results"];
    assert_eq!((results(0), results(1)), (&1.into(), &0.into()), "{status}");
    // The results of b are there as ever, and what a sent is left out.
    let agents = [fleet.agent("a", &[]), fleet.agent("b", &[])];
    let output = fleet.folder.join("out");
    let shown = output.display().to_string();
    let end = fleet.patiently(&["collect", "one", "--wait", "--output", &shown]);
    end.expect(9, &["a: time 1, measurement 1, shard 1: the result is left out: it has no head"]);
    assert_eq!(fs::read_dir(output.join("a")).unwrap().count(), 1);
    assert_eq!(super::rig::records(&output.join("b/0001/1-dscp")).len(), 4);
    assert_eq!(super::rig::records(&output.join("a/0001/1-dscp")).len(), 2);
    for agent in agents {
        agent.end();
    }
}

#[test]
fn a_place_writes_its_own_results_alone_with_the_current_server() {
    a_place_writes_its_own_results_alone("fleet-liar", Nats::Current);
}

#[test]
fn a_place_writes_its_own_results_alone_with_debians_server() {
    a_place_writes_its_own_results_alone("fleet-liar-debian", Nats::Debian);
}

#[test]
fn strangers_are_not_let_in_and_the_server_is_known_by_its_certificate() {
    let Some(mut fleet) = Fleet::new("fleet-tls", 2, Nats::Current, &["--vantage", "a"]) else {
        return;
    };
    let folder = fleet.folder.clone();
    let file = |name: &str| folder.join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-days", "2", "-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let nats = file("nats");
    let listen = format!("127.0.0.1:{}", fleet.port());
    fleet.kill_server();
    let words = ["campaign", "server-config", "--output", &nats, "--vantage", "a"];
    let tls = ["--listen", &listen, "--tls-cert", &cert, "--tls-key", &key];
    Program::run(&[&words[..], &tls].concat()).expect(0, &[]);
    fleet.start_server();
    let campaign = fleet.file(&ONE.replace("['a', 'b']", "['a']"));
    // Without its certificate, the server is nobody's that we know.
    fleet.campaign(&["submit", &campaign]).expect(15, &["cannot use the server"]);
    let trust = ["--tls-ca", &cert];
    let submit = ["submit", &campaign];
    fleet.patiently(&[&submit[..], &trust].concat()).expect(0, &["is submitted"]);
    let url = format!("nats://{listen}");
    for more in [vec![], vec!["--nkey", &file("stranger.nk")]] {
        let stranger = "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM";
        fs::write(file("stranger.nk"), stranger).unwrap();
        let words = ["campaign", "status", "one", "--server", &url];
        let end = fleet.network.run(Program::command(&[&words[..], &trust, &more].concat()), "");
        end.expect(15, &["refuses this client"]);
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    }
    // The key of a place is none of whoever submits.
    let words = ["campaign", "cancel", "one", "--server", &url, "--nkey", &file("nats/a.nk")];
    let end = fleet.network.run(Program::command(&[&words[..], &trust].concat()), "");
    end.expect(7, &["there is no campaign one"]);
    let agent = fleet.agent("a", &trust);
    wait_until("the result is there", || {
        let end = fleet.campaign(&[&["status", "one", "--json"][..], &trust].concat());
        end.stdout.contains("\"results\": 1")
    });
    agent.end();
}

/// A token by which one key vouches for another (a JWT of NATS, version 2).
fn token(signer: &KeyPair, subject: &KeyPair, kind: &str, more: &str) -> String {
    let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let header = encoded(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let (by, of) = (signer.public_key(), subject.public_key());
    let nats = format!(r#"{{"type":"{kind}","version":2{more}}}"#);
    let claims = format!(
        r#"{{"jti":"{kind}","iat":1,"iss":"{by}","sub":"{of}","name":"{kind}","nats":{nats}}}"#
    );
    let signed = format!("{header}.{}", encoded(&claims));
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// What an account may do: all, with JetStream or without.
const UNLIMITED: &str = r#""subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1"#;
const STORAGE: &str = r#","mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1"#;

/// What nsc writes for a user of an account.
fn credentials(account: &KeyPair, user: &KeyPair) -> String {
    let limits = r#","subs":-1,"data":-1,"payload":-1,"pub":{},"sub":{}"#;
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(account, user, "user", limits),
        user.seed().unwrap()
    )
}

#[test]
fn files_of_credentials_are_taken_by_a_server_with_an_operator() {
    let Some(mut fleet) = Fleet::new("fleet-creds", 2, Nats::Current, &[]) else { return };
    let (operator, user) = (KeyPair::new_operator(), KeyPair::new_user());
    let (account, system, stranger) =
        (KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_account());
    let of_account = |account, storage| {
        let limits = format!(r#","limits":{{{UNLIMITED}{storage}}}"#);
        token(&operator, account, "account", &limits)
    };
    let configuration = format!(
        "listen: \"127.0.0.1:{}\"\noperator: {}\nsystem_account: {system_key}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {}, {system_key}: {} }}\njetstream {{ store_dir: \"{}\" }}\n",
        fleet.port(),
        token(&operator, &operator, "operator", ""),
        account.public_key(),
        of_account(&account, STORAGE),
        of_account(&system, ""),
        fleet.store().display(),
        system_key = system.public_key(),
    );
    fleet.kill_server();
    fs::write(fleet.configuration(), configuration).unwrap();
    fleet.start_server();
    let file = |name: &str, account| {
        let path = fleet.folder.join(name);
        fs::write(&path, credentials(account, &user)).unwrap();
        path.display().to_string()
    };
    let (ours, theirs) = (file("user.creds", &account), file("stranger.creds", &stranger));
    let given = ["--creds", &ours];
    let campaign = fleet.file(&ONE.replace("['a', 'b']", "['a']"));
    let submit = ["submit", &campaign];
    fleet.patiently(&[&submit[..], &given].concat()).expect(0, &["is submitted"]);
    for more in [&[][..], &["--creds", &theirs]] {
        let end = fleet.campaign(&[&["status", "one"], more].concat());
        end.expect(15, &["it refuses this client: give the right --nkey or --creds"]);
    }
    let end = fleet.campaign(&["status", "one", "--creds", &campaign]);
    end.expect(7, &["campaign.toml has no credentials"]);
    let agent = fleet.agent("a", &given);
    wait_until("the result is there", || {
        let end = fleet.campaign(&[&["status", "one", "--json"][..], &given].concat());
        end.stdout.contains("\"results\": 1")
    });
    agent.end();
}
