//! Notes which plugin's function the present thread is in, so that the report of a crash can name it.
//!
//! It is noted at the host's end of every call, in a thread-local that needs neither a destructor
//! nor memory of the heap, so that a signal handler of the same thread may read it. A thread may
//! show it to others too.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};

crate::variants! {
    /// A function of the contract.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(u8)]
    #[allow(missing_docs)] // They are named like the functions of `Measurement` and `Chain`.
    pub enum Function {
        Describe,
        Canary,
        New,
        Drop,
        Configurations,
        Configure,
        PreConnect,
        Connect,
        PostConnect,
        Chains,
        Merge,
        Combine,
        Rows,
        Located,
        Finish,
        ChainDescribe,
        ChainNew,
        ChainNewFlow,
        ChainPacket,
        ChainFinish,
        ConversationBegin,
        ConversationPacket,
        ConversationTimer,
        ConversationEnd,
    }
}

impl Function {
    /// The name that authors know it by.
    pub fn name(self) -> &'static str {
        match self {
            Function::Describe => "info or options",
            Function::Canary => "the canary of export_plugin!",
            Function::New => "new",
            Function::Drop => "drop",
            Function::Configurations => "configurations",
            Function::Configure => "configure",
            Function::PreConnect => "pre_connect",
            Function::Connect => "connect",
            Function::PostConnect => "post_connect",
            Function::Chains => "chains",
            Function::Merge => "merge",
            Function::Combine => "combine",
            Function::Rows => "rows",
            Function::Located => "located",
            Function::Finish => "finish",
            Function::ChainDescribe => "info of a chain",
            Function::ChainNew => "default of a chain",
            Function::ChainNewFlow => "new_flow of a chain",
            Function::ChainPacket => "a packet function of a chain",
            Function::ChainFinish => "finish of a chain",
            Function::ConversationBegin => "begin of a conversation",
            Function::ConversationPacket => "packet of a conversation",
            Function::ConversationTimer => "timer of a conversation",
            Function::ConversationEnd => "end of a conversation",
        }
    }
}

/// A plugin, for messages: the path of its file, or what stands for it where it is linked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(&'static &'static str);

impl Origin {
    /// What is not of a file.
    pub(crate) const LINKED: Origin = Origin(&"this program's own");

    /// A file. The name is kept for the rest of the process, as the library is.
    pub(crate) fn leaked(name: String) -> Origin {
        Origin(Box::leak(Box::new(&*name.leak())))
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Whether it is the same one, at a glance: one that is equal may be told apart.
    #[inline]
    pub(super) fn is(self, other: Origin) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// A call under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Whose function it is.
    pub plugin: Origin,
    /// The function.
    pub function: Function,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.function.name(), self.plugin.name())
    }
}

thread_local! {
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
    static SHOWN: Cell<Option<&'static Shown>> = const { Cell::new(None) };
}

/// What a thread shows of its calls to other threads.
#[derive(Default)]
pub struct Shown {
    /// How often it went into a function, or came back.
    changes: AtomicU64,
    /// Whose function it is in, as an [`Origin`]; null where it is in none.
    plugin: AtomicPtr<&'static str>,
    function: AtomicU8,
}

impl Shown {
    /// The call that the thread is in, and a number that is another one for every call. While the
    /// number stays, so does the call.
    pub fn call(&self) -> Option<(u64, Running)> {
        let before = self.changes.load(Ordering::Acquire);
        let plugin = self.plugin.load(Ordering::Acquire);
        let function = self.function.load(Ordering::Acquire);
        // SAFETY: `note` stores nothing but null and addresses of an `Origin`, which are valid for
        // the rest of the process.
        let plugin = Origin(unsafe { plugin.as_ref() }?);
        let function = *Function::ALL.get(usize::from(function))?;
        let is_whole = self.changes.load(Ordering::Acquire) == before;
        is_whole.then_some((before, Running { plugin, function }))
    }

