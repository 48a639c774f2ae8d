//! Finds where on a path packets are changed, dropped or refused.
//!
//! A copy of the packet that carries a feature, the *marked* one, is sent with few hops to live, and so
//! is the same packet without the feature, the *plain* one. Routers quote what came to them. What is
//! sent next follows from what was heard so far.
//!
//! Nothing here has a socket or a clock. Whoever drives it
//!
//! 1. makes a [`Subject`] of packets as they leave this machine, and gives it to [`Locator::begin`] with
//!    three local ports that nobody else uses and for which the kernel answers nothing;
//! 2. gives every packet that comes in, from the IP header on, to [`Locator::heard`], with the time;
//! 3. calls [`Locator::poll`] when something was heard, and at the time of [`Locator::next`]; sends the
//!    packets that it gives, which are complete; and takes the [`Location`] of each course that ended.
//!
//! Time is a duration since any moment. `Settings::shape` chooses between a search by halves, which
//! spares routers and is for campaigns, and every hop, which is for people.
//!
//! Where the far end says itself what came to it, [`compare`] compares that with what left.
//!
//! How few packets come to the target is a rule of the course ([`course`]), and how often routers are
//! asked is one of [`pace`].

mod arrived;
pub mod course;
pub mod field;
pub mod location;
mod locator;
pub mod pace;
mod template;

pub use arrived::{Came, Compared, compare, differs_in};
pub use course::{Course, Settings, Shape, Side, Subject};
pub use field::{Change, Field, Reading};
pub use location::{Finding, HopSeen, Location, Span};
pub use locator::{CourseId, Locator, Polled, Send};
pub use template::Template;

/// A moment, as the time since any other one.
pub type Time = std::time::Duration;
