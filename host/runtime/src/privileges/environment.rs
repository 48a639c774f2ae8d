//! The environment of a program that has more privileges than its user: only what this program knows is
//! kept, before any library reads it.
//!
//! The dynamic linker removes what the C library knows to be unsafe (ld.so(8), secure-execution mode).
//! Other libraries obey theirs: the allocator takes settings from `MIMALLOC_*`, and libibverbs, which
//! libpcap may be linked with, loads the libraries that `IBV_DRIVERS` names.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

/// What is kept: what the program itself goes by, and what shows text right.
const KEPT: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "PWD",
    "TZ",
    "LANG",
    "LANGUAGE",
    "TERM",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "RUST_BACKTRACE",
];

/// How names begin that are kept.
const KEPT_PREFIXES: [&str; 3] = ["LC_", "XDG_", "PATHSPIDER_"];

/// For the program's `.preinit_array`, whose functions the dynamic linker calls before the constructors
/// of any library: the allocator's reads the environment. It must not allocate.
///
/// # Safety
///
/// `environment` is null, or the process's environment as environ(7) has it, which nobody else uses
/// meanwhile.
pub unsafe extern "C" fn keep_known_variables(
    _count: c_int,
    _arguments: *mut *mut c_char,
    environment: *mut *mut c_char,
) {
    if super::has_privileges_of_its_own() {
        // SAFETY: as the caller promises.
        unsafe { retain(environment, is_known) };
    }
}

fn is_known(entry: &[u8]) -> bool {
    let name = entry.split(|&octet| octet == b'=').next().unwrap_or_default();
    KEPT.iter().any(|kept| kept.as_bytes() == name)
        || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Keeps these entries of an environment, in their order.
///
/// # Safety
///
/// It is null, or an array that ends with null, of strings, which nobody else uses meanwhile.
unsafe fn retain(environment: *mut *mut c_char, is_kept: impl Fn(&[u8]) -> bool) {
    if environment.is_null() {
        return;
    }
    let (mut from, mut to) = (environment, environment);
    // SAFETY: neither pointer goes beyond the null that ends the array: `from` stops there, and `to`
    // is never after it. Each entry before it is a string.
    unsafe {
        while !(*from).is_null() {
            if is_kept(CStr::from_ptr(*from).to_bytes()) {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        *to = std::ptr::null_mut();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn only_what_is_known_is_kept() {
        let entries = [
            "MIMALLOC_VERBOSE=1",
            "HOME=/home/a",
            "mimalloc_reserve_os_memory=8GiB",
            "IBV_DRIVERS=/tmp/evil",
            "LC_ALL=C",
            "HOMES=x",
            "PATHSPIDER_PLUGINS=/a=b",
            "no equals sign",
            "",
        ];
        let strings = entries.map(|entry| CString::new(entry).unwrap());
        let mut array: Vec<*mut c_char> =
            strings.iter().map(|string| string.as_ptr().cast_mut()).collect();
        array.push(std::ptr::null_mut());
        // SAFETY: the array is as it has to be, and this test's own.
        unsafe {
            retain(array.as_mut_ptr(), is_known);
            retain(std::ptr::null_mut(), is_known);
        }
        let kept: Vec<&CStr> = array
            .iter()
            .take_while(|entry| !entry.is_null())
            // SAFETY: the strings live until the end of the test.
            .map(|&entry| unsafe { CStr::from_ptr(entry) })
            .collect();
        assert_eq!(kept, [c"HOME=/home/a", c"LC_ALL=C", c"PATHSPIDER_PLUGINS=/a=b"]);
    }
}
