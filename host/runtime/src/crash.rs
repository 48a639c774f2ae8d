//! What is said when a plugin crashes the process: which one, and in which of its functions.
//!
//! A crash cannot be survived: the memory of the whole process is in doubt. So the handler only
//! writes a line, with what a signal's handler may use, and lets the signal end the process. The
//! settings of the system come back all the same, for another process keeps them (`system`).
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::time::Duration;

use crate::line::Line;
use crate::patience::LAST_WORDS;
use crate::{ending, text};
use pathspider_plugin_api::abi::running;

/// The signals of a crash.
const SIGNALS: [(c_int, &str); 6] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGSYS, "SIGSYS"),
];

/// The code of the plugins that are loaded.
static CODE: AtomicPtr<Vec<Code>> = AtomicPtr::new(std::ptr::null_mut());

/// The file that is being loaded.
static LOADING: AtomicPtr<String> = AtomicPtr::new(std::ptr::null_mut());

/// What the signals did before: the standard library's own handler tells of a stack overflow.
static BEFORE: OnceLock<Vec<(c_int, libc::sigaction)>> = OnceLock::new();

/// The thread that crashed first; 0 while none has. It alone speaks, and its signal ends the process:
/// the others wait, so that there is one message, of the signal that the process ends by.
static FIRST: AtomicI32 = AtomicI32::new(0);

/// How long the others wait: longer than the first can take to write what there is to say.
const PATIENCE: Duration = LAST_WORDS.saturating_mul(4);

/// Where a plugin's code is in memory.
struct Code {
    from: usize,
    to: usize,
    /// What is at `from`, in the file.
    offset: usize,
    /// As it is shown.
    path: String,
}

/// Has crashes told, from now on.
pub fn watch() {
    BEFORE.get_or_init(|| SIGNALS.iter().filter_map(|&(signal, _)| install(signal)).collect());
}

/// Notes that a file is being loaded; it may crash then. Until this is called with `None`.
pub fn loading(path: Option<&Path>) {
    // What was noted is leaked: a handler may be reading it.
    let path = path.map_or(std::ptr::null_mut(), |path| Box::into_raw(Box::new(text::path(path))));
    LOADING.store(path, Ordering::Relaxed);
}

/// Finds the code of those plugins that are loaded by now.
pub fn loaded<'a>(plugins: impl Iterator<Item = &'a Path>) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let paths: Vec<PathBuf> = plugins.filter_map(|path| path.canonicalize().ok()).collect();
    let code = maps.lines().filter_map(|line| code(line, &paths)).collect();
    // What was found before is leaked: a handler may be reading it.
    CODE.store(Box::into_raw(Box::new(code)), Ordering::Relaxed);
}

/// A line of proc_pid_maps(5): `from-to perms offset device inode path`.
fn code(line: &str, plugins: &[PathBuf]) -> Option<Code> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let executable = fields.next()?.contains('x');
    let offset = fields.next()?;
    let path = &line[line.find('/')?..];
    if !executable || !plugins.iter().any(|plugin| plugin == Path::new(path)) {
        return None;
    }
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(Code {
        from: number(from)?,
        to: number(to)?,
        offset: number(offset)?,
        path: text::path(Path::new(path)),
    })
}

fn install(signal: c_int) -> Option<(c_int, libc::sigaction)> {
    // SAFETY: a `sigaction` of zeros is valid: the default action, an empty mask, no flags.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = crashed;
    action.sa_sigaction = handler as usize;
    // The stack may be what overflowed: the standard library gives each thread another one.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let mut before = MaybeUninit::uninit();
    // SAFETY: both point to such structs, and the handler keeps to what handlers may do.
    let result = unsafe { libc::sigaction(signal, &raw const action, before.as_mut_ptr()) };
    // SAFETY: where it succeeded the kernel has filled it.
    (result == 0).then(|| (signal, unsafe { before.assume_init() }))
}

/// The handler. It uses no lock and no allocation.
extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    match FIRST.compare_exchange(0, thread, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => speak(signal, context),
        // What is done about the first crash ends in another signal: who overflows the stack aborts.
        Err(first) if first == thread => {}
        // The first crash ends the process. If it does not, this one is to.
        Err(_) => std::thread::sleep(PATIENCE),
    }
    hand_on(signal, info, context);
}

