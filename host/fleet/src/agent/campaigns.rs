//! The campaigns that the agent works for, as the server says.

use std::collections::{BTreeMap, BTreeSet};

use pathspider_runtime::say;

use super::site::State;
use super::taken::Taken;
use crate::campaign::is_name;
use crate::server::{Server, Trouble};
use crate::wire::{self, BOARD, Board, CONTROL, Control, Definition, Wanted};

/// The campaigns of a place.
pub(super) struct Campaigns {
    place: String,
    taken: BTreeMap<String, Taken>,
    /// Campaigns, by their names, that are not ours, or over.
    others: BTreeSet<String>,
    connects: u64,
}

impl Campaigns {
    pub(super) fn new(place: String) -> Campaigns {
        let (taken, others, connects) = Default::default();
        Campaigns { place, taken, others, connects }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Taken> {
        self.taken.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Taken> {
        self.taken.get_mut(name)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Taken)> {
        self.taken.iter_mut()
    }

    /// Asks what there is to do. The files of a campaign that is over are deleted.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn ask(&mut self, server: &Server, state: &State) -> Result<(), Trouble> {
        let Some(board) = server.get(CONTROL, BOARD.to_owned()).await? else { return Ok(()) };
        let board: Board = wire::parse(&board.payload).map_err(unread)?;
        // After a power cut it may have lost what it had.
        let connects = server.connects();
        let has_reconnected = self.connects != connects;
        for name in board.campaigns.iter().filter(|name| is_name(name)) {
            if self.others.contains(name) {
                continue;
            }
            let control = server.get(CONTROL, wire::control(name)).await?;
            let Some(control) = control else { continue };
            let control: Control = match wire::parse(&control.payload) {
                Ok(control) => control,
                Err(reason) => {
                    say!("{}: what is wanted of {name} is not obeyed: {reason}", self.place);
                    self.others.insert(name.clone());
                    continue;
                }
            };
            if matches!(control.wanted, Wanted::Cancelled | Wanted::Collected) {
                self.drop_campaign(name, state);
            } else if let Some(taken) = self.taken.get_mut(name) {
                taken.control = control;
                if has_reconnected {
                    taken.join_again(server, &self.place).await?;
                }
                taken.update(server, &self.place).await?;
            } else {
                self.take(server, name, control).await?;
            }
        }
        self.connects = connects;
        Ok(())
    }

    /// Nothing more is wanted of a campaign, and nobody needs our files.
    fn drop_campaign(&mut self, name: &str, state: &State) {
        self.others.insert(name.to_owned());
        if self.taken.remove(name).is_some() {
            say!("{}: campaign {name} is over", self.place);
        }
        state.forget(name);
    }

    async fn take(&mut self, server: &Server, name: &str, control: Control) -> Result<(), Trouble> {
        let found = server.get(CONTROL, wire::campaign(name)).await?;
        let Some(found) = found else { return Ok(()) };
        let (definition, campaign) = match Definition::read(&found.payload, name) {
            Ok(read) => read,
            Err(reason) => {
                say!("{}: campaign {name} is not measured: {reason}", self.place);
                self.others.insert(name.to_owned());
                return Ok(());
            }
        };
        if !campaign.vantages.is_empty() && !campaign.vantages.contains(&self.place) {
            self.others.insert(name.to_owned());
            return Ok(());
        }
        say!("{}: campaign {name}: {} targets", self.place, definition.targets);
        let of = (definition, campaign, found.time);
        let taken = Taken::join(server, &self.place, of, control).await?;
        self.taken.insert(name.to_owned(), taken);
        Ok(())
    }
}

fn unread(reason: String) -> Trouble {
    Trouble { reason: format!("the list of campaigns: {reason}"), is_unknown: false }
}
