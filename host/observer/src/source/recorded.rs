//! Recorded captures: decompression, then pcap or pcapng by content. What is in a frame is not looked at.

mod buffer;
mod mapped;
mod pcap;
mod pcapng;

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::buffer::{Buffer, Interruptible};
use self::mapped::Mapped;
use self::pcap::{Flavour, Pcap};
use self::pcapng::Pcapng;
use super::batch::Batch;
use super::filter::Filter;
use super::{Frame, Progress, SourceError, SourceOptions};
use pathspider_runtime::{closed, decompress, streams};

/// A recorded capture.
pub(super) struct Recorded {
    format: Format,
    filter: Option<Filter>,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Recorded {
    pub(super) fn file(
        path: PathBuf,
        options: &SourceOptions,
        stop: Arc<AtomicBool>,
    ) -> Result<Recorded, SourceError> {
        let name = path.display().to_string();
        let unreadable = |error: std::io::Error| SourceError::NotReadable {
            path: name.clone(),
            reason: error.to_string(),
        };
        let file = File::open(streams::path(&path)).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(SourceError::NotReadable {
                path: name,
                reason: "it is a directory".into(),
            });
        }
        let leased = if is_capture(&file) { Mapped::lease(file) } else { Err(file) };
        match leased {
            Ok(mapped) => {
                let filter = filter(options)?;
                Recorded::of(Buffer::mapped(mapped, stop, &name), filter)
            }
            // It may be a named pipe, in which nothing comes for long.
            Err(file) => Recorded::new(Box::new(Interruptible::new(file, stop)), &name, options),
        }
    }

    pub(super) fn standard_input(
        options: &SourceOptions,
        stop: Arc<AtomicBool>,
    ) -> Result<Recorded, SourceError> {
        const NAME: &str = "standard input";
        // Without the standard library's buffer: what stands in it would not wake `poll`.
        let input =
            closed::check_input().and_then(|()| streams::input().as_fd().try_clone_to_owned());
        let input = input.map_err(|error| SourceError::NotReadable {
            path: NAME.into(),
            reason: error.to_string(),
        })?;
        let reader = Interruptible::new(File::from(input), stop);
        Recorded::new(Box::new(reader), NAME, options)
    }

    pub(super) fn new(
        reader: Box<dyn Read + Send>,
        name: &str,
        options: &SourceOptions,
    ) -> Result<Recorded, SourceError> {
        let filter = filter(options)?;
        let reader = decompress::by_content(reader).map_err(|error| SourceError::NotReadable {
            path: name.into(),
            reason: error.to_string(),
        })?;
        Recorded::of(Buffer::new(reader, name), filter)
    }

    fn of(mut buffer: Buffer, filter: Option<Filter>) -> Result<Recorded, SourceError> {
        let magic = buffer.peek(4)?.first_chunk().copied().unwrap_or_default();
        let format = match (magic, Flavour::of(magic)) {
            (pcapng::MAGIC, _) => Format::Pcapng(Pcapng::new(buffer)),
            (_, Some(flavour)) => Format::Pcap(Pcap::new(buffer, flavour)?),
            (_, None) => return Err(buffer.not_a_capture()),
        };
        Ok(Recorded { format, filter })
    }

    #[inline]
    pub(super) fn read(
        &mut self,
        on_frames: &mut impl FnMut(&[Frame<'_>]),
    ) -> Result<Progress, SourceError> {
        let Some(filter) = &mut self.filter else {
            return self.format.read(on_frames);
        };
        let mut failure = None;
        let progress = self.format.read(&mut |frames| {
            let mut batch = Batch::new();
            for frame in frames {
                match filter.matches(frame) {
                    Ok(true) => batch.push(*frame, on_frames),
                    Ok(false) => {}
                    Err(error) => failure = Some(error),
                }
            }
            batch.give(on_frames);
        });
        failure.map_or(progress, Err)
    }
}

fn filter(options: &SourceOptions) -> Result<Option<Filter>, SourceError> {
    options.filter.as_deref().map(Filter::new).transpose()
}

/// Whether a file begins like a capture that is not compressed.
fn is_capture(file: &File) -> bool {
    let mut magic = [0; 4];
    let is_there = file.read_exact_at(&mut magic, 0).is_ok();
    is_there && (magic == pcapng::MAGIC || Flavour::of(magic).is_some())
}

impl Format {
    #[inline]
    fn read(&mut self, on_frames: &mut impl FnMut(&[Frame<'_>])) -> Result<Progress, SourceError> {
        match self {
            Format::Pcap(pcap) => pcap.read(on_frames),
            Format::Pcapng(pcapng) => pcapng.read(on_frames),
        }
    }
}
