//! Finds out by content whether what is read is compressed, and how: captures and inputs.

use std::io::{self, Cursor, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// How files of other programs begin.
const OTHERS: [(&[u8], &str); 4] = [
    (&[0x04, 0x22, 0x4d, 0x18], "LZ4"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf", "7z"),
    (&[0x1f, 0x9d], "compress"),
];

/// Memory that a compressed file may have us use at most, which it says itself: more than any
/// usual setting of zstd (`--ultra --long=27`) and xz (`-9`) takes.
const ZSTD_WINDOW_LOG: u32 = 27;
const XZ_MEMORY: u64 = 256 << 20;

/// The reader itself, or one that decompresses what it gives. Reads the first few octets.
///
/// # Errors
///
/// They cannot be read, or are those of a compression that is not known here.
pub fn by_content(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::with_capacity(6);
    (&mut reader).take(6).read_to_end(&mut magic)?;
    let is = |signature| magic.starts_with(signature);
    let (gzip, zstd, xz) = (is(GZIP), is(ZSTD), is(XZ));
    // The digit says how much memory it takes.
    let bzip2 = matches!(magic[..], [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A']);
    let other = OTHERS.iter().find(|(signature, _)| is(signature)).map(|(_, name)| *name);
    if let Some(name) = other.or(bzip2.then_some("bzip2")) {
        let message = format!(
            "it is compressed with {name}; decompress it first (gzip, zstd and xz can be read)"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let whole = Cursor::new(magic).chain(reader);
    Ok(if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else if zstd {
        let mut decoder = zstd::Decoder::new(whole)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        Box::new(decoder)
    } else if xz {
        let stream =
            liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
        Box::new(liblzma::read::XzDecoder::new_stream(whole, stream))
    } else {
        Box::new(whole)
    })
}
