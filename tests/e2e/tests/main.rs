//! End-to-end tests of the program, by subject:
//!
//! - `kinds`: every kind of connection, against servers that behave and that do not
//! - `dependent`: connections that depend on earlier ones
//! - `measure`: what it concludes and writes
//! - `evidence`: what records say of where they are from, and of why connections failed
//! - `measurements`: what each leaves of the machine, and what proves nothing
//! - `report`: what is made of records, and what changed between two sets of them
//! - `rounds`: targets that are measured several times
//! - `rejudging`: what a run wrote gives its conclusions again
//! - `stopping`: signals, and what is left afterwards
//! - `keeping`: outputs, metadata, and runs that go on after others
//! - `keeping_faults`: the same when disks fail, runs meet, and others put links in the way
//! - `privileges`: without root
//! - `probe`: all measurements of a few targets, on one page
//! - `faults`: what happens on the way
//! - `restoring`: the system's settings after crashes and kills
//! - `soak`: a long run with faults at random; not among the ordinary tests
//! - `bad_input`: what it says, and its exit status
//! - `odd_lines`: command lines that nobody means
//! - `bench`: the benchmark, on few targets
//! - `fleet`: campaigns on many vantage points
//! - `forging`: packets that plugins made
//! - `extensions`: options, extension headers and sizes, and machines that cannot make them
//! - `conversations`: packets that depend on answers
//! - `answers`: forged and sprayed answers, and packets that are sent back
//! - `middle`: boxes on the way that keep state
//! - `responding`: the far end of a path that one owns
//! - `inputs`: formats, names, duplicates, courtesy, order and limits
//! - `observe`: sources, chains from plugins, signals
//! - `discovery`: finding plugins among files of every kind
//! - `versions`: plugins built against other versions of the contract, and foreign libraries
//! - `uplinks`: machines with several, and with few local ports
//! - `trace`: where on a path packets are harmed
//! - `trust`: whose plugins a privileged program takes
//! - `uninstalling`: of several installations, one
//! - `campaigns`: several measurements of the same targets, which go on after any end
//! - `check`: the rules of the contract
//! - `examples`: measurements that are written against the contract as examples
//! - `languages`: measurements in C and Python
//! - `template`: forks of the template, built by several compilers
//! - `plugins`: running them, and surviving what they do
//! - `mistakes`: what a run refuses, `check` refuses
//! - `hostile`: plugins that do what bad C libraries do
//! - `forms`: command lines of every generation, help
//! - `completions`: what a shell suggests
//! - `doctor`: whether the machine can measure
//! - `filter`: picking and counting records

// Helpers of tests are tests too: a failure is a panic.
#![allow(clippy::unwrap_used)]

mod answers;
mod bad_input;
mod bench;
mod campaigns;
mod check;
mod completions;
mod conversations;
mod dependent;
mod discovery;
mod doctor;
mod evidence;
mod examples;
mod extensions;
mod faults;
mod filter;
mod fleet;
mod forging;
mod forms;
mod hostile;
mod inputs;
mod keeping;
mod keeping_faults;
mod kinds;
mod languages;
mod locating;
mod machine;
mod measure;
mod measurements;
mod middle;
mod mistakes;
mod observe;
mod odd_lines;
mod plugins;
mod privileges;
mod probe;
mod progress;
mod rejudging;
mod report;
mod responding;
mod restoring;
mod rounds;
mod soak;
mod stopping;
mod template;
mod trace;
mod trust;
mod uninstalling;
mod uplinks;
mod versions;
