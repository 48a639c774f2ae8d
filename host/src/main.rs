//! The program `pathspider`.

use std::process::ExitCode;

/// Records are made on one thread and freed on another, with which the C library's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pathspider::cli::main(std::env::args_os())
}
