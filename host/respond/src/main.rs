//! The program `pathspider-respond`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pathspider_respond::cli::main(std::env::args_os())
}
