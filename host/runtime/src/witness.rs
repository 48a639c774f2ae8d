//! Who reports that the program ended without a word of its own: a child process that watches it.
//!
//! The program ends in one place, [`ending`](crate::ending), or by a crash that it reports. A plugin can
//! end it otherwise, by the kernel's own call, which nothing in this process can meet; and it may be
//! killed. Then its exit status says nothing, 0 least of all. So the witness is forked before the first
//! plugin is loaded, and ended with the program's last word. While something is to be restored, the
//! keeper (`pathspider-system`) reports the end, for it says what became of the settings.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use crate::survivor::{self, Survivor, Watching};
use crate::threads::SingleThread;
use crate::{privileges, streams};

/// What is known of such an end.
const WHY: &str = "it was killed, or a plugin ended the process by a system call of its own. Whatever its \
                   exit status says, it did not finish";

/// The witness; it learns here which process it watches.
static WITNESS: Mutex<Option<Survivor>> = Mutex::new(None);

/// Its process, for handlers of signals; 0 while there is none.
static PID: AtomicI32 = AtomicI32::new(0);

/// Has the end of this process watched from now on. Where there can be no more processes, it is not.
pub fn begin(single: &SingleThread) {
    let mut witness = WITNESS.lock().unwrap_or_else(PoisonError::into_inner);
    if witness.is_some() {
        return;
    }
    let name = c"pathspider-ends";
    if let Ok(started) = Survivor::start(single, name, &[], privileges::give_up, watch) {
        PID.store(started.pid().as_raw_nonzero().get(), Ordering::SeqCst);
        *witness = Some(started);
    }
}

/// Says who reports an end from now on, and of what: the witness of this, such as "the ecn run"; or,
/// without it, somebody else.
pub fn reports(what: Option<&str>) {
    let mut witness = WITNESS.lock().unwrap_or_else(PoisonError::into_inner);
    // Where a plugin closed what is not its own, the pipe's number may be something else's by now.
    if let Some(witness) = witness.as_mut().filter(|_| streams::are_whole()) {
        // Where it is gone, nobody reports.
        let _ = witness.write(format!("{}\n", what.unwrap_or_default()).as_bytes());
    }
}

/// This process has said its last word. This may be called in a signal's handler.
pub(crate) fn dismiss() {
    if let Some(pid) = Pid::from_raw(PID.swap(0, Ordering::SeqCst)) {
        survivor::end(pid);
    }
}

/// What the child does.
fn watch(mut watching: Watching) {
    watching.wait();
    let said = watching.listen();
    let said = String::from_utf8_lossy(&said);
    match said.lines().next_back() {
        Some("") => {}
        what => {
            let what = what.unwrap_or("pathspider");
            survivor::say([format!("{what} ended without a word: {WHY}").as_str()]);
        }
    }
}
