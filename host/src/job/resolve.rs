//! Looks names up through the system's resolver, on threads of their own, so that a slow answer
//! delays no other target.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, SendTimeoutError, Sender, bounded};
use pathspider_plugin_api::is_of_no_host;

use super::wrong::{Piece, Wrong};
use crate::route::Routes;

/// Names looked up at the same time: as many as a resolver for a campus answers with ease.
const THREADS: usize = 64;

/// Names that wait for a thread at most; a target takes some hundred octets.
const WAITING: usize = 4096;

/// How often whoever waits looks whether the answers are still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Threads that look names up.
pub(super) struct Resolver<T> {
    names: Option<Sender<(String, T)>>,
    queue: Receiver<(String, T)>,
    threads: Vec<JoinHandle<()>>,
    interface: Option<Arc<str>>,
    which: Which,
    done: Done<T>,
}

/// What takes an answer: the addresses, or why there is none.
type Done<T> = Arc<dyn Fn(T, Result<Found, Wrong>) + Send + Sync>;

/// The addresses of a name.
#[derive(Debug)]
pub(super) struct Found {
    /// Those that are measured: at least one.
    pub(super) addresses: Vec<IpAddr>,
    /// One of a family that there is no route to.
    pub(super) unreachable: Option<IpAddr>,
}

/// Which addresses of a name are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    First,
    /// The first of each version of IP.
    OfEachFamily,
}

impl<T: Send + 'static> Resolver<T> {
    /// A resolver whose answers go to `done`, on its threads. Only addresses that can be reached
    /// from `interface` are taken, where one is named.
    pub(super) fn new(
        interface: Option<&str>,
        which: Which,
        done: impl Fn(T, Result<Found, Wrong>) + Send + Sync + 'static,
    ) -> Resolver<T> {
        let (names, queue) = bounded(WAITING);
        let interface = interface.map(Arc::from);
        let done = Arc::new(done);
        Resolver { names: Some(names), queue, threads: Vec::new(), interface, which, done }
    }

    /// Has a name looked up; waits while too many are, until its answer is `unwanted`.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub(super) fn look_up(
        &mut self,
        name: String,
        target: T,
        unwanted: impl Fn() -> bool,
    ) -> io::Result<()> {
        if self.threads.len() < THREADS {
            self.threads.push(self.start()?);
        }
        let Some(names) = &self.names else { return Ok(()) };
        let mut waiting = (name, target);
        while let Err(SendTimeoutError::Timeout(back)) = names.send_timeout(waiting, LOOK) {
            if unwanted() {
                break;
            }
            waiting = back;
        }
        Ok(())
    }

    fn start(&self) -> io::Result<JoinHandle<()>> {
        let (queue, done) = (self.queue.clone(), Arc::clone(&self.done));
        let (interface, which) = (self.interface.clone(), self.which);
        thread::Builder::new().name("resolver".into()).spawn(move || {
            let routes = Routes::new(interface.as_deref());
            for (name, target) in queue {
                done(target, look_up(&name, &routes, which));
            }
        })
    }

    /// Waits until every name is answered, or until the answers are `unwanted`: what is looked up
    /// then is left.
    pub(super) fn finish(mut self, unwanted: impl Fn() -> bool) {
        self.names = None;
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            if unwanted() {
                while self.queue.try_recv().is_ok() {}
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

/// The addresses of a name that a run with `--resolve` would measure.
///
/// # Errors
///
/// Why there is none, in words.
pub(crate) fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = look_up(name, &Routes::new(None), Which::OfEachFamily);
    found.map(|found| found.addresses).map_err(|wrong| wrong.to_string())
}

/// The first addresses of a name, in the system's order (RFC 6724), that there is a route to.
fn look_up(name: &str, routes: &Routes, which: Which) -> Result<Found, Wrong> {
    let unresolved = |reason: String| Wrong::Unresolved { name: Piece::of(name), reason };
    let found = (name, 0u16).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        let reason = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
        unresolved(format!("cannot be resolved: {reason}"))
    })?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // What filters of names answer for those that they block; no host has it.
    let nobodys = addresses.extract_if(.., |address| is_of_no_host(*address)).last();
    let mut usable = Vec::<IpAddr>::new();
    for &address in addresses.iter().filter(|&&address| routes.way(address).is_ok()) {
        if which == Which::First && !usable.is_empty() {
            break;
        }
        if usable.iter().all(|other| other.is_ipv4() != address.is_ipv4()) {
            usable.push(address);
        }
    }
    if let [first, ..] = usable[..] {
        let is_other = |other: &&IpAddr| other.is_ipv4() != first.is_ipv4();
        let other = addresses.iter().find(is_other).copied();
        let unreachable = other.filter(|_| which == Which::OfEachFamily && usable.len() == 1);
        return Ok(Found { addresses: usable, unreachable });
    }
    Err(match addresses.first() {
        None => unresolved(match nobodys {
            Some(address) => format!("has no address but {address}, which no host has"),
            None => "has no address".to_owned(),
        }),
        Some(first) => {
            let kinds = match (
                addresses.iter().any(IpAddr::is_ipv4),
                addresses.iter().any(IpAddr::is_ipv6),
            ) {
                (true, false) => "only IPv4 addresses",
                (false, true) => "only IPv6 addresses",
                _ => "addresses of both families",
            };
            Wrong::NoRoute { name: Piece::of(name), kinds, address: *first }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn addresses_that_no_host_has_are_no_targets() {
        for text in ["0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1"] {
            let reason = look_up(text, &Routes::new(None), Which::First).unwrap_err().to_string();
            assert!(reason.contains("which no host has"), "{reason}");
        }
    }

    #[test]
    fn every_name_is_answered_once() {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&answers);
        let mut resolver = Resolver::new(None, Which::First, move |n: usize, answer| {
            sink.lock().unwrap().push((n, answer))
        });
        // `localhost` is in the hosts file of every machine; nothing is sent for either.
        for n in 0..200 {
            let name = if n % 2 == 0 { "localhost" } else { "an.empty..label" };
            resolver.look_up(name.to_owned(), n, || false).unwrap();
        }
        resolver.finish(|| false);
        let mut answers = std::mem::take(&mut *answers.lock().unwrap());
        answers.sort_by_key(|(n, _)| *n);
        assert_eq!(answers.len(), 200);
        for (n, answer) in answers {
            match n % 2 {
                0 => assert!(answer.unwrap().addresses[0].is_loopback()),
                _ => assert!(answer.unwrap_err().to_string().contains("cannot be resolved: ")),
            }
        }
    }
}
