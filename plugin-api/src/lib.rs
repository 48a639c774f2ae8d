//! The contract between pathspider and its plugins.
