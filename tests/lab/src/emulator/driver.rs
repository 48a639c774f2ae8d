//! Owns the thread that joins the engine to the world: it reads the TUN devices, asks the clock,
//! and writes what comes out.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::{Engine, Output, Side};
use crate::error::{Context, Result};
use crate::net::Tun;
use crate::vantage;

/// A running emulator; dropping it stops it.
#[derive(Debug)]
pub struct Driver {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// How often an idle emulator looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// Packets taken from one device before the others have their turn.
const BATCH: usize = 64;
/// More than any packet on a link of 1,500 bytes.
const BUFFER: usize = 65_536;

impl Driver {
    /// Starts it between the devices of the vantage points and those of the servers, by number.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(engine: Engine, vantages: Vec<Tun>, servers: Vec<Tun>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("emulator".into())
            .spawn(move || run(engine, &vantages, &servers, &told))
            .context(|| "start the emulator's thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("pathspider-lab: the emulator stopped early: {error}");
        }
    }
}

fn run(mut engine: Engine, vantages: &[Tun], servers: &[Tun], stop: &AtomicBool) -> Result<()> {
    let began = Instant::now();
    let sides = (0..servers.len()).map(Side::Servers).zip(servers);
    let vantage_sides = vantages.iter().map(|tun| (Side::Vantage, tun));
    let devices: Vec<(Side, &Tun)> = vantage_sides.chain(sides).collect();
    let mut polled: Vec<PollFd<'_>> =
        devices.iter().map(|(_, tun)| PollFd::new(tun.as_fd(), PollFlags::POLLIN)).collect();
    let mut buffer = vec![0; BUFFER];
    let mut out = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let now = began.elapsed();
        let wait = engine.next_due().map_or(TICK, |due| due.saturating_sub(now).min(TICK));
        match ppoll(&mut polled, Some(TimeSpec::from_duration(wait)), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context(|| "wait for packets"),
        }
        engine.advance(began.elapsed(), &mut out);
        deliver(&mut out, vantages, servers);
        for ((side, tun), poll) in devices.iter().zip(&polled) {
            if !poll.any().unwrap_or(false) {
                continue;
            }
            for _ in 0..BATCH {
                let Some(length) = tun.receive(&mut buffer)? else {
                    break;
                };
                engine.receive(began.elapsed(), *side, buffer[..length].to_vec(), &mut out);
                deliver(&mut out, vantages, servers);
            }
        }
    }
    Ok(())
}

fn deliver(out: &mut Vec<Output>, vantages: &[Tun], servers: &[Tun]) {
    for Output { side, packet } in out.drain(..) {
        match (side, vantages) {
            (Side::Vantage, [only]) => only.send(&packet),
            (Side::Vantage, _) => {
                let number = destination(&packet).and_then(vantage::of);
                let device = number.and_then(|number| vantages.get(usize::from(number) - 1));
                if let Some(device) = device {
                    device.send(&packet);
                }
            }
            (Side::Servers(number), _) => servers[number].send(&packet),
        }
    }
}

/// Where a packet goes that the engine has made.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => <[u8; 4]>::try_from(packet.get(16..20)?).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(packet.get(24..40)?).ok().map(IpAddr::from),
    }
}
