//! What an author of a measurement needs, for `use pathspider_plugin_api::prelude::*`.

pub use crate::{
    Attempt, Carrier, ChainName, Change, Conclusion, Condition, ConfigId, Configuration, Connect,
    ConnectKind, Error, Evidence, Field, Finding, Flow, Flows, Hold, Host, Info, Job, Level,
    Location, Measurement, OptionValues, Options, OrdinarySyns, Outcome, Prepared, Record, Result,
    SentSyns, State, System, Value, conditions, export_plugin, info,
};
