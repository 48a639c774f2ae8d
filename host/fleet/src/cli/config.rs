//! `pathspider campaign server-config`: a NATS server's configuration, and the keys of a fleet.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use nkeys::KeyPair;
use pathspider_runtime::text::{is_hidden, path as shown};
use pathspider_runtime::{files, say};

use crate::exit::{Exit, Failure};
use crate::folder;
use crate::server::PREFIX;
use crate::wire::{AGENTS, CONTROL, RESULTS, SHARDS};

/// The file of the configuration, and the name of the key of whoever submits and collects.
const CONFIG: &str = "nats-server.conf";
const COORDINATOR: &str = "coordinator";

/// Octets of a message at the most, which the result of a shard has to fit in.
const MAX_PAYLOAD: u32 = 8 << 20;

/// `pathspider campaign server-config`.
#[derive(Debug, Args)]
#[command(after_help = "\
With --vantage, each place has a key and an account of its own: it can send its own results alone, and nobody \
without a key is let in. Without it, whoever reaches the server may do anything, so it listens on this machine \
alone. The same command with more places keeps the keys that are there.")]
pub(super) struct ConfigArgs {
    /// Write the configuration and the keys into this folder
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// The name of a place; may be given several times
    #[arg(long, value_name = "NAME", value_parser = super::place::place)]
    vantage: Vec<String>,

    /// Where the server listens [default: 0.0.0.0:4222, or 127.0.0.1:4222 without --vantage]
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen)]
    listen: Option<String>,

    /// Where the server keeps what it has [default: DIR/store]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// How large the store may become, such as 500M or 20G
    #[arg(long, value_name = "SIZE", default_value = "10G", value_parser = size)]
    max_store: String,

    /// The server's certificate, as a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, as a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The version of nats-server. 2.9 (Debian 12's) cannot write each message to the disk before it
    /// acknowledges the message
    #[arg(long, value_name = "VERSION", default_value = "2.15", value_parser = ["2.9", "2.15"])]
    nats: String,
}

fn size(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let is_size =
        text.len() - digits.len() <= 1 && digits.parse::<u32>().is_ok_and(|size| size > 0);
    if is_size { Ok(text.to_owned()) } else { Err("write 500M, or 20G".to_owned()) }
}

/// Where a server listens. Whether the address is this machine's, the server says: it may run elsewhere.
fn listen(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    if is_host && is_port { Ok(text.to_owned()) } else { Err("write ADDRESS:PORT".to_owned()) }
}

/// A place, and its public key.
type Place = (String, String);

/// Runs `pathspider campaign server-config`.
pub(super) fn run(arguments: &ConfigArgs) -> Result<Exit, Failure> {
    if arguments.vantage.iter().any(|place| place == COORDINATOR) {
        let message = format!("--vantage: {COORDINATOR} is the name of the submitter's key");
        return Err(Failure::new(Exit::Usage, message));
    }
    for file in [&arguments.tls_cert, &arguments.tls_key].into_iter().flatten() {
        // It may be a file of another machine.
        if file.is_dir() {
            let message = format!("{} is a folder, and a PEM file is wanted", shown(file));
            return Err(Failure::new(Exit::NoInput, message));
        }
    }
    let folder = files::absolute(&arguments.output);
    let unwritable = |error: io::Error| {
        Failure::new(Exit::NoOutput, format!("cannot write to {}: {error}", shown(&folder)))
    };
    folder::make(&folder).map_err(unwritable)?;
    let mut places: Vec<Place> = Vec::new();
    let mut coordinator = None;
    if !arguments.vantage.is_empty() {
        coordinator = Some(key(&folder, COORDINATOR).map_err(unwritable)?);
        for place in &arguments.vantage {
            if !places.iter().any(|(name, _)| name == place) {
                places.push((place.clone(), key(&folder, place).map_err(unwritable)?));
            }
        }
    }
    let text = text(arguments, &folder, coordinator.zip(Some(&*places)))?;
    let file = folder.join(CONFIG);
    files::replace(&file, text.as_bytes(), 0).map_err(unwritable)?;
    say!("start the server: nats-server -c {}", shown(&file));
    Ok(Exit::Finished)
}

