//! What a bad library does to the process that it is in.

use std::io::Read;
use std::time::Duration;

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(120);

unsafe extern "C" {
    fn quick_exit(status: i32) -> !;
}

extern "C" fn end_at_once() {
    // SAFETY: none is asked for.
    unsafe { libc::_exit(0) }
}

/// Does it.
pub(crate) fn commit(deed: &str) {
    // SAFETY: none is asked for. It is what bad libraries do.
    unsafe {
        match deed {
            "exit" => std::process::exit(0),
            "quick-exit" => quick_exit(0),
            "exit-at-once" => libc::_exit(0),
            "exit-by-the-kernel" => {
                libc::syscall(libc::SYS_exit_group, 0);
            }
            "exit-on-a-thread" => {
                let _ = std::thread::spawn(|| std::process::exit(0)).join();
            }
            "exit-at-the-end" => {
                libc::atexit(end_at_once);
            }
            "panic-with-escapes" => panic!("\x1b[2J\x1b]0;mine\x07 and \u{202e}no more"),
            "print" => println!("{{\"dip\":\"192.0.2.1\",\"conditions\":[\"hostile.x\"]}}"),
            "read-input" => drop(std::io::stdin().read_to_end(&mut Vec::new())),
            "chdir" => drop(std::env::set_current_dir("/")),
            "umask" => {
                libc::umask(0o777);
            }
            "environment" => {
                std::env::set_var("PATH", "/nonexistent");
                std::env::set_var("PATHSPIDER_STATE_DIR", "/nonexistent");
            }
            "block-signals" => {
                let mut all = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
            }
            "kill-by-pipe" => {
                libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            }
            "close-standard" => (0..3).for_each(|fd| {
                libc::close(fd);
            }),
            "close-all" => {
                libc::close_range(3, u32::MAX, 0);
            }
            "stay" => std::thread::sleep(LONG),
            _ => {}
        }
    }
}