    /// How many calls the thread made so far.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> u64 {
        self.changes.load(Ordering::Relaxed) / 2
    }

    fn note(&self, running: Option<Running>) {
        // Only the thread itself writes.
        self.changes.store(self.changes.load(Ordering::Relaxed) + 1, Ordering::Release);
        let plugin =
            running.map_or(std::ptr::null(), |running| std::ptr::from_ref(running.plugin.0));
        self.plugin.store(plugin.cast_mut(), Ordering::Release);
        if let Some(running) = running {
            self.function.store(running.function as u8, Ordering::Release);
        }
    }
}

/// Shows the calls of the present thread from now on. What is shown is kept for the rest of the
/// process.
pub fn show() -> &'static Shown {
    SHOWN.get().unwrap_or_else(|| {
        let shown: &'static Shown = Box::leak(Box::default());
        SHOWN.set(Some(shown));
        shown
    })
}

/// Notes what the thread is in from now on; gives what it was in.
#[inline]
fn note(running: Option<Running>) -> Option<Running> {
    if let Some(shown) = SHOWN.get() {
        shown.note(running);
    }
    RUNNING.replace(running)
}

/// The plugin's function that this thread is in, if any. A signal handler may ask.
pub fn running() -> Option<Running> {
    RUNNING.get()
}

/// Notes that a call begins; when dropped, what was noted before holds again.
pub(super) struct Noted(Option<Running>);

impl Noted {
    #[inline]
    pub(super) fn new(plugin: Origin, function: Function) -> Noted {
        Noted(note(Some(Running { plugin, function })))
    }

    /// The same plugin set goes on with another function or member.
    #[inline]
    pub(super) fn change(&self, plugin: Origin, function: Function) {
        note(Some(Running { plugin, function }));
    }
}

impl Drop for Noted {
    #[inline]
    fn drop(&mut self) {
        note(self.0);
    }
}

/// A value whose destructor is the plugin's: while it runs, `drop` is what the thread is in.
pub(super) struct Owned<T> {
    // Fields are dropped in this order.
    begin: Begin,
    value: T,
    end: End,
}

struct Begin(Origin);
struct End;

impl<T> Owned<T> {
    pub(super) fn new(plugin: Origin, value: T) -> Owned<T> {
        Owned { begin: Begin(plugin), value, end: End }
    }

    pub(super) fn get(&self) -> &T {
        &self.value
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The value, which whoever takes it drops.
    pub(super) fn into_inner(self) -> T {
        let Owned { begin, value, end } = self;
        std::mem::forget((begin, end));
        value
    }
}

impl Drop for Begin {
    fn drop(&mut self) {
        note(Some(Running { plugin: self.0, function: Function::Drop }));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        note(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_noted_while_they_last() {
        struct Asks;
        impl Drop for Asks {
            fn drop(&mut self) {
                assert_eq!(running().map(|r| r.function), Some(Function::Drop));
            }
        }
        let origin = Origin::leaked("x.so".to_owned());
        assert_eq!(running(), None);
        let outer = Noted::new(origin, Function::Connect);
        drop(Noted::new(Origin::LINKED, Function::Merge));
        assert_eq!(running().unwrap().to_string(), "connect in x.so");
        drop(outer);
        assert_eq!(running(), None);
        drop(Owned::new(origin, Asks));
        assert_eq!(running(), None);
    }

    #[test]
    fn other_threads_see_the_call_that_lasts() {
        for (number, function) in Function::ALL.into_iter().enumerate() {
            assert_eq!(function as usize, number);
        }
        let (tell, told) = std::sync::mpsc::channel();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let shown = show();
            let noted = Noted::new(Origin::leaked("y.so".to_owned()), Function::Combine);
            tell.send(shown).unwrap();
            waits.recv().unwrap();
            drop(noted);
        });
        let shown = told.recv().unwrap();
        let (number, call) = shown.call().unwrap();
        assert_eq!(call.to_string(), "combine in y.so");
        assert_eq!(shown.call().unwrap().0, number);
        go_on.send(()).unwrap();
        thread.join().unwrap();
        assert!(shown.call().is_none());
    }
}
