//! Owns the emulator's own speed: packets a second through a path with one rule, in the engine
//! alone, and from one TUN device to another with everything the kernel adds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;

use crate::emulator::{Driver, Engine, Network, Path, Side};
use crate::error::{Context, Error, Result};
use crate::net::{Namespace, Tun, ip, packets, thread_time};
use crate::scenario::read;

/// A rule that every packet of the engine's test matches, and those of the devices' test do not
/// get past unchanged either.
const RULE: &str = "summary = 'is measured for its speed'\nhops = 1\n\
    [[rule]]\nhop = 1\nmatch = { ecn = ['not-ect'] }\naction = { dscp = 0 }\n";

const TARGET: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

/// Packets a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EmulatorSpeed {
    /// In the engine alone, on one thread.
    pub engine: f64,
    /// From device to device, with the emulator on one thread.
    pub devices: f64,
    /// The same, for each second that the thread had a core: what a core of its own would do.
    pub devices_per_core: f64,
}

/// Measures both, each for `time`.
///
/// # Errors
/// When the devices cannot be made.
pub fn emulator_speed(time: Duration) -> Result<EmulatorSpeed> {
    let engine = engine_speed(time)?;
    let (devices, devices_per_core) = device_speed(time)?;
    Ok(EmulatorSpeed { engine, devices, devices_per_core })
}

fn engine() -> Result<Engine> {
    let scenario = read("speed", "the speed test's scenario", RULE)?;
    let path = Path::new(&scenario, |_| (Ipv4Addr::new(10, 192, 0, 1), Ipv6Addr::LOCALHOST));
    let [first, last] = [0, 255].map(|host| IpAddr::from([10, 64, 0, host]));
    Ok(Engine::new(vec![path], vec![Network { first, last, path: 0, servers: 0 }]))
}

fn engine_speed(time: Duration) -> Result<f64> {
    let mut engine = engine()?;
    let mut syn = Vec::new();
    let step = PacketBuilder::ipv4([10, 0, 0, 2], TARGET.octets(), 64).tcp(4000, 80, 1, 1000);
    step.syn()
        .ece()
        .cwr()
        .write(&mut syn, &[])
        .map_err(|error| Error::invalid("the speed test's packet", error.to_string()))?;
    let (mut count, mut out, began) = (0_u32, Vec::new(), Instant::now());
    while began.elapsed() < time {
        for _ in 0..1000 {
            engine.receive(began.elapsed(), Side::Vantage, syn.clone(), &mut out);
            out.clear();
        }
        count += 1000;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

fn device_speed(time: Duration) -> Result<(f64, f64)> {
    let (near, far) = (Namespace::new("vantage")?, Namespace::new("servers")?);
    let (near_tun, far_tun) = (Tun::new(&near, "lab0")?, Tun::new(&far, "path0")?);
    // The far end has no address and does not forward, so that it drops at once what arrives.
    ip(&near, "addr add 10.0.0.2/24 dev lab0\nroute add default dev lab0\n")?;
    let driver = Driver::start(engine()?, vec![near_tun], vec![far_tun])?;
    let stop = AtomicBool::new(false);
    let rate = thread::scope(|scope| {
        let sender = scope.spawn(|| near.enter(|| send_until(&stop)));
        // The first packets find a link that is not up yet.
        thread::sleep(Duration::from_millis(500));
        let (before, had, began) = (arrived(&far)?, busy()?, Instant::now());
        thread::sleep(time);
        let count = arrived(&far)? - before;
        let rate = (count / began.elapsed().as_secs_f64(), count / (busy()? - had));
        stop.store(true, Ordering::Relaxed);
        let failed = || Error::invalid("the speed test", "its sender failed");
        sender.join().map_err(|_| failed())???;
        Ok(rate)
    });
    drop(driver);
    rate
}

fn send_until(stop: &AtomicBool) -> Result<()> {
    // Many packets to a call, so that sending costs less than what is measured.
    const SIZE: usize = 18;
    const MANY: usize = 60;
    let socket = UdpSocket::bind("10.0.0.2:0").context(|| "send from the vantage point")?;
    socket.connect((TARGET, 9)).context(|| format!("send to {TARGET}"))?;
    setsockopt(&socket, sockopt::UdpGsoSegment, &(SIZE as i32))
        .context(|| "send many packets at once")?;
    while !stop.load(Ordering::Relaxed) {
        // A full queue refuses packets; the next try may find room.
        let _ = socket.send(&[0; SIZE * MANY]);
    }
    Ok(())
}

/// Packets that arrived at the far device so far.
fn arrived(far: &Namespace) -> Result<f64> {
    Ok(far.enter(|| packets("path0"))??.received as f64)
}

/// Seconds of processor time the emulator's thread has had.
fn busy() -> Result<f64> {
    Ok(thread_time(&["emulator"])?.as_secs_f64())
}
