//! The program `pathspider-fleet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pathspider_fleet::cli::main(std::env::args_os())
}
