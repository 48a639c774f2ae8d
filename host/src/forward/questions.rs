//! What responders are asked, and when once more. Time is an argument, and there are no sockets.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use pathspider_arrivals::{Answer, Key, Match, Question, Sought};

/// After which times a question that nobody answers is asked once more, and after the last it is given up.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1_500),
    Duration::from_millis(2_500),
];

/// How often a responder that knows nothing is asked: its capture may be behind.
const NOTHINGS: u8 = 3;

/// How long after such an answer.
const BEHIND: Duration = Duration::from_millis(250);

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// An answer, and when it came.
    Answer(Answer, SystemTime),
    /// None, and why.
    Unknown(&'static str),
}

/// A question to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    pub(super) from: IpAddr,
    pub(super) to: SocketAddr,
    pub(super) octets: Vec<u8>,
}

/// The time of the two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// By one that nobody sets.
    pub(super) at: Duration,
    pub(super) wall: SystemTime,
}

/// All that is asked for at a time.
pub(super) struct Questions {
    key: Key,
    jobs: HashMap<u64, Job>,
    by_nonce: HashMap<[u8; 16], (u64, usize)>,
}

struct Job {
    target: SocketAddr,
    flows: Vec<Flow>,
}

/// A flow that is asked for.
struct Flow {
    asked: Option<(IpAddr, Sought)>,
    /// When it is asked for next, or given up.
    next: Duration,
    tries: usize,
    nothings: u8,
    nonces: Vec<[u8; 16]>,
    reply: Option<Reply>,
    is_over: bool,
}

impl Questions {
    pub(super) fn new(key: Key) -> Questions {
        Questions { key, jobs: HashMap::new(), by_nonce: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Begins to ask a target for these flows.
    pub(super) fn begin(
        &mut self,
        ticket: u64,
        target: SocketAddr,
        flows: Vec<Option<(IpAddr, Sought)>>,
        now: Duration,
    ) {
        let flow = |asked: Option<(IpAddr, Sought)>| Flow {
            is_over: asked.is_none(),
            reply: asked.is_none().then_some(Reply::Unknown("its packets were not captured")),
            asked,
            next: now,
            tries: 0,
            nothings: 0,
            nonces: Vec::new(),
        };
        let flows = flows.into_iter().map(flow).collect();
        self.jobs.insert(ticket, Job { target, flows });
    }

    /// The questions that are to be sent now.
    pub(super) fn due(&mut self, now: Now) -> Vec<Datagram> {
        let seconds = now.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut due = Vec::new();
        for (ticket, job) in &mut self.jobs {
            for (place, flow) in job.flows.iter_mut().enumerate() {
                if flow.is_over || flow.next > now.at {
                    continue;
                }
                let patience = PATIENCE.get(flow.tries);
                let (Some((from, sought)), Some(patience)) = (flow.asked, patience) else {
                    flow.is_over = true;
                    continue;
                };
                flow.tries += 1;
                flow.next = now.at + *patience;
                let Ok(question) = Question::new(sought, seconds) else { continue };
                flow.nonces.push(question.nonce);
                self.by_nonce.insert(question.nonce, (*ticket, place));
                let octets = question.written(&self.key).into();
                due.push(Datagram { from, to: job.target, octets });
            }
        }
        due
    }

    /// Takes what came from there.
    pub(super) fn heard(&mut self, octets: &[u8], from: SocketAddr, now: Now) {
        let Some(answer) = Answer::read(octets, &self.key) else { return };
        let Some((ticket, place)) = self.by_nonce.get(&answer.nonce) else { return };
        let Some(job) = self.jobs.get_mut(ticket).filter(|job| job.target == from) else { return };
        let Some(flow) = job.flows.get_mut(*place).filter(|flow| !flow.is_over) else { return };
        let is_known = answer.found != Match::Nothing;
        flow.reply = Some(Reply::Answer(answer, now.wall));
        flow.nothings += u8::from(!is_known);
        flow.is_over = is_known || flow.nothings >= NOTHINGS;
        flow.next = now.at + BEHIND;
    }

    /// The jobs whose questions are all answered or given up.
    pub(super) fn ended(&mut self) -> Vec<(u64, Vec<Reply>)> {
        let is_over = |job: &Job| job.flows.iter().all(|flow| flow.is_over);
        let over: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| is_over(job)).map(|(ticket, _)| *ticket).collect();
        over.into_iter().filter_map(|ticket| self.take(ticket, "no answer came")).collect()
    }

    /// All jobs, with what is known of them.
    pub(super) fn give_up(&mut self) -> Vec<(u64, Vec<Reply>)> {
        let all: Vec<u64> = self.jobs.keys().copied().collect();
        all.into_iter().filter_map(|ticket| self.take(ticket, "the run was stopped")).collect()
    }

    fn take(&mut self, ticket: u64, otherwise: &'static str) -> Option<(u64, Vec<Reply>)> {
        let job = self.jobs.remove(&ticket)?;
        let reply = |flow: Flow| {
            for nonce in &flow.nonces {
                self.by_nonce.remove(nonce);
            }
            flow.reply.unwrap_or(Reply::Unknown(otherwise))
        };
        Some((ticket, job.flows.into_iter().map(reply).collect()))
    }
}

#[cfg(test)]
mod tests;
