//! The numbers of TCP options: their kinds (IANA's registry of TCP option kind numbers) and lengths. An
//! option is its kind, its length and its value; padding is a kind alone.

/// The end of the list.
pub const END: u8 = 0;
/// No operation: padding between options.
pub const NOP: u8 = 1;
/// Maximum segment size (RFC 9293, section 3.7.1).
pub const MSS: u8 = 2;
/// The length of the option [`MSS`].
pub const MSS_LENGTH: u8 = 4;
/// Window scale (RFC 7323, section 2).
pub const WINDOW_SCALE: u8 = 3;
/// The length of the option [`WINDOW_SCALE`].
pub const WINDOW_SCALE_LENGTH: u8 = 3;
/// Selective acknowledgments are permitted (RFC 2018, section 2).
pub const SACK_PERMITTED: u8 = 4;
/// The length of the option [`SACK_PERMITTED`].
pub const SACK_PERMITTED_LENGTH: u8 = 2;
/// Timestamps (RFC 7323, section 3).
pub const TIMESTAMPS: u8 = 8;
/// The length of the option [`TIMESTAMPS`].
pub const TIMESTAMPS_LENGTH: u8 = 10;
/// Multipath TCP (RFC 8684).
pub const MULTIPATH: u8 = 30;
/// A Fast Open cookie, or the request for one (RFC 7413, section 4.1.1).
pub const FAST_OPEN: u8 = 34;
/// Accurate ECN's option with the counter of ECT(0) first (RFC 9768, section 3.2.3).
pub const ACCURATE_ECN_0: u8 = 172;
/// Accurate ECN's option with the counter of ECT(1) first.
pub const ACCURATE_ECN_1: u8 = 174;
/// The two kinds for experiments (RFC 4727). Their values begin with the experiment's number (RFC 6994).
pub const EXPERIMENTS: [u8; 2] = [253, 254];
/// The number of Fast Open's experiment, which came before [`FAST_OPEN`].
pub const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// Octets of kind and length, before an option's value.
pub const HEADER: usize = 2;
/// Octets of options that a header can have at most (RFC 9293, section 3.1).
pub const ROOM: usize = 40;
