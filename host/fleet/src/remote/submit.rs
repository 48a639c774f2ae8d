//! Submits a campaign: its targets in shards, what it is, and what is wanted of it, in this order. Killed at
//! any moment, the same command puts there what is missing.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use pathspider_runtime::decompress;
use pathspider_runtime::text::path as shown;

use super::{announce, json, no_output};
use crate::campaign::Campaign;
use crate::exit::{Exit, Failure};
use crate::program::Program;
use crate::server::{Put, Server};
use crate::targets;
use crate::wire::{self, CONTROL, Control, Definition, MOST_SHARDS, SHARDS, VERSION, Wanted};

/// How hard shards are compressed.
const LEVEL: i32 = 3;

/// Records of a result at the most, where nobody says how many targets a shard has: a result is one message.
/// Those with the results of each connection are large.
const MOST_RECORDS: u64 = 10_000;
const MOST_WITH_FLOWS: u64 = 1000;

/// What was submitted.
pub(crate) struct Submitted {
    pub(crate) targets: u64,
    pub(crate) shards: u64,
    pub(crate) has_bad_lines: bool,
}

/// Puts a campaign on a server, with this many targets in a shard where `size` says. `plugins`: the version of each
/// measurement's plugin, where it is here.
///
/// # Errors
///
/// There is another one of this name, or the server refuses.
pub(crate) async fn submit(
    server: &Server,
    program: &Program,
    (campaign, text): (&Campaign, &str),
    plugins: Vec<Option<String>>,
    size: Option<usize>,
) -> Result<Submitted, Failure> {
    let made = tempfile::Builder::new().prefix("pathspider-").suffix(".ndjson.zst").tempfile();
    let file = made.map_err(|error| no_output("cannot make a file for the targets", &error))?;
    let gathered = targets::gather(program, campaign, file.path())?;
    let size = size.unwrap_or_else(|| usual_size(campaign, gathered.count));
    let shards = gathered.count.div_ceil(size as u64);
    if shards > MOST_SHARDS as u64 {
        let message = format!("{shards} shards are too many: give a larger --shard than {size}");
        return Err(Failure::new(Exit::Usage, message));
    }
    let blocklist = read_blocklists(campaign)?;
    server.prepare().await?;
    let name = &campaign.name;
    let unreadable = |error: io::Error| no_output("cannot read what was written", &error);
    let mut pieces = Pieces::open(file.path(), size).map_err(unreadable)?;
    let mut sums = Vec::new();
    while let Some(piece) = pieces.next().map_err(unreadable)? {
        let sum = wire::digest(&piece);
        let most = server.longest().saturating_sub(1024);
        if piece.len() > most {
            let message = format!(
                "a shard of {size} targets has {} octets, and the server takes {most}: give a smaller \
                 --shard",
                piece.len()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        let subject = wire::shard(name, sums.len() as u32);
        if server.put(subject.clone(), piece, 0).await? == Put::Taken {
            let there = server.get(SHARDS, subject).await?;
            if there.is_none_or(|there| wire::digest(&there.payload) != sum) {
                return Err(taken(name));
            }
        }
        sums.push(sum);
    }
    let definition = Definition {
        version: VERSION,
        text: text.to_owned(),
        plugins,
        shards: sums,
        targets: gathered.count,
        has_bad_lines: gathered.has_bad_lines,
    };
    if server.put(wire::campaign(name), json(&definition)?, 0).await? == Put::Taken {
        let there = server.get(CONTROL, wire::campaign(name)).await?;
        let there = there.and_then(|there| Definition::read(&there.payload, name).ok());
        if there.is_none_or(|(there, _)| there != definition) {
            return Err(taken(name));
        }
    }
    let control = Control { version: VERSION, wanted: Wanted::Running, blocklist };
    // What somebody has said of it since stays.
    server.put(wire::control(name), json(&control)?, 0).await?;
    announce(server, name).await?;
    Ok(Submitted {
        targets: definition.targets,
        shards: definition.shards.len() as u64,
        has_bad_lines: definition.has_bad_lines,
    })
}

/// How many targets a shard has, where nobody says. Each costs an agent the start of a run, and a turn of all
/// places where these take turns; but the more there are, the sooner a result is there.
fn usual_size(campaign: &Campaign, targets: u64) -> usize {
    let has_flows = campaign.measures.iter().any(|measure| measure.flows);
    let rounds = campaign.measures.iter().filter_map(|measure| measure.rounds).max().unwrap_or(1);
    let most = if has_flows { MOST_WITH_FLOWS } else { MOST_RECORDS };
    let most = (most / u64::from(rounds).max(1)).max(10);
    let courtesy = &campaign.courtesy;
    let takes_turns = courtesy.per_target_rate.is_some() || courtesy.prefix_spacing.is_some();
    let size = if takes_turns { most } else { (targets / 20).clamp(1000.min(most), most) };
    size as usize
}

fn taken(name: &str) -> Failure {
    let message = format!(
        "the server has another campaign of the name {name}, and the results of both would be mixed: \
         choose another name"
    );
    Failure::new(Exit::Usage, message)
}

/// The blocklists of a campaign as one text.
fn read_blocklists(campaign: &Campaign) -> Result<String, Failure> {
    campaign.courtesy.blocklists.iter().map(|file| read_blocklist(file)).collect()
}

/// # Errors
///
/// It cannot be read.
fn read_blocklist(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read the blocklist {}: {error}", shown(file));
        Failure::new(Exit::NoInput, message)
    })?;
    Ok(text + "\n")
}

/// Shards of targets, compressed.
struct Pieces {
    reader: BufReader<Box<dyn io::Read + Send>>,
    size: usize,
}

impl Pieces {
    fn open(path: &Path, size: usize) -> io::Result<Pieces> {
        let content = decompress::by_content(Box::new(File::open(path)?))?;
        Ok(Pieces { reader: BufReader::with_capacity(1 << 16, content), size })
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        for _ in 0..self.size {
            if self.reader.read_until(b'\n', &mut lines)? == 0 {
                break;
            }
        }
        if lines.is_empty() { Ok(None) } else { zstd::bulk::compress(&lines, LEVEL).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_grow_with_their_number_and_results_stay_small() {
        let of = |more: &str, targets| {
            let text = format!("name = 'x'\ntargets = 't'\n{more}[[measure]]\nplugin = 'ecn'\n");
            let campaign = Campaign::parse(&text, Path::new("/")).unwrap();
            usual_size(&campaign, targets)
        };
        for (targets, size) in
            [(1, 1000), (20_000, 1000), (100_000, 5000), (1_000_000, 10_000), (1 << 40, 10_000)]
        {
            assert_eq!(of("", targets), size);
        }
        assert_eq!(of("prefix_spacing = 1\n", 1), 10_000);
        let flows = "[[measure]]\nplugin = 'ecn'\nflows = true\n";
        assert_eq!(of(flows, 1_000_000), 1000);
        let rounds = "[[measure]]\nplugin = 'ecn'\nrounds = 100\n";
        assert_eq!(of(rounds, 1_000_000), 100);
        assert_eq!(of(&rounds.replace("100", "10000"), 1_000_000), 10);
    }

    #[test]
    fn shards_are_all_targets_in_their_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "a\nb\nc\nd\ne\n").unwrap();
        let mut pieces = Pieces::open(file.path(), 2).unwrap();
        let mut read = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            read.push(String::from_utf8(zstd::bulk::decompress(&piece, 100).unwrap()).unwrap());
        }
        assert_eq!(read, ["a\nb\n", "c\nd\n", "e\n"]);
    }
}
