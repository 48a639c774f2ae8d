//! The fields of the chain `syn`.

use crate::packet::{OptionKinds, TcpFlags};

crate::fields! {
    pub CHAIN = "syn": "flags and options of all SYNs, repeated ones included";
    COUNT_FWD: u32 = "syn_count_fwd" in "packets": "SYNs from the originator";
    COUNT_REV: u32 = "syn_count_rev" in "packets": "SYNs to the originator";
    FLAGS_ALL_FWD: TcpFlags = "syn_flags_all_fwd":
        "flags (AE is 256) that every SYN from the originator has; null without SYN";
    FLAGS_ALL_REV: TcpFlags = "syn_flags_all_rev":
        "flags that every SYN to the originator has; null without SYN";
    FLAGS_ANY_FWD: TcpFlags = "syn_flags_any_fwd":
        "flags that some SYN from the originator has; null without SYN";
    FLAGS_ANY_REV: TcpFlags = "syn_flags_any_rev":
        "flags that some SYN to the originator has; null without SYN";
    OPTIONS_ALL_FWD: OptionKinds = "syn_options_all_fwd":
        "kinds of options that every SYN from the originator has, sorted; null without SYN";
    OPTIONS_ALL_REV: OptionKinds = "syn_options_all_rev":
        "kinds of options that every SYN to the originator has, sorted; null without SYN";
    OPTIONS_ANY_FWD: OptionKinds = "syn_options_any_fwd":
        "kinds of options that some SYN from the originator has, sorted; null without SYN";
    OPTIONS_ANY_REV: OptionKinds = "syn_options_any_rev":
        "kinds of options that some SYN to the originator has, sorted; null without SYN";
}
