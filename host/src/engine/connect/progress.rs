//! How far a connection has come: what the scheduler waits for, and what is known of it so far.

use std::cell::{Cell, RefCell};

use pathspider_plugin_api::carriage::{Handshake, Met};
use pathspider_plugin_api::{Hold, Outcome, Record, State, Value};

use super::failure::Failure;

/// What a connection is doing (`spdr_phase`, where it failed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its TCP handshake is not over.
    Connect,
    /// Its TLS handshake is not over.
    Tls,
    /// It has asked, and has no complete answer.
    Request,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Request => "request",
        }
    }
}

/// The progress of one connection. Its parts share it, for each sees something else of it.
pub(in super::super) struct Progress {
    /// The point that is not yet reported to the scheduler.
    awaited: Cell<Option<Hold>>,
    tell: Box<dyn Fn(Hold)>,
    /// Whether its handshake is over, or it has none.
    is_shaken: Cell<bool>,
    /// Whether nothing has answered yet, as far as is known.
    is_silent: Cell<bool>,
    met: Cell<Met>,
    phase: Cell<Phase>,
    known: RefCell<Record>,
}

impl Progress {
    /// For a new connection; `tell` is called once, when it comes to the awaited point or ends.
    pub(in super::super) fn new(awaited: Option<Hold>, tell: impl Fn(Hold) + 'static) -> Progress {
        Progress {
            awaited: Cell::new(awaited),
            tell: Box::new(tell),
            is_shaken: Cell::new(false),
            is_silent: Cell::new(true),
            met: Cell::default(),
            phase: Cell::new(Phase::Connect),
            known: RefCell::default(),
        }
    }

    /// Its first packet is out.
    pub(super) fn initiated(&self) {
        self.reached(Hold::Initiation);
    }

    /// Its handshake is over, or must be.
    pub(super) fn shaken(&self, handshake: Handshake) {
        self.is_shaken.set(true);
        self.is_silent.set(false);
        self.met.set(Met { handshake, ..self.met.get() });
        self.reached(Hold::Handshake);
    }

    /// Something of the target came that answers us, in a handshake that is not over.
    pub(super) fn answered(&self) {
        self.is_shaken.set(true);
        self.is_silent.set(false);
        self.heard();
    }

    /// Octets of the target came.
    pub(super) fn heard(&self) {
        self.met.set(Met { octets: true, ..self.met.get() });
    }

    /// The response to what was asked came.
    pub(super) fn responded(&self) {
        self.met.set(Met { response: true, ..self.met.get() });
    }

    /// How far it has come.
    pub(super) fn met(&self) -> Met {
        self.met.get()
    }

    /// Whether nothing has answered yet, as far as is known.
    pub(in super::super) fn is_silent(&self) -> bool {
        self.is_silent.get()
    }

    /// This kind has no handshake. Its first packet may be repeated until the end, so a configuration
    /// that holds for the handshake holds as long: the end tells of it. The next connection may begin
    /// all the same where its configuration need not wait.
    pub(super) fn no_handshake(&self) {
        self.is_shaken.set(true);
    }

    fn reached(&self, point: Hold) {
        if self.awaited.get() == Some(point) {
            self.over();
        }
    }

    /// Whether a configuration still holds for it.
    pub(super) fn is_held_for(&self) -> bool {
        self.awaited.get().is_some()
    }

    /// It has come as far as it ever will.
    pub(in super::super) fn over(&self) {
        if let Some(point) = self.awaited.take() {
            (self.tell)(point);
        }
    }

    /// It does this now; before the handshake is over, as soon as it is.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Keeps a key for the record, however the connection ends.
    pub(super) fn note(&self, key: &'static str, value: impl Into<Value>) {
        self.known.borrow_mut().set(key, value);
    }

    /// The connection's outcome, with all that is known.
    pub(super) fn outcome(&self, end: Result<(), Failure>) -> Outcome {
        let mut record = self.known.take();
        match end {
            Ok(()) => Outcome::with_record(State::Ok, record),
            Err(failure) => {
                if let Failure::TlsAlert(number) = failure {
                    let info = record.remove("tls_info");
                    let info = info.as_ref().and_then(Value::as_record).cloned();
                    record.set("tls_info", info.unwrap_or_default().with("alert", number));
                }
                let phase = if self.is_shaken.get() { self.phase.get() } else { Phase::Connect };
                Outcome::with_record(failure.state(), record)
                    .with("spdr_error", Value::text(failure.word()))
                    .with("spdr_phase", Value::text(phase.word()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_point_is_told_once_and_at_the_latest_at_the_end() {
        for (awaited, after_shaken, at_end) in [
            (None, vec![], vec![]),
            (Some(Hold::Initiation), vec![], vec![Hold::Initiation]),
            (Some(Hold::Handshake), vec![Hold::Handshake], vec![Hold::Handshake]),
        ] {
            let told = Rc::new(RefCell::new(Vec::new()));
            let sink = Rc::clone(&told);
            let progress = Progress::new(awaited, move |point| sink.borrow_mut().push(point));
            progress.shaken(Handshake::Made);
            assert_eq!(*told.borrow(), after_shaken);
            progress.over();
            progress.shaken(Handshake::Made);
            assert_eq!(*told.borrow(), at_end);
        }
    }

    #[test]
    fn without_a_handshake_it_is_silent_and_holds_to_its_end() {
        let told = Rc::new(Cell::new(0));
        let sink = Rc::clone(&told);
        let count = move |_| sink.set(sink.get() + 1);
        let progress = Progress::new(Some(Hold::Handshake), count);
        progress.no_handshake();
        assert!(progress.is_silent() && told.get() == 0);
        progress.over();
        assert_eq!(told.get(), 1);
        progress.shaken(Handshake::default());
        assert!(!progress.is_silent());
    }

    #[test]
    fn failures_keep_what_is_known_and_tell_the_phase() {
        let progress = Progress::new(None, |_| {});
        progress.enter(Phase::Tls);
        progress.note("tls_info", Record::new().with("sni", "lab.example"));
        let phase = |outcome: &Outcome| outcome.record().str("spdr_phase").map(str::to_owned);
        let outcome = progress.outcome(Err(Failure::TlsAlert(40)));
        assert_eq!(phase(&outcome).as_deref(), Some("connect"));
        let info = outcome.record().get("tls_info").and_then(Value::as_record).unwrap();
        assert_eq!((info.str("sni"), info.u64("alert")), (Some("lab.example"), Some(40)));
        progress.shaken(Handshake::Made);
        assert_eq!(phase(&progress.outcome(Err(Failure::Timeout))).as_deref(), Some("tls"));
        assert_eq!(phase(&progress.outcome(Ok(()))), None);
    }
}
