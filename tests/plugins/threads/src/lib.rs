//! A measurement with a thread of its own, which it joins at the run's end, and thread-local values
//! with destructors on the host's threads.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use pathspider_plugin_api::chains::{basic, tcp};
use pathspider_plugin_api::prelude::*;

const PLAIN: Configuration = Configuration::new(0, "plain");

conditions! {
    ONLINE: online("threads");
}

thread_local! {
    /// Grows on whatever thread of the host's calls, and is freed when that thread ends.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A question to the thread: a job's number, and where the answer goes.
type Question = (u64, Sender<u64>);

/// The measurement.
pub struct Threads {
    own: Mutex<Option<Own>>,
}

/// Its thread, which ends when nobody can ask any more, and says how often it was asked.
struct Own {
    questions: Sender<Question>,
    thread: JoinHandle<u64>,
}

impl Measurement for Threads {
    fn info() -> Info {
        Info::new("threads", "1.0.0", "Has threads of its own")
            .contact("https://github.com/pathspider/pathspider")
            .conditions(CONDITIONS)
    }

    fn new(_: &OptionValues, host: Host) -> Result<Self> {
        let (questions, asked) = channel::<Question>();
        let thread = thread::Builder::new().name("of-the-plugin".into()).spawn(move || {
            let mut answered = 0;
            for (number, answer) in asked {
                let _ = answer.send(number + 1);
                answered += 1;
            }
            host.log(Level::Debug, "the plugin's thread has ended");
            answered
        })?;
        Ok(Threads { own: Mutex::new(Some(Own { questions, thread })) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![PLAIN]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job = attempt.job();
        SEEN.with(|seen| seen.borrow_mut().push(job.target().to_string()));
        let (answer, answered) = channel();
        // Numbers at the end of their type come from fuzzing alone.
        match &*self.own.lock().map_err(|_| Error::new("the lock is poisoned"))? {
            Some(own) => own.questions.send((job.number() / 2, answer))?,
            None => return Err(Error::new("the run has ended")),
        }
        match answered.recv()? {
            number if number == job.number() / 2 + 1 => Ok(Connect::tcp()),
            _ => Err(Error::new("another job's answer")),
        }
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        SEEN.with(|seen| seen.borrow_mut().push(flows.job().number().to_string()));
        Ok(flows.online(ONLINE).into_iter().collect())
    }

    fn finish(&self) -> Result<Record> {
        let own = self.own.lock().map_err(|_| Error::new("the lock is poisoned"))?.take();
        let Own { questions, thread } = own.ok_or_else(|| Error::new("the run has ended"))?;
        drop(questions);
        let answered = thread.join().map_err(|_| Error::new("the thread panicked"))?;
        Ok(Record::new().with("questions", answered))
    }
}

export_plugin!(Threads);
