//! The program `pathspider`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pathspider::cli::main(std::env::args_os())
}
