//! `trace`: where on the path to a target packets of several features are changed, dropped or refused,
//! for people.
//!
//! What is sent is a function of the features ([`features`]); the search is `pathspider-locate`'s, and
//! here is who drives it ([`drive`]). What was found becomes a table and sentences ([`table`], [`show`]),
//! and so does what a measurement's record says of where.

mod drive;
mod features;
mod show;
mod table;

pub(crate) use drive::{Ended, TraceError, Tracer};
pub(crate) use features::Feature;
pub(crate) use show::{Colours, Surroundings, found, json, text};
pub(crate) use table::Traced;
