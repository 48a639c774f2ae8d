//! Owns the program `pathspider-lab`: nothing but the way into [`cli`].

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
