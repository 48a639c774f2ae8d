#![doc = include_str!("../README.md")]

mod chain;
mod measurement;

pub use chain::{hops, Hops};
pub use measurement::Example;

pathspider_plugin_api::export_plugin! { measurements: [Example], chains: [Hops] }
