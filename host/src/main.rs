//! The program `pathspider`.

fn main() {}
