//! Finds plugins, loads them, and knows what they offer.

mod load;
mod registry;
mod search;
mod secure;

pub use load::LoadError;
pub use registry::{Found, Plugin, Registry, Rejected, Shadowed};
pub use search::{SearchPath, candidates};
pub(crate) use secure::has_privileges_of_its_own;
