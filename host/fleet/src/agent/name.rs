//! The place's name on the server: one agent has it at a time. Beside, the server's clock: an agent's own may
//! be wrong.

use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::exit::{Exit, Failure};
use crate::server::{Put, Server, Trouble};
use crate::stopping::Stopping;
use crate::wire::{self, AGENTS};

/// How often the name is renewed.
const RENEW: Duration = Duration::from_secs(2);

/// If the owner of a name says nothing for this long, another agent may take the name.
const SILENCE: Duration = Duration::from_secs(7);

/// How often a name that another one has is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A name that is ours.
pub(super) struct Name {
    place: String,
    /// Our word, which no other folder's agent has, and the number of the message that has it.
    word: Vec<u8>,
    number: u64,
    renewed: Instant,
    /// The server's clock.
    pub(super) clock: Clock,
}

impl Name {
    /// Takes the name, when whoever has it is silent.
    ///
    /// # Errors
    ///
    /// Another agent has it, or the server does not answer.
    pub(super) async fn hold(
        server: &Server,
        place: &str,
        word: Vec<u8>,
        stopping: &Stopping,
    ) -> Result<Name, Failure> {
        let subject = wire::holder(place);
        let (mut last, mut since) = (None, Instant::now());
        loop {
            if stopping.is_asked() {
                return Err(Failure::new(Exit::Stopped, "stopped before it began"));
            }
            let found = match server.get(AGENTS, subject.clone()).await {
                // Nothing was submitted yet: the name is nobody's.
                Err(Trouble { is_unknown: true, .. }) => None,
                found => found?,
            };
            // What was killed here was this agent: it has the same folder, which is locked.
            let was_ours = found.as_ref().is_some_and(|kept| kept.payload == word);
            let number = found.map_or(0, |kept| kept.sequence);
            if !was_ours && number != 0 && last != Some(number) {
                if last.is_some() {
                    return Err(taken(place, "works under"));
                }
                (last, since) = (Some(number), Instant::now());
            }
            if number == 0 || was_ours || since.elapsed() >= SILENCE {
                let (place, word) = (place.to_owned(), word.clone());
                let (renewed, clock) = (Instant::now(), Clock::default());
                match server.put(subject.clone(), word.clone(), number).await {
                    Ok(Put::Kept(number)) => {
                        let mut name = Name { place, word, number, renewed, clock };
                        name.look(server, Some((renewed, Instant::now()))).await;
                        return Ok(name);
                    }
                    Ok(Put::Taken) => {}
                    // It is put there when somebody has submitted something.
                    Err(_) if number == 0 => {
                        return Ok(Name { place, word, number: 0, renewed, clock });
                    }
                    Err(trouble) => return Err(trouble.into()),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Says now and then that the name is still ours. While the server knows nothing of campaigns, there is
    /// nowhere to say it.
    ///
    /// # Errors
    ///
    /// Another agent has it.
    pub(super) async fn renew(&mut self, server: &Server) -> Result<(), Failure> {
        if self.renewed.elapsed() < RENEW {
            return Ok(());
        }
        let sent = Instant::now();
        self.renewed = sent;
        match server.put(wire::holder(&self.place), self.word.clone(), self.number).await {
            Ok(Put::Kept(number)) => {
                self.number = number;
                self.look(server, Some((sent, Instant::now()))).await;
            }
            // What is there may be ours, put without its answer; or the server has lost what it had.
            Ok(Put::Taken) if !self.look(server, None).await => {
                return Err(taken(&self.place, "has taken"));
            }
            // The network is cut, perhaps.
            Ok(Put::Taken) | Err(_) => {}
        }
        Ok(())
    }

    /// Looks at what is there. Whether the name is ours, or may be. `put`: when our last message was sent, and
    /// when that was answered.
    async fn look(&mut self, server: &Server, put: Option<(Instant, Instant)>) -> bool {
        match server.get(AGENTS, wire::holder(&self.place)).await {
            Ok(Some(kept)) if kept.payload == self.word => {
                // Another message of ours tells no time.
                if let Some((sent, answered)) = put.filter(|_| kept.sequence == self.number) {
                    self.clock.heard(kept.time, sent, answered);
                }
                self.number = kept.sequence;
                true
            }
            Ok(Some(_)) => false,
            Ok(None) => {
                self.number = 0;
                true
            }
            Err(_) => true,
        }
    }
}

fn taken(place: &str, how: &str) -> Failure {
    let message = format!(
        "another agent {how} the name {place}: nothing is lost; stop one of the two, or give this place \
         another name"
    );
    Failure::new(Exit::NameTaken, message)
}
