//! Asks the servers for a name until one answers: again, and each of them.

use std::cell::Cell;
use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_proto::rr::{Name, RecordType};
use tokio::time::{Instant, sleep_until};

use crate::answer::{Answer, answer};
use crate::course::{Course, Try};
use crate::exchange::{Question, Way, exchange};
use crate::reason::Reason;
use crate::servers::Servers;

/// How many aliases are followed that a server does not follow by itself.
const ALIASES: usize = 8;

/// The addresses of a name of one family.
///
/// # Errors
///
/// None is known when `deadline` comes, or earlier where no server will say more.
pub(crate) async fn addresses(
    servers: &Servers,
    name: &Name,
    kind: RecordType,
    deadline: Instant,
) -> Result<Vec<IpAddr>, Reason> {
    let mut name = name.clone();
    for _ in 0..=ALIASES {
        match ask(servers, &Question { name: &name, kind }, deadline).await? {
            Answer::Addresses(found) => return Ok(found),
            Answer::Alias(other) => name = other,
        }
    }
    Err(Reason::NoAddress)
}

async fn ask(
    servers: &Servers,
    question: &Question<'_>,
    deadline: Instant,
) -> Result<Answer, Reason> {
    let began = Instant::now();
    let noted = Cell::new(Reason::Timeout);
    let order = servers.order(began.into_std());
    let mut course = Course::new(&order, servers.attempts);
    let most = (order.len() * servers.attempts).max(1) as u32;
    // Each server is asked in time, however short that is.
    let patience = servers.patience.min(deadline.saturating_duration_since(began) / most);
    let mut tries = FuturesUnordered::new();
    // Who was asked last, and when that has been long enough.
    let mut last: Option<Try> = None;
    let mut next = began;
    loop {
        tokio::select! {
            biased;
            Some((tried, end)) = tries.next(), if !tries.is_empty() => {
                let tried: Try = tried;
                let reason = match end {
                    Ok(answer) => {
                        servers.answered(tried.server);
                        return Ok(answer);
                    }
                    Err(reason) => reason,
                };
                match reason {
                    Reason::NoRoute | Reason::Unreachable | Reason::Timeout => {
                        servers.was_silent(tried.server, Instant::now().into_std());
                    }
                    Reason::System(_) => {}
                    _ => servers.answered(tried.server),
                }
                if reason.is_of_the_name() {
                    return Err(reason);
                }
                noted.set(noted.get().max(reason));
                course.failed(tried.server, reason);
                if last == Some(tried) {
                    last = None;
                    next = Instant::now() + course.pause();
                }
            }
            () = until(next.min(deadline)) => {
                let now = Instant::now();
                if let Some(silent) = last.take() {
                    servers.was_silent(silent.server, now.into_std());
                    course.was_silent(silent.server);
                }
                let Some(tried) = course.next().filter(|_| now < deadline) else {
                    return Err(noted.get());
                };
                let way = Way {
                    // Old servers do not know EDNS, and say so with an error.
                    edns: servers.edns && !tried.is_refused,
                    over_tcp: servers.over_tcp,
                };
                let address = servers.address(tried.server);
                let noted = &noted;
                tries.push(async move {
                    let message = exchange(address, question, way, noted).await;
                    let end = message.and_then(|m| answer(&m, question.name, question.kind));
                    (tried, end)
                });
                last = Some(tried);
                next = now + patience;
            }
        }
    }
}

/// Waits for a time; not at all if it is over, where the timer waits for its next millisecond.
async fn until(time: Instant) {
    if time > Instant::now() {
        sleep_until(time).await;
    }
}
