//! How an output's file is written: in plain lines, or in compressed frames. All that writing and
//! going on need of a compression stands here.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Frames(Compression),
}

pathspider_plugin_api::variants! {
    /// A compression. Its frames in a row are one file for every reader.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Compression {
        /// RFC 8878.
        Zstd,
        /// RFC 1952. A frame is a member of its file.
        Gzip,
    }
}

impl Codec {
    /// The codec that a file's name asks for.
    pub(crate) fn of(path: &Path) -> Codec {
        let ending = path.extension().and_then(|extension| extension.to_str());
        let compression = Compression::ALL.into_iter().find(|known| Some(known.ending()) == ending);
        compression.map_or(Codec::Plain, Codec::Frames)
    }
}

impl Compression {
    /// What a file's name ends in that asks for it.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Compression::Zstd => "zst",
            Compression::Gzip => "gz",
        }
    }

    /// What a frame begins with.
    pub(super) fn magic(self) -> &'static [u8] {
        match self {
            // RFC 8878, section 3.1.1.
            Compression::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
            // RFC 1952, section 2.3.1, with its only method.
            Compression::Gzip => &[0x1f, 0x8b, 8],
        }
    }

    /// A frame of lines.
    pub(super) fn encode(self, lines: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compression::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                // As gzip has: so that damage is known from a frame that is whole.
                encoder.include_checksum(true)?;
                encoder.compress(lines)
            }
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(lines)?;
                encoder.finish()
            }
        }
    }

    /// Reads one frame into `frame`, in place of what it has.
    pub(super) fn decode(self, reader: impl BufRead, frame: &mut Vec<u8>) -> io::Result<()> {
        frame.clear();
        match self {
            Compression::Zstd => zstd::Decoder::with_buffer(reader)
                .and_then(|decoder| decoder.single_frame().read_to_end(frame)),
            Compression::Gzip => flate2::bufread::GzDecoder::new(reader).read_to_end(frame),
        }?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn each_compression_is_read_by_itself_and_as_an_input() {
        for compression in Compression::ALL {
            let first = compression.encode(b"1\n").unwrap();
            assert!(first.starts_with(compression.magic()), "{compression:?}");
            let both = [first, compression.encode(b"2\n").unwrap()].concat();
            let (mut reader, mut frame) = (both.as_slice(), Vec::new());
            for lines in [b"1\n", b"2\n"] {
                compression.decode(&mut reader, &mut frame).unwrap();
                assert_eq!(frame, lines, "{compression:?}");
            }
            let mut whole = String::new();
            let mut input =
                pathspider_runtime::decompress::by_content(Box::new(Cursor::new(both))).unwrap();
            input.read_to_string(&mut whole).unwrap();
            assert_eq!(whole, "1\n2\n", "{compression:?}");
        }
    }

    #[test]
    fn each_compression_is_documented() {
        let page = include_str!("../../../docs/output.md");
        for compression in Compression::ALL {
            let ending = format!("`.{}`", compression.ending());
            assert!(page.contains(&ending), "docs/output.md has no {ending}");
        }
    }
}
