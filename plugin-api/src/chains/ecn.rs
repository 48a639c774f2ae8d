//! The fields of the chain `ecn`.

crate::fields! {
    pub CHAIN = "ecn": "ECN marks on SYNs and on other packets";
    ECT0_SYN_FWD: bool = "ecn_ect0_syn_fwd": "ECT(0) on a SYN from the originator";
    ECT1_SYN_FWD: bool = "ecn_ect1_syn_fwd": "ECT(1) on a SYN from the originator";
    CE_SYN_FWD: bool = "ecn_ce_syn_fwd": "CE on a SYN from the originator";
    ECT0_DATA_FWD: bool = "ecn_ect0_data_fwd": "ECT(0) on another packet from the originator";
    ECT1_DATA_FWD: bool = "ecn_ect1_data_fwd": "ECT(1) on another packet from the originator";
    CE_DATA_FWD: bool = "ecn_ce_data_fwd": "CE on another packet from the originator";
    ECT0_SYN_REV: bool = "ecn_ect0_syn_rev": "ECT(0) on a SYN to the originator";
    ECT1_SYN_REV: bool = "ecn_ect1_syn_rev": "ECT(1) on a SYN to the originator";
    CE_SYN_REV: bool = "ecn_ce_syn_rev": "CE on a SYN to the originator";
    ECT0_DATA_REV: bool = "ecn_ect0_data_rev": "ECT(0) on another packet to the originator";
    ECT1_DATA_REV: bool = "ecn_ect1_data_rev": "ECT(1) on another packet to the originator";
    CE_DATA_REV: bool = "ecn_ce_data_rev": "CE on another packet to the originator";
}
