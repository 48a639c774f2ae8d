//! Captures packets and turns them into flow records.
