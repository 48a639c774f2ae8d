//! What the end-to-end tests share: the built program, a network to run it in, and strict readers
//! of what it writes.

mod author;
mod compile;
mod network;
mod program;
mod pypi;
mod record;
mod wait;

pub use author::{authors_cargo, authors_target};
pub use compile::compile;
pub use network::{Names, Network, Path, names, network, path, run};
pub use program::{Ended, Program, built, skipped, state_dir, temp_dir, unread_messages};
pub use pypi::python_with;
pub use record::{AnsweredFrom, FlowResult, Record, ranks, records, unlike_schema};
pub use wait::{wait_for_handlers, wait_until};
