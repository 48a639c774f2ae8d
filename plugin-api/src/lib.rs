#![doc = include_str!("../README.md")]
// Plugins have no use for the host's half of the boundary, which is built with them all the same.
#![cfg_attr(not(feature = "driver"), allow(dead_code, unreachable_pub))]

pub mod abi;
mod address;
mod attempt;
pub mod carriage;
mod chain;
pub mod chains;
mod conclusion;
mod condition;
mod configuration;
mod connect;
pub mod conversation;
#[cfg(feature = "driver")]
pub mod driver;
mod error;
mod evidence;
mod export;
mod field;
mod flow_record;
mod flows;
pub mod forge;
mod host;
mod info;
mod job;
mod location;
mod measurement;
mod options;
mod ordinary;
mod outcome;
pub mod packet;
pub mod prelude;
mod quic_marks;
mod record;
pub mod rules;
#[cfg(feature = "serde")]
mod serde;
mod system;
pub mod testing;
mod validity;
mod value;
mod variants;

pub use abi::data::{Record, Value};
pub use address::is_of_no_host;
pub use attempt::Attempt;
pub use chain::{Chain, ChainInfo, FieldInfo, Fields, Verdict};
pub use conclusion::{Conclusion, Wishes};
pub use condition::{Class, Condition, ConditionInfo, Connectivity, Online};
pub use configuration::{Carrier, ConfigId, Configuration, Hold};
pub use connect::{Connect, ConnectKind, Setting};
#[cfg(feature = "driver")]
pub use connect::{Opening, Settings};
pub use conversation::{Conversation, Ending, Next, Turn};
pub use error::{Error, ErrorKind, Result};
pub use evidence::{Evidence, SentSyns};
pub use field::{ChainFields, Field, FieldSpec, FieldType, FieldValue};
pub use flow_record::FlowRecord;
pub use flows::{Flow, Flows};
pub use host::{Host, Level};
pub use info::{ChainName, Info};
pub use job::Job;
pub use location::{Change, Finding, Hop, Location};
pub use measurement::{Measurement, Prepared};
pub use options::{OptionKind, OptionSpec, OptionValues, Options};
pub use ordinary::OrdinarySyns;
pub use outcome::{OUTCOME_KEYS, Outcome, State};
pub use quic_marks::{Marked, QuicMarks};
pub use system::{System, SystemChanges};
pub use value::ValueRef;
