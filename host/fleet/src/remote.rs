//! What is done with a campaign on a server: it is submitted, steered, looked at and collected. What the server
//! keeps of it is in `wire`, and who measures it in `agent`.

mod collect;
mod overview;
mod submit;

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::campaign::{Campaign, is_name};
use crate::exit::{Exit, Failure};
use crate::server::{Put, Server, Trouble};
use crate::wire::{
    self, AGENTS, BOARD, Board, CONTROL, Control, Definition, Members, VERSION, Wanted, Work,
};
pub(crate) use collect::collect;
pub(crate) use overview::{Overview, look};
pub(crate) use submit::{Submitted, submit};

/// Tries to change what others change too.
const MOST_TRIES: u32 = 100;

/// An agent that said a word within this time is there.
const PRESENT: Duration = Duration::from_secs(15);

/// What the server has of a campaign.
pub(crate) struct Found {
    pub(crate) definition: Definition,
    pub(crate) campaign: Campaign,
    pub(crate) control: Control,
    /// The number of that word.
    last: u64,
    pub(crate) submitted: SystemTime,
}

/// Finds a campaign on a server.
///
/// # Errors
///
/// There is none of this name, or it is of another version.
pub(crate) async fn find(server: &Server, name: &str) -> Result<Found, Failure> {
    let none = || {
        let message = format!("the server has no campaign of the name {name}");
        Failure::new(Exit::NoInput, message)
    };
    let unread = |reason: String| {
        Failure::new(Exit::NoInput, format!("the campaign {name} on the server: {reason}"))
    };
    let found = match server.get(CONTROL, wire::campaign(name)).await {
        // Nothing was ever submitted.
        Err(Trouble { is_unknown: true, reason }) => {
            return Err(Failure::new(
                Exit::NoInput,
                format!("there is no campaign {name}: {reason}"),
            ));
        }
        found => found?.ok_or_else(none)?,
    };
    let (definition, campaign) = Definition::read(&found.payload, name).map_err(unread)?;
    let control = server.get(CONTROL, wire::control(name)).await?.ok_or_else(none)?;
    let last = control.sequence;
    let control = wire::parse(&control.payload).map_err(unread)?;
    Ok(Found { definition, campaign, control, last, submitted: found.time })
}

impl Found {
    /// The places that measure it: those that it lists, or those that have begun, and those whose agents are
    /// there and will begin.
    ///
    /// # Errors
    ///
    /// The server does not say.
    pub(crate) async fn places(
        &self,
        server: &Server,
        now: SystemTime,
    ) -> Result<Vec<String>, Failure> {
        if !self.campaign.vantages.is_empty() {
            return Ok(self.campaign.vantages.clone());
        }
        let subjects = server.subjects(AGENTS, wire::members(&self.campaign.name)).await?;
        let mut places = Members::of(subjects.iter().map(String::as_str)).places;
        let is_over = matches!(self.control.wanted, Wanted::Cancelled | Wanted::Collected);
        if !is_over {
            for subject in server.subjects(AGENTS, wire::holder("*")).await? {
                let Some(place) = subject.rsplit('.').next().filter(|place| is_name(place)) else {
                    continue;
                };
                if places.iter().any(|there| there == place) {
                    continue;
                }
                let kept = server.get(AGENTS, subject.clone()).await?;
                let age = kept.map(|kept| now.duration_since(kept.time).unwrap_or_default());
                places.extend(age.is_some_and(|age| age < PRESENT).then(|| place.to_owned()));
            }
        }
        places.sort();
        Ok(places)
    }

    /// Whether the campaign asks for this piece of work: a place may have sent what it likes.
    pub(crate) fn has(&self, work: Work) -> bool {
        let Work { step, shard } = work;
        self.campaign.schedule.begin(step.time, self.submitted).is_some()
            && step.measure < self.campaign.measures.len()
            && (shard as usize) < self.definition.shards.len()
    }

    /// Results that are to come from each place; `None` without an end.
    pub(crate) fn results(&self) -> Option<u64> {
        let times = self.campaign.schedule.count(self.submitted);
        times.map(|times| {
            times * (self.campaign.measures.len() * self.definition.shards.len()) as u64
        })
    }
}

/// Changes what is wanted of a campaign.
///
/// # Errors
///
/// It is over, or the server refuses.
pub(crate) async fn steer(
    server: &Server,
    name: &str,
    change: impl Fn(&mut Control),
) -> Result<(), Failure> {
    for _ in 0..MOST_TRIES {
        let Found { mut control, last, .. } = find(server, name).await?;
        if matches!(control.wanted, Wanted::Cancelled | Wanted::Collected) {
            let message =
                format!("the campaign {name} is over: submit it again under another name");
            return Err(Failure::new(Exit::Usage, message));
        }
        change(&mut control);
        if let Put::Kept(_) = server.put(wire::control(name), json(&control)?, last).await? {
            return Ok(());
        }
    }
    Err(Failure::new(Exit::NoServer, format!("what is wanted of {name} cannot be changed")))
}

/// Has the agents find a campaign.
async fn announce(server: &Server, name: &str) -> Result<(), Failure> {
    for _ in 0..MOST_TRIES {
        let kept = server.get(CONTROL, BOARD.to_owned()).await?;
        let (mut board, last) = match kept {
            None => (Board { version: VERSION, campaigns: Vec::new() }, 0),
            Some(kept) => {
                let board = wire::parse(&kept.payload).map_err(|reason| {
                    let message = format!("the server's list of campaigns: {reason}");
                    Failure::new(Exit::NoInput, message)
                })?;
                (board, kept.sequence)
            }
        };
        if board.campaigns.iter().any(|there| there == name) {
            return Ok(());
        }
        board.campaigns.push(name.to_owned());
        if let Put::Kept(_) = server.put(BOARD.to_owned(), json(&board)?, last).await? {
            return Ok(());
        }
    }
    Err(Failure::new(Exit::NoServer, "the server's list of campaigns cannot be changed"))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(Exit::Failed, error))
}

fn no_output(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::NoOutput, format!("{what}: {error}"))
}
