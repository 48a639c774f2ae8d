//! The words of both measurements' options. The tests that run them read this file too, so that none is
//! forgotten there.

/// The functions that are called before the run.
pub(crate) const BEFORE: [&str; 3] = ["new", "configurations", "chains"];

/// Those that are called in it, in their order.
pub(crate) const IN_RUN: [&str; 9] = [
    "configure",
    "pre-connect",
    "connect",
    "post-connect",
    "merge",
    "combine",
    "rows",
    "finish",
    "drop",
];

/// What ends the process.
pub(crate) const ENDS: [&str; 6] = [
    "exit",
    "quick-exit",
    "exit-at-once",
    "exit-by-the-kernel",
    "exit-on-a-thread",
    "exit-at-the-end",
];

/// What would change the process for the host.
pub(crate) const DISTURBS: [&str; 8] = [
    "print",
    "read-input",
    "chdir",
    "umask",
    "environment",
    "block-signals",
    "kill-by-pipe",
    "close-standard",
];

/// What else a bad library does.
pub(crate) const OTHERS: [&str; 3] = ["panic-with-escapes", "close-all", "stay"];

/// What no host can do.
pub(crate) const WAYS: [&str; 22] = [
    "declines",
    "dscp-out-of-range",
    "no-hops",
    "tiny-segments",
    "no-time",
    "setting-of-another-kind",
    "header-name",
    "header-value",
    "query-name",
    "alpn-empty",
    "no-packets",
    "broken-packet",
    "wrong-checksum",
    "settings-of-packets",
    "no-such-parameter",
    "value-refused",
    "failing-command",
    "no-such-command",
    "bad-rule",
    "failing-undo",
    "blocks",
    "dawdles",
];
