//! The program `pathspider`.

use std::ffi::{c_char, c_int};
use std::process::ExitCode;

use pathspider_runtime::ending;
use pathspider_runtime::privileges::keep_known_variables;

/// Records are made on one thread and freed on another, with which the C library's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the dynamic linker calls before the allocator reads its settings.
type Early = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char);

// The attribute is unsafe for the section's name: what stands there is called as `Early` is declared,
// with the process's environment, by the only thread that there is.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".preinit_array")]
static BEFORE_ALL: Early = keep_known_variables;

/// In place of the C library's: what plugins, and libraries of theirs, end the process by.
// The attribute is unsafe for the name: the function keeps what exit(2) promises of that of the name.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn _exit(status: c_int) -> ! {
    ending::at_once(status)
}

/// The same, by its name in ISO C.
// As above.
#[allow(unsafe_code, non_snake_case)]
#[unsafe(no_mangle)]
extern "C" fn _Exit(status: c_int) -> ! {
    ending::at_once(status)
}

fn main() -> ExitCode {
    pathspider::cli::main(std::env::args_os(), option_env!("PATHSPIDER_COMMIT"))
}
