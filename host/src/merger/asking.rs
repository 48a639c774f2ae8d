//! Jobs whose target is asked what came to it, before they are concluded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use pathspider_arrivals::Sought;
use pathspider_locate::Template;
use pathspider_plugin_api::Value;
use pathspider_plugin_api::chains::carrier;
use pathspider_runtime::say;

use super::pending::{Complete, Connection};
use crate::engine::Work;
use crate::forward::{Answered, Ask, OfConfig, Reply, Sent, is_responder, judge};

/// A job that can be concluded.
pub(super) struct Ready {
    pub(super) complete: Complete<Arc<Work>>,
    /// What its target says of each configuration; nothing where it was not asked.
    pub(super) forward: Vec<OfConfig>,
}

impl Ready {
    fn unasked(complete: Complete<Arc<Work>>) -> Ready {
        Ready { complete, forward: Vec::new() }
    }
}

/// Jobs that wait for their target's word, and who asks for it.
pub struct Asking {
    ask: Option<Sender<Ask>>,
    /// Where answers come.
    pub(super) answered: Receiver<Answered>,
    open: HashMap<u64, (Complete<Arc<Work>>, Vec<Sent>)>,
    asked: u64,
    /// Where nobody is to be asked: whether a target is said to respond all the same.
    unasked: Option<bool>,
}

impl Asking {
    /// With the stage's two ends.
    pub(crate) fn new(ask: Sender<Ask>, answered: Receiver<Answered>) -> Asking {
        Asking { ask: Some(ask), answered, open: HashMap::new(), asked: 0, unasked: None }
    }

    /// Where no target is asked.
    pub(crate) fn none() -> Asking {
        let answered = crossbeam::channel::never();
        Asking { ask: None, answered, open: HashMap::new(), asked: 0, unasked: Some(false) }
    }

    /// Says what its user may not have meant.
    pub(super) fn end(&self) {
        if self.unasked == Some(true) {
            say!(
                "targets that are said to respond were not asked what came to them: --responder-key FILE \
                 names the key"
            );
        }
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a job whose connections are over; gives it where its target is not asked.
    pub(super) fn pass(&mut self, complete: Complete<Arc<Work>>) -> Option<Ready> {
        let Complete::Job { work, connections } = &complete else {
            return Some(Ready::unasked(complete));
        };
        let Some(ask) = &self.ask else {
            if let Some(unasked @ false) = &mut self.unasked {
                *unasked = is_responder(&work.job);
            }
            return Some(Ready::unasked(complete));
        };
        let target = work.job.target();
        if target.is_unspecified() || !is_responder(&work.job) {
            return Some(Ready::unasked(complete));
        }
        let mut sent: Vec<Sent> = connections.iter().map(sent).collect();
        let ticket = self.asked;
        self.asked += 1;
        let flows: Vec<Option<Flow>> = sent.iter().map(Sent::sought).collect();
        for (place, one) in sent.iter_mut().enumerate() {
            let mut others = flows.iter().enumerate().filter(|(other, _)| *other != place);
            one.has_twin = others.any(|(_, other)| are_twins(flows[place], *other));
        }
        self.open.insert(ticket, (complete, sent));
        // Where the stage is gone, the answer is that its channel is closed.
        let _ = ask.send(Ask { ticket, target, flows });
        None
    }

    /// Takes what a target said. `is_forged`: whether the measurement makes its packets itself.
    pub(super) fn close(&mut self, answered: &Answered, is_forged: bool) -> Option<Ready> {
        let (complete, sent) = self.open.remove(&answered.ticket)?;
        let several = sent.first().filter(|_| sent.len() > 1);
        let each = sent.iter().zip(&answered.replies).enumerate();
        let judged = each.map(|(place, (own, reply))| {
            let baseline = several.filter(|_| place > 0);
            judge(own, (baseline, is_forged), reply)
        });
        let forward = judged.collect();
        Some(Ready { complete, forward })
    }

    /// The stage is gone: nobody is asked any more.
    pub(super) fn lose(&mut self) {
        self.ask = None;
        self.answered = crossbeam::channel::never();
    }

    /// One of the jobs that nobody asks for any more.
    pub(super) fn unanswered(&mut self) -> Option<Ready> {
        if self.ask.is_some() {
            return None;
        }
        let ticket = *self.open.keys().next()?;
        let (complete, sent) = self.open.remove(&ticket)?;
        let gone = Reply::Unknown("what asks for it has failed");
        let forward = sent.iter().map(|own| judge(own, (None, false), &gone)).collect();
        Some(Ready { complete, forward })
    }
}

/// Where a flow was sent from, and what is sought of it.
type Flow = (IpAddr, Sought);

/// Whether two flows differ in their ports alone.
fn are_twins(one: Option<Flow>, other: Option<Flow>) -> bool {
    one.zip(other).is_some_and(|((_, one), (_, other))| {
        Sought { source_port: other.source_port, ..one } == other
    })
}

/// What left this machine of a connection.
fn sent(connection: &Connection) -> Sent {
    let flow = connection.flow.as_ref();
    let kept = |name: &str| {
        let octets = flow?.value(name)?.as_list()?.first().and_then(Value::as_bytes)?;
        Template::new(octets)
    };
    let (opening, data) = (kept(carrier::OPENING.name()), kept(carrier::DATA.name()));
    let started = connection.outcome.record().str("spdr_start");
    let started = started.and_then(|text| humantime::parse_rfc3339(text).ok());
    Sent { opening, data, started, has_twin: false }
}
