//! The library chains, and the catalogue of all chains that a run can use.
