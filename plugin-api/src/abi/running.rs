//! Which plugin's function the present thread is in: for whoever has to name it when it crashes.
//!
//! It is noted at the host's end of every call, in a thread-local that needs neither a destructor
//! nor memory of the heap, so that a signal handler of the same thread may read it.

use std::cell::Cell;
use std::fmt;

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
    DefaultPort,
    PreConnect,
    Connect,
    PostConnect,
    Chains,
    Merge,
    Combine,
    Rows,
    Finish,
    ChainDescribe,
    ChainNew,
    ChainNewFlow,
    ChainPacket,
    ChainFinish,
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
            Function::DefaultPort => "default_port",
            Function::PreConnect => "pre_connect",
            Function::Connect => "connect",
            Function::PostConnect => "post_connect",
            Function::Chains => "chains",
            Function::Merge => "merge",
            Function::Combine => "combine",
            Function::Rows => "rows",
            Function::Finish => "finish",
            Function::ChainDescribe => "info of a chain",
            Function::ChainNew => "default of a chain",
            Function::ChainNewFlow => "new_flow of a chain",
            Function::ChainPacket => "a packet function of a chain",
            Function::ChainFinish => "finish of a chain",
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
        Noted(RUNNING.replace(Some(Running { plugin, function })))
    }

    /// The same plugin set goes on with another function or member.
    #[inline]
    pub(super) fn change(&self, plugin: Origin, function: Function) {
        RUNNING.set(Some(Running { plugin, function }));
    }
}

impl Drop for Noted {
    #[inline]
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

/// A value whose destructor is the plugin's: while it runs, `drop` is what the thread is in.
pub(super) struct Owned<T> {
    // Fields are dropped in this order.
    _begin: Begin,
    value: T,
    _end: End,
}

struct Begin(Origin);
struct End;

impl<T> Owned<T> {
    pub(super) fn new(plugin: Origin, value: T) -> Owned<T> {
        Owned { _begin: Begin(plugin), value, _end: End }
    }

    pub(super) fn get(&self) -> &T {
        &self.value
    }
}

impl Drop for Begin {
    fn drop(&mut self) {
        RUNNING.set(Some(Running { plugin: self.0, function: Function::Drop }));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        RUNNING.set(None);
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
}