/// The public key of a name, whose seed is in the folder from now on at the latest.
fn key(folder: &Path, name: &str) -> io::Result<String> {
    let file = folder.join(format!("{name}.nk"));
    let wrong = |error: nkeys::error::Error| {
        io::Error::other(format!("{} has no seed of a key: {error}", shown(&file)))
    };
    let pair = match fs::read_to_string(&file) {
        Ok(seed) => KeyPair::from_seed(seed.trim()).map_err(wrong)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pair = KeyPair::new_user();
            let seed = pair.seed().map_err(wrong)?;
            // Nobody else may read it.
            let mut new = File::options().write(true).create_new(true).mode(0o600).open(&file)?;
            new.write_all(format!("{seed}\n").as_bytes())?;
            pair
        }
        Err(error) => return Err(error),
    };
    Ok(pair.public_key())
}

/// A text of the configuration's, in quotes.
fn quoted(text: &str) -> Result<String, Failure> {
    if text.contains(is_hidden) || text.contains(['"', '\\']) {
        Err(Failure::new(Exit::Usage, format!("{text:?} cannot stand in a configuration")))
    } else {
        Ok(format!("\"{text}\""))
    }
}

fn quoted_path(path: &Path) -> Result<String, Failure> {
    quoted(&files::absolute(path).to_string_lossy())
}

/// The text of the configuration.
fn text(
    arguments: &ConfigArgs,
    folder: &Path,
    fleet: Option<(String, &[Place])>,
) -> Result<String, Failure> {
    let default = if fleet.is_some() { "0.0.0.0:4222" } else { "127.0.0.1:4222" };
    let listen = quoted(arguments.listen.as_deref().unwrap_or(default))?;
    let store = arguments.store.clone().unwrap_or_else(|| folder.join("store"));
    let (store, size) = (quoted_path(&store)?, &arguments.max_store);
    let sync = match &*arguments.nats {
        "2.9" => {
            "    # This version cannot have each message on the disk before it is acknowledged. Agents keep\n    \
             # their results until they are collected, so a power cut loses none.\n"
        }
        _ => {
            "    # Each message is on the disk before it is acknowledged.\n    sync_interval: always\n"
        }
    };
    let mut text = format!(
        "# A NATS server for pathspider's agents, written by `pathspider campaign server-config`.\n\
         server_name: pathspider\n\
         listen: {listen}\n\
         # The result of a shard is one message.\n\
         max_payload: {MAX_PAYLOAD}\n\
         jetstream {{\n    store_dir: {store}\n    max_file_store: {size}\n{sync}}}\n"
    );
    if let Some((certificate, key)) = arguments.tls_cert.as_ref().zip(arguments.tls_key.as_ref()) {
        let (certificate, key) = (quoted_path(certificate)?, quoted_path(key)?);
        text += &format!("tls {{\n    cert_file: {certificate}\n    key_file: {key}\n}}\n");
    }
    if let Some((coordinator, places)) = fleet {
        text += &accounts(&coordinator, places);
    }
    Ok(text)
}

/// What all places may ask of the fleet's streams: read them, and see which subjects have a message.
fn readable() -> [String; 5] {
    [
        format!("$JS.API.DIRECT.GET.{CONTROL}.>"),
        format!("$JS.API.DIRECT.GET.{SHARDS}.>"),
        format!("$JS.API.DIRECT.GET.{AGENTS}.>"),
        format!("$JS.API.STREAM.INFO.{AGENTS}"),
        format!("$JS.API.STREAM.INFO.{RESULTS}"),
    ]
}

/// What a place may write.
fn writable(place: &str) -> [String; 4] {
    [
        format!("ps.holder.{place}"),
        format!("ps.report.*.{place}"),
        format!("ps.member.*.{place}"),
        format!("ps.result.*.{place}.*.*.*"),
    ]
}

/// That a place has measured all of a campaign.
fn ready(place: &str) -> String {
    format!("ps.member.*.{place}.ready")
}

