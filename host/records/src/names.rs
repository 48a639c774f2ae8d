//! The names of the keys that are written into records beside what a measurement finds: what writes
//! records and what reads them take the names from here.

/// The version of the format, a number.
pub const SCHEMA: &str = "schema";
/// The version that is written.
pub const SCHEMA_VERSION: u64 = 1;
/// What tells a run's records from those of others.
pub const RUN: &str = "run";
/// The measurement.
pub const PLUGIN: &str = "plugin";
/// The measurement's version.
pub const VERSION: &str = "version";
/// The place that was measured from.
pub const VANTAGE: &str = "vantage";
/// What whoever measured says of the run.
pub const TAGS: &str = "tags";
/// Why connections failed.
pub const FAILURES: &str = "failures";
/// What the input had under names that are ours.
pub const INPUT: &str = "input";
/// Round trips and TTLs.
pub const RTT: &str = "rtt";
/// Where on the path packets were harmed.
pub const LOCATION: &str = "location";
/// What the target says of the packets that came to it.
pub const FORWARD: &str = "forward";

/// Which of several measurements of the target, from 0.
pub const ROUND: &str = "round";
/// From how far the answers came.
pub const ANSWERED_FROM: &str = "answered_from";
/// The prefix by which the target's address stands for one of IPv4.
pub const TRANSLATED: &str = "translated";

/// What was concluded.
pub const CONDITIONS: &str = "conditions";
/// The results of the connections.
pub const FLOW_RESULTS: &str = "flow_results";
/// What tells a record from all others.
pub const JOB_ID: &str = "jobId";
/// How many connections the capture lacks.
pub const MISSED_FLOWS: &str = "missed_flows";
/// From the source to the target.
pub const PATH: &str = "path";
/// The source.
pub const SIP: &str = "sip";
/// When it was measured.
pub const TIME: &str = "time";
/// Why a connection failed, or the plugin.
pub const ERROR: &str = "spdr_error";
/// What a connection did when it failed.
pub const PHASE: &str = "spdr_phase";
/// The ICMP error that a connection met.
pub const ICMP: &str = "spdr_icmp";

/// Keys of networks: of the target, and of the source.
pub const NETWORKS: [[&str; 3]; 2] =
    [["dip_asn", "dip_prefix", "dip_country"], ["sip_asn", "sip_prefix", "sip_country"]];

/// Keys of a target's record that PATHspider writes too.
const OF_PATHSPIDER: [&str; 8] =
    [CONDITIONS, FLOW_RESULTS, JOB_ID, MISSED_FLOWS, PATH, SIP, ERROR, TIME];

/// Whether a key of a target's record is the program's own, in records of each kind.
pub fn is_ours(key: &str) -> bool {
    is_pathspiders(key)
        || matches!(
            key,
            SCHEMA
                | RUN
                | PLUGIN
                | VERSION
                | VANTAGE
                | TAGS
                | FAILURES
                | INPUT
                | RTT
                | LOCATION
                | FORWARD
                | ANSWERED_FROM
                | TRANSLATED
                | ROUND
        )
}

/// Whether it is one of those that PATHspider writes too.
pub fn is_pathspiders(key: &str) -> bool {
    OF_PATHSPIDER.contains(&key)
}

/// Whether it says in which network source or target are: the program's own where it was given
/// databases of networks, the input's otherwise.
pub fn is_of_networks(key: &str) -> bool {
    NETWORKS.iter().flatten().any(|name| *name == key)
}
