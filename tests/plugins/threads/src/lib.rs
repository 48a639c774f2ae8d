//! A measurement with a thread of its own, which lives as long as the process, and thread-local
//! values with destructors on the host's threads.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use pathspider_plugin_api::{
    ChainName, Condition, ConfigId, Configuration, Connect, Error, Host, Info, Job, Level,
    Measurement, OptionValues, Prepared, Record, Result, export_plugin,
};

thread_local! {
    /// Grows on whatever thread of the host's calls, and is freed when that thread ends.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A question to the thread: a job's number, and where the answer goes.
type Question = (u64, Sender<u64>);

/// The measurement.
pub struct Threads {
    questions: Mutex<Sender<Question>>,
}

impl Measurement for Threads {
    fn info() -> Info {
        Info::new("threads", "1.0.0", "Has threads of its own")
            .contact("https://github.com/pathspider/pathspider")
            .condition("threads.connectivity.online", "the handshake completed")
            .condition("threads.connectivity.offline", "it did not")
    }

    fn new(_: &OptionValues, host: Host) -> Result<Self> {
        let (questions, asked) = channel::<Question>();
        thread::Builder::new().name("of-the-plugin".into()).spawn(move || {
            for (number, answer) in asked {
                let _ = answer.send(number + 1);
            }
            host.log(Level::Debug, "the plugin's thread has ended");
        })?;
        Ok(Threads { questions: Mutex::new(questions) })
    }

    fn configurations(&self) -> Vec<Configuration> {
        vec![Configuration::new("plain")]
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list(&["basic", "tcp"])
    }

    fn connect(&self, job: &Job, _: &Prepared, _: ConfigId) -> Result<Connect> {
        SEEN.with(|seen| seen.borrow_mut().push(job.target().to_string()));
        let (answer, answered) = channel();
        let questions = self.questions.lock().map_err(|_| Error::new("the lock is poisoned"))?;
        // Numbers at the end of their type come from fuzzing alone.
        questions.send((job.number() / 2, answer))?;
        drop(questions);
        match answered.recv()? {
            number if number == job.number() / 2 + 1 => Ok(Connect::tcp()),
            _ => Err(Error::new("another job's answer")),
        }
    }

    fn combine(&self, job: &Job, flows: &[Record]) -> Result<Vec<Condition>> {
        SEEN.with(|seen| seen.borrow_mut().push(job.number().to_string()));
        Ok(flows.iter().filter_map(|flow| Condition::online("threads", flow)).collect())
    }
}

export_plugin!(Threads);
