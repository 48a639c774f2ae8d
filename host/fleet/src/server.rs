//! The NATS server: how it is reached, and the few things that are asked of it. Nothing here needs a
//! consumer: messages are got by their subjects.

mod access;

use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DirectGetErrorKind, DiscardPolicy, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, StatusCode};
use futures_util::TryStreamExt;
use pathspider_runtime::text::visible;

use crate::exit::{Exit, Failure};
use crate::wire::{AGENTS, CLOCK, CONTROL, RESULTS, SHARDS};
pub(crate) use access::{Access, Credentials, url};

/// A request waits this long for its answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Where the account of a place finds what it may ask of JetStream, as `server-config` writes it.
pub(crate) const PREFIX: &str = "FL.API";

/// Characters of what a server says that are shown.
const LONGEST_REASON: usize = 400;

/// A connection.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    context: Context,
}

/// A message that the server has.
pub(crate) struct Kept {
    pub(crate) sequence: u64,
    pub(crate) payload: Vec<u8>,
    /// When it came, by the server's clock.
    pub(crate) time: SystemTime,
}

/// What became of a message.
#[derive(Debug, PartialEq)]
pub(crate) enum Put {
    /// It is kept under this number.
    Kept(u64),
    /// Another one is there.
    Taken,
}

/// Why the server did not do it.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    /// Nobody is there who would answer this: there is no such stream, or no right to ask.
    pub(crate) is_unknown: bool,
}

type Answer<T> = Result<T, Trouble>;

impl Server {
    fn new(client: Client) -> Server {
        let context = ContextBuilder::new().timeout(TIMEOUT).ack_timeout(TIMEOUT);
        Server { context: context.build(client.clone()), client }
    }

    /// The same for a place: where its account has no streams of its own, those of the fleet.
    pub(crate) async fn for_place(&self) -> Server {
        let whole = Server::new(self.client.clone());
        if whole.prepare().await.is_ok() {
            return whole;
        }
        let context = ContextBuilder::new().timeout(TIMEOUT).ack_timeout(TIMEOUT);
        let context = context.api_prefix(PREFIX).build(self.client.clone());
        Server { context, ..whole }
    }

    /// Octets of a message at the most.
    pub(crate) fn longest(&self) -> usize {
        self.client.server_info().max_payload
    }

    /// How often it was connected to: when that changes, the server may have lost what it had.
    pub(crate) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Makes the streams, where they are not there.
    pub(crate) async fn prepare(&self) -> Answer<()> {
        for (name, subjects, is_for_good) in [
            (CONTROL, &["ps.board", "ps.clock", "ps.campaign.*", "ps.control.*"][..], false),
            (AGENTS, &["ps.holder.*", "ps.report.*.*", "ps.member.>"], false),
            (SHARDS, &["ps.shard.*.*"], true),
            (RESULTS, &["ps.result.*.*.*.*.*"], true),
        ] {
            let config = Config {
                name: name.to_owned(),
                subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                max_messages_per_subject: 1,
                max_messages: -1,
                max_bytes: -1,
                num_replicas: 1,
                allow_direct: true,
                discard: if is_for_good { DiscardPolicy::New } else { DiscardPolicy::Old },
                discard_new_per_subject: is_for_good,
                // Who runs the server may purge a campaign that is collected, to have the room.
                deny_delete: is_for_good,
                ..Config::default()
            };
            self.context.get_or_create_stream(config).await.map_err(trouble)?;
        }
        Ok(())
    }

    /// The last message of a subject.
    pub(crate) async fn get(&self, stream: &str, subject: String) -> Answer<Option<Kept>> {
        let stream = self.context.get_stream_no_info(stream).await.map_err(trouble)?;
        match stream.direct_get_last_for_subject(subject).await {
            Ok(message) => {
                let since = message.time.unix_timestamp_nanos().max(0);
                let since = Duration::from_nanos(u64::try_from(since).unwrap_or(u64::MAX));
                Ok(Some(Kept {
                    sequence: message.sequence,
                    payload: message.payload.into(),
                    time: SystemTime::UNIX_EPOCH + since,
                }))
            }
            Err(error) => match error.kind() {
                DirectGetErrorKind::NotFound => Ok(None),
                DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _) => {
                    let reason = "it has no campaigns: none was ever submitted, it runs without \
                         JetStream (-js), or this key may not read them";
                    Err(Trouble { reason: reason.to_owned(), is_unknown: true })
                }
                // Between accounts, nobody says that nobody is there.
                DirectGetErrorKind::TimedOut => {
                    let reason = "it does not answer, or nothing was ever submitted";
                    Err(Trouble { reason: reason.to_owned(), is_unknown: true })
                }
                _ => Err(trouble(error)),
            },
        }
    }

    /// Puts a message there, if the subject's last one has this number; 0 where there is to be none.
    pub(crate) async fn put(&self, subject: String, payload: Vec<u8>, last: u64) -> Answer<Put> {
        let message = PublishMessage::build().payload(payload.into());
        self.send(subject, message.expected_last_subject_sequence(last)).await
    }

    /// Puts a message there in place of whatever is.
    pub(crate) async fn replace(&self, subject: String, payload: Vec<u8>) -> Answer<Put> {
        self.send(subject, PublishMessage::build().payload(payload.into())).await
    }

    async fn send(&self, subject: String, message: PublishMessage) -> Answer<Put> {
        let sent = self.context.send_publish(subject, message).await;
        let sent = match sent {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(ack) => Ok(Put::Kept(ack.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Put::Taken),
            Err(error) => {
                let trouble = trouble(error);
                // A subject that has its one message says so in words alone.
                if trouble.reason.contains("maximum messages per subject") {
                    Ok(Put::Taken)
                } else {
                    Err(trouble)
                }
            }
        }
    }

    /// The subjects of a stream that have a message and are like this.
    pub(crate) async fn subjects(&self, stream: &str, like: String) -> Answer<Vec<String>> {
        let stream = self.context.get_stream_no_info(stream).await.map_err(trouble)?;
        let found = stream.info_with_subjects(like).await.map_err(trouble)?;
        found.map_ok(|(subject, _)| subject).try_collect().await.map_err(trouble)
    }

    /// The server's clock, for those that may write there.
    pub(crate) async fn now(&self) -> Answer<SystemTime> {
        self.replace(CLOCK.to_owned(), Vec::new()).await?;
        let kept = self.get(CONTROL, CLOCK.to_owned()).await?;
        Ok(kept.map_or_else(SystemTime::now, |kept| kept.time))
    }
}

fn trouble(error: impl Error) -> Trouble {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !reason.contains(&words) {
            reason = format!("{reason}: {words}");
        }
        source = inner.source();
    }
    Trouble { reason: visible(&reason, LONGEST_REASON), is_unknown: false }
}

impl From<Trouble> for Failure {
    fn from(Trouble { reason, .. }: Trouble) -> Failure {
        Failure::new(Exit::NoServer, format!("the server refuses the request: {reason}"))
    }
}