/// Says what crashed. Its line is off the stack when it returns, for a handler has little stack.
#[inline(never)]
fn speak(signal: c_int, context: *mut c_void) {
    let mut line = Line::new();
    say(&mut line, signal, instruction(context));
    // What was said before comes first.
    crate::say::end_soon();
    line.write();
    ending::told();
}

/// Lets the signal do what it did before.
fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid `info` to a handler with `SA_SIGINFO`.
    let by_fault = !info.is_null() && unsafe { (*info).si_code } > 0;
    let before = BEFORE.get().and_then(|all| all.iter().find(|(number, _)| *number == signal));
    let before = before.map(|(_, before)| before).filter(|before| has_handler(before));
    if let Some(before) = before.filter(|_| by_fault) {
        // The action is not given back to the signal: another thread may crash meanwhile, and is to
        // wait above.
        type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: with `SA_SIGINFO`, and neither ignored nor the default, it is such a function.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(before.sa_sigaction) };
        // It ends the process, or sets the default action, by which the instruction that failed
        // ends the process when it is run again.
        return handler(signal, info, context);
    }
    // SAFETY: both functions may be called in a handler. The instruction that failed is run again,
    // and now ends the process; a signal that somebody sent is sent again.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if !by_fault {
            libc::raise(signal);
        }
    }
}

/// Whether this is a function that takes all three arguments.
fn has_handler(action: &libc::sigaction) -> bool {
    action.sa_flags & libc::SA_SIGINFO != 0
        && !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

fn say(line: &mut Line, signal: c_int, instruction: usize) {
    // SAFETY: it is null, or points to a list that is never freed.
    let code = unsafe { CODE.load(Ordering::Relaxed).as_ref() }
        .and_then(|all| all.iter().find(|code| (code.from..code.to).contains(&instruction)));
    let call = running();
    // SAFETY: it is null, or points to a text that is never freed.
    let loading = unsafe { LOADING.load(Ordering::Relaxed).as_ref() };
    line.add("\npathspider: ");
    match (code, call, loading) {
        (None, None, None) => line.add("crashed"),
        (_, _, Some(path)) => {
            line.add("the plugin ");
            line.add(path);
            line.add(" crashed while it was loaded");
        }
        (Some(code), ..) => {
            line.add("the plugin ");
            line.add(&code.path);
            line.add(" crashed");
        }
        (None, Some(call), None) => {
            line.add("the plugin ");
            line.add(call.plugin.name());
            line.add(" crashed");
        }
    }
    if let Some(call) = call {
        line.add(" in `");
        line.add(call.function.name());
        line.add("`");
    }
    let name = SIGNALS.iter().find(|(number, _)| *number == signal).map_or("", |(_, name)| name);
    line.add(", by ");
    line.add(name);
    if let Some(code) = code {
        line.add(", at ");
        line.add_hexadecimal(instruction - code.from + code.offset);
        line.add(" of the file");
    }
    line.add("; this process ends\n");
}

/// Where the thread was.
fn instruction(context: *mut c_void) -> usize {
    let context = context.cast::<libc::ucontext_t>();
    if context.is_null() {
        return 0;
    }
    // SAFETY: the kernel passes a valid context to a handler with `SA_SIGINFO`.
    #[cfg(target_arch = "x86_64")]
    return unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as usize };
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    return unsafe { (*context).uc_mcontext.pc as usize };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_in_the_map() {
        let line = "7f0a1000-7f0a3000 r-xp 00002000 08:01 77   /usr/lib/pathspider/x y.so";
        let plugins = [PathBuf::from("/usr/lib/pathspider/x y.so")];
        let found = code(line, &plugins).unwrap();
        assert_eq!((found.from, found.to, found.offset), (0x7f0a_1000, 0x7f0a_3000, 0x2000));
        assert!(code(&line.replace("r-xp", "r--p"), &plugins).is_none());
        assert!(code(line, &[]).is_none());
        let forging = [PathBuf::from("/x\x1b[2J.so")];
        let found = code("1000-2000 r-xp 0 08:01 77 /x\x1b[2J.so", &forging).unwrap();
        assert_eq!(found.path, "/x\\u{1b}[2J.so");
    }
}
