//! The C file's observer chains.

use std::ffi::c_void;
use std::sync::OnceLock;

use pathspider_plugin_api::abi::NUMBERED;
use pathspider_plugin_api::packet::{Direction, Icmp, Ip, Layers, Packet};
use pathspider_plugin_api::{Chain, ChainInfo, Error, Fields as Written, Verdict};

use crate::declared::{self, CChain};
use crate::failure::called;
use crate::lent::Fields;

/// A chain, as it was declared.
struct Described {
    own: &'static CChain,
    info: ChainInfo,
}

/// The chain at place N of the C file's list.
#[derive(Default)]
pub(crate) struct Own<const N: usize>;

impl<const N: usize> Own<N> {
    fn described() -> &'static Described {
        static ALL: [OnceLock<Described>; NUMBERED] = [const { OnceLock::new() }; NUMBERED];
        ALL[N].get_or_init(|| {
            let chains = declared::plugin().map_or(&[][..], |plugin| plugin.chains());
            let own = &chains[N];
            Described { own, info: own.describe() }
        })
    }

    /// Calls the C file with a packet.
    fn show(flow: &mut State, packet: &Packet<'_>, is_icmp: bool) -> Verdict {
        let ip = packet.ip();
        let (header, transport, payload) = (ip.bytes(), packet.transport(), packet.payload());
        let shown = CPacket {
            time_ns: packet.time_ns(),
            ip: header.as_ptr(),
            ip_octets: header.len(),
            transport: transport.as_ptr(),
            transport_octets: transport.len(),
            payload: payload.as_ptr(),
            payload_octets: payload.len(),
            wire_octets: packet.ip_length(),
            version: header.first().map_or(0, |first| first >> 4),
            protocol: packet.protocol(),
            reverse: packet.direction() == Direction::Reverse,
            icmp: is_icmp,
        };
        if let (Some(function), None) = (Self::described().own.packet, &flow.failure) {
            // SAFETY: the C file's own function, with memory of the size that it asked for and with what it
            // keeps no pointer to.
            let called = called(|| unsafe { function(flow.place(), &raw const shown) });
            flow.failure = called.err();
        }
        Verdict::Continue
    }
}

/// `ps_packet`.
#[repr(C)]
pub(crate) struct CPacket {
    time_ns: i64,
    ip: *const u8,
    ip_octets: usize,
    transport: *const u8,
    transport_octets: usize,
    payload: *const u8,
    payload_octets: usize,
    wire_octets: u32,
    version: u8,
    protocol: u8,
    reverse: bool,
    icmp: bool,
}

/// What the C file remembers of a flow.
pub(crate) struct State {
    /// Aligned for any type of C.
    memory: Vec<u128>,
    failure: Option<Error>,
}

impl State {
    fn place(&mut self) -> *mut c_void {
        self.memory.as_mut_ptr().cast()
    }
}

impl<const N: usize> Chain for Own<N> {
    type Flow = State;
    const LAYERS: Layers = Layers::IP.and(Layers::ICMP);

    fn info() -> ChainInfo {
        Self::described().info.clone()
    }

    fn new_flow(&self, _: &Packet<'_>) -> Option<State> {
        let octets = Self::described().own.flow_octets();
        Some(State { memory: vec![0; octets.div_ceil(size_of::<u128>())], failure: None })
    }

    fn ip4(&self, flow: &mut State, _: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        // An ICMP message is shown once, below.
        if packet.layers().intersects(Layers::ICMP) {
            Verdict::Continue
        } else {
            Self::show(flow, packet, false)
        }
    }

    fn ip6(&self, flow: &mut State, ip: &Ip<'_>, packet: &Packet<'_>) -> Verdict {
        self.ip4(flow, ip, packet)
    }

    fn icmp4(&self, flow: &mut State, _: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        Self::show(flow, packet, true)
    }

    fn icmp6(&self, flow: &mut State, _: &Icmp<'_>, packet: &Packet<'_>) -> Verdict {
        Self::show(flow, packet, true)
    }

    fn finish(&self, mut flow: State, written: &mut Written<'_>) {
        let Described { own, info } = Self::described();
        let mut fields = Fields { chain: info, written };
        let finished = match (flow.failure.take(), own.finish) {
            (Some(failure), _) => Err(failure),
            (None, None) => Ok(()),
            // SAFETY: as in `show`.
            (None, Some(finish)) => called(|| unsafe { finish(flow.place(), &raw mut fields) }),
        };
        if let Err(error) = finished {
            // A chain has no other way to fail than to panic; the guard reports it.
            std::panic::resume_unwind(Box::new(error.message().to_owned()));
        }
    }
}
