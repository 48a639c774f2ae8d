//! The program `pathspider-report`.

use std::process::ExitCode;

/// Records are read with many small allocations, with which the C library's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pathspider_report::cli::main(std::env::args_os())
}
