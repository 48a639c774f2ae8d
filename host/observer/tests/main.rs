//! The observer's tests, one program: reading, flows, claims, answers, chains, and what they must never do.

mod answers;
mod chains;
mod chains_page;
mod claims;
mod flows;
mod fragments;
mod fuzz_corpus;
mod fuzzing;
mod live;
mod network;
mod parity;
mod sources;
mod wire;
