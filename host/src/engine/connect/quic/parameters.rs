//! The target's transport parameters (RFC 9000, section 18), as the record has them.

use pathspider_plugin_api::packet::quic::varint;
use pathspider_plugin_api::{Record, Value};

/// Those that are numbers, with the names that the RFC gives them.
const NUMBERS: [(u64, &str); 12] = [
    (0x01, "max_idle_timeout"),
    (0x03, "max_udp_payload_size"),
    (0x04, "initial_max_data"),
    (0x05, "initial_max_stream_data_bidi_local"),
    (0x06, "initial_max_stream_data_bidi_remote"),
    (0x07, "initial_max_stream_data_uni"),
    (0x08, "initial_max_streams_bidi"),
    (0x09, "initial_max_streams_uni"),
    (0x0a, "ack_delay_exponent"),
    (0x0b, "max_ack_delay"),
    (0x0e, "active_connection_id_limit"),
    // RFC 9221.
    (0x20, "max_datagram_frame_size"),
];

/// Those that say something by being there. The last one is of RFC 9287.
const FLAGS: [(u64, &str); 2] =
    [(0x0c, "disable_active_migration"), (GREASE_QUIC_BIT, "grease_quic_bit")];
const GREASE_QUIC_BIT: u64 = 0x2ab2;

/// How many others are named.
const OTHERS: usize = 32;

/// What the target said of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    known: Record,
    /// The numbers of the others, in hexadecimal.
    others: Vec<Value>,
    /// Whether it takes packets whatever the bit that QUIC fixes to 1.
    pub(super) grease_quic_bit: bool,
}

impl Parameters {
    /// Reads them, as far as they can be.
    pub(super) fn read(octets: &[u8]) -> Parameters {
        let mut parameters = Parameters::default();
        let mut rest = octets;
        while let Some((id, value, after)) = next(rest) {
            parameters.take(id, value);
            rest = after;
        }
        parameters
    }

    fn take(&mut self, id: u64, value: &[u8]) {
        let named = |list: &[(u64, &'static str)]| {
            list.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
        };
        if let Some(name) = named(&FLAGS) {
            self.grease_quic_bit |= id == GREASE_QUIC_BIT;
            self.known.set(name, true);
        } else if let (Some(name), Some((number, _))) = (named(&NUMBERS), varint(value)) {
            self.known.set(name, number);
        } else if self.others.len() < OTHERS {
            self.others.push(format!("{id:#x}").into());
        }
    }

    /// As the record has them.
    pub(super) fn record(&self) -> Record {
        let others: Value = self.others.iter().cloned().collect();
        self.known.clone().with("others", others)
    }
}

/// The first parameter: its number, its value, and what follows.
fn next(octets: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (id, rest) = varint(octets)?;
    let (length, rest) = varint(rest)?;
    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((id, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_flags_and_others_are_told_apart() {
        let octets = [
            &[0x01, 4, 0x80, 0, 0x75, 0x30][..],
            &[0x0c, 0],
            &[0x6a, 0xb2, 0],
            &[0x02, 16],
            &[7; 16],
            &[0x40, 0x79, 1, 9],
        ]
        .concat();
        let parameters = Parameters::read(&octets);
        assert!(parameters.grease_quic_bit);
        let record = parameters.record();
        assert_eq!(record.u64("max_idle_timeout"), Some(30_000));
        assert_eq!(record.bool("disable_active_migration"), Some(true));
        let others = record.get("others").and_then(Value::as_list).unwrap();
        assert_eq!(others.iter().filter_map(Value::as_str).collect::<Vec<_>>(), ["0x2", "0x79"]);
        for length in 0..octets.len() {
            assert!(Parameters::read(&octets[..length]).record().len() <= 4);
        }
    }

    #[test]
    fn a_list_without_end_is_cut() {
        let many = [0x40, 0x50, 0].repeat(20_000);
        let record = Parameters::read(&many).record();
        assert_eq!(record.get("others").and_then(Value::as_list).map(<[_]>::len), Some(OTHERS));
    }
}
