//! What a capture file has already, when a run goes on with it.
//!
//! A kill or a power cut tears the end: half a packet, zeros. That is cut. Anything else is damage,
//! or somebody else's, and is refused, as it is for records (`output::resume`).

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::{FILE_HEADER, SNAPLEN, header};
use pathspider_runtime::files::{Existing, Opened, TORN, Through, read_through};
use pathspider_runtime::stop::Asked;

const PACKET_HEADER: usize = 16;

/// What a file has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Octets up to the end of the last packet that is whole.
    pub(super) whole: u64,
    /// Octets after them, which are to be cut.
    pub torn: u64,
    /// The link type of its packets, if it has any.
    pub(super) link: Option<u32>,
}

/// Reads a file that is to be continued; any other has nothing.
///
/// # Errors
///
/// The file cannot be read, was not written by this program, or is damaged. `Interrupted` if the run was
/// told to stop meanwhile.
pub fn scan(opened: &Opened, existing: Existing, is_asked: Asked<'_>) -> io::Result<Saved> {
    if existing != Existing::Continue || !opened.regular {
        return Ok(Saved::default());
    }
    let length = opened.file.metadata()?.len();
    read_through(&opened.file, is_asked, |reader| packets(reader, length))
}

fn packets(mut reader: BufReader<Through<'_>>, length: u64) -> io::Result<Saved> {
    let mut head = Vec::new();
    reader.by_ref().take(FILE_HEADER as u64).read_to_end(&mut head)?;
    // All but the link type is always the same.
    let same = head.len().min(FILE_HEADER - 4);
    if head[..same] != header(0)[..same] {
        return Err(io::Error::other("it is no capture that this program wrote"));
    }
    if head.len() < FILE_HEADER {
        return Ok(Saved { torn: length, ..Saved::default() });
    }
    let mut whole = FILE_HEADER as u64;
    let mut packet = [0; PACKET_HEADER];
    while whole + PACKET_HEADER as u64 <= length {
        reader.read_exact(&mut packet)?;
        let Some(size) = size(&packet).filter(|&size| whole + size as u64 <= length) else { break };
        reader.seek_relative((size - PACKET_HEADER) as i64)?;
        whole += size as u64;
    }
    let torn = length - whole;
    if torn > TORN {
        return Err(io::Error::other(format!("it is damaged at octet {whole}")));
    }
    let mut rest = Vec::new();
    reader.seek(SeekFrom::Start(whole))?;
    reader.read_to_end(&mut rest)?;
    if let Some(next) = (1..rest.len()).find(|&at| has_packet(&rest[at..])) {
        let next = whole + next as u64;
        let what = format!("it is damaged at octet {whole}: packets follow at octet {next}");
        return Err(io::Error::other(what));
    }
    if whole == FILE_HEADER as u64 {
        // Without a packet, the link type is but a guess (see `PcapWriter::finish`).
        return Ok(Saved { torn, ..Saved::default() });
    }
    Ok(Saved { whole, torn, link: Some(field(&head, 20)) })
}

/// The octets of a packet that begins here and of its header, if that is one.
fn size(octets: &[u8]) -> Option<usize> {
    let header = octets.get(..PACKET_HEADER)?;
    let (nanoseconds, captured, on_wire) = (field(header, 4), field(header, 8), field(header, 12));
    let sound =
        nanoseconds < 1_000_000_000 && (1..=SNAPLEN).contains(&captured) && captured <= on_wire;
    sound.then_some(PACKET_HEADER + captured as usize)
}

/// Octets up to the end of the last packet that is whole.
pub(super) fn whole_packets(octets: &[u8]) -> usize {
    let mut whole = 0;
    while let Some(size) = size(&octets[whole..]).filter(|&size| whole + size <= octets.len()) {
        whole += size;
    }
    whole
}

/// Whether a packet begins here, after which comes another one or the end. What a torn packet holds
/// looks like that by chance only.
fn has_packet(octets: &[u8]) -> bool {
    let after = size(octets).and_then(|size| octets.get(size..));
    after.is_some_and(|after| after.is_empty() || size(after).is_some())
}

fn field(octets: &[u8], at: usize) -> u32 {
    octets[at..].first_chunk().map_or(0, |field| u32::from_le_bytes(*field))
}
