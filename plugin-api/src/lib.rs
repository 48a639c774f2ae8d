#![doc = include_str!("../README.md")]

pub mod abi;
mod address;
pub mod carriage;
mod chain;
mod condition;
mod connect;
#[cfg(feature = "driver")]
pub mod driver;
mod error;
mod evidence;
mod export;
pub mod forge;
mod host;
mod job;
mod measurement;
mod options;
mod outcome;
pub mod packet;
mod record;
pub mod rules;
#[cfg(feature = "serde")]
mod serde;
mod system;
pub mod testing;
mod validity;
mod value;

pub use abi::data::{Record, Value};
pub use address::is_of_no_host;
pub use chain::{Chain, ChainInfo, Field, FieldType, Verdict};
pub use condition::{Condition, ConditionInfo, connected, observed};
pub use connect::{Connect, ConnectKind, Setting};
pub use error::{Error, ErrorKind, Result};
pub use evidence::{Evidence, SentSyns};
pub use host::{Host, Level};
pub use job::Job;
pub use measurement::{ChainName, ConfigId, Configuration, Hold, Info, Measurement, Prepared};
pub use options::{OptionKind, OptionSpec, OptionValues, Options};
pub use outcome::{OUTCOME_KEYS, Outcome, State};
pub use record::FlowRecord;
pub use system::{System, SystemChanges};
pub use value::ValueRef;