/// An account for those who submit, and one for each place. The imports of a place are its rights. A limit on
/// what its user may publish is not enough, for a server writes its answer to any reply subject that it is given.
fn accounts(coordinator: &str, places: &[Place]) -> String {
    let mut text =
        "# What a place imports is all that it can do.\naccounts {\n    FLEET {\n".to_owned();
    let all = places.iter().map(|(place, _)| account(place)).collect::<Vec<_>>().join(", ");
    // Writing to a `String` does not fail.
    let _ =
        writeln!(text, "        jetstream: enabled\n        users: [{{ nkey: {coordinator} }}]");
    text += "        exports: [\n";
    for subject in readable() {
        let _ = writeln!(text, "            {{ service: \"{subject}\", accounts: [{all}] }}");
    }
    for (place, _) in places {
        for subject in writable(place).into_iter().chain([ready(place)]) {
            let account = account(place);
            let _ =
                writeln!(text, "            {{ service: \"{subject}\", accounts: [{account}] }}");
        }
    }
    text += "        ]\n    }\n";
    for (place, key) in places {
        let account = account(place);
        let _ = writeln!(text, "    {account} {{\n        users: [{{ nkey: {key} }}]");
        text += "        imports: [\n";
        for subject in readable() {
            let to = subject.replacen("$JS.API", PREFIX, 1);
            let _ = writeln!(
                text,
                "            {{ service: {{ account: FLEET, subject: \"{subject}\" }}, to: \"{to}\" }}"
            );
        }
        for subject in writable(place).into_iter().chain([ready(place)]) {
            let _ = writeln!(
                text,
                "            {{ service: {{ account: FLEET, subject: \"{subject}\" }} }}"
            );
        }
        text += "        ]\n    }\n";
    }
    text + "}\n"
}

/// The account of a place.
fn account(place: &str) -> String {
    format!("\"PLACE_{place}\"")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        arguments: ConfigArgs,
    }

    fn configuration(folder: &Path, words: &[&str]) -> String {
        let output = folder.display().to_string();
        let words = ["x", "--output", &output].into_iter().chain(words.iter().copied());
        run(&Only::parse_from(words).arguments).unwrap();
        fs::read_to_string(folder.join(CONFIG)).unwrap()
    }

    #[test]
    fn keys_stay_and_each_place_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let first = configuration(folder.path(), &["--vantage", "a"]);
        let seed = fs::read_to_string(folder.path().join("a.nk")).unwrap();
        let second = configuration(folder.path(), &["--vantage", "a", "--vantage", "b"]);
        assert_eq!(fs::read_to_string(folder.path().join("a.nk")).unwrap(), seed);
        let public = KeyPair::from_seed(seed.trim()).unwrap().public_key();
        assert!(first.contains(&public) && second.contains(&public) && !second.contains(&seed));
        assert!(first.contains("0.0.0.0:4222") && first.contains("sync_interval: always"));
        // The results of a are b's to write nowhere.
        let of_b = second.split("\"PLACE_b\" {").nth(1).unwrap();
        assert!(of_b.contains("ps.result.*.b.*.*.*") && !of_b.contains("ps.result.*.a."), "{of_b}");
        let mode = std::os::unix::fs::MetadataExt::mode(
            &fs::metadata(folder.path().join("coordinator.nk")).unwrap(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_open_server_listens_here_and_an_old_one_gets_no_word_that_it_does_not_know() {
        let folder = tempfile::tempdir().unwrap();
        let text = configuration(folder.path(), &["--nats", "2.9", "--max-store", "1G"]);
        assert!(text.contains("127.0.0.1:4222") && text.contains("max_file_store: 1G"), "{text}");
        assert!(!text.contains("sync_interval") && !text.contains("accounts"), "{text}");
        for (text, is_good) in [
            ("0.0.0.0:4222", true),
            ("[::1]:4222", true),
            ("nats.example:1", true),
            ("::1:4222", false),
            ("nats.example", false),
            (":4222", false),
            ("4222", false),
            ("1.2.3.4:0", false),
            ("", false),
        ] {
            assert_eq!(listen(text).is_ok(), is_good, "{text}");
        }
        for (size_text, is_good) in [("1G", true), ("500M", true), ("", false), ("1X", false)] {
            assert_eq!(size(size_text).is_ok(), is_good, "{size_text}");
        }
    }
}
