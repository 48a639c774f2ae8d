//! Three measurements: two do what a bad C library does, in the function that `--at` names, one of them
//! without changing the machine; one asks the host for what no host can do.
// What bad libraries do is not safe.
#![allow(unsafe_code)]

mod deed;
mod hostile;
mod mistaken;
mod words;

pub use hostile::Hostile;
pub use mistaken::Mistaken;

pathspider_plugin_api::export_plugin! { measurements: [Hostile<true>, Hostile<false>, Mistaken], chains: [] }
