//! One declaration of a chain's fields, for its description and its records alike.

use pathspider_plugin_api::{ChainInfo, FieldType, FlowRecord, Value};

/// A field: its name, type, unit and meaning.
pub(super) type Spec = (&'static str, FieldType, &'static str, &'static str);

/// The fields of a chain, in the order in which it writes them.
pub(super) struct Fields<const N: usize>(pub(super) [Spec; N]);

impl<const N: usize> Fields<N> {
    /// The chain's description.
    pub(super) fn info(&self, name: &str, description: &str) -> ChainInfo {
        let info = ChainInfo::new(name, description);
        self.0.iter().fold(info, |info, &(field, kind, unit, meaning)| {
            info.field_in(field, kind, unit, meaning)
        })
    }

    /// Writes one value for each field, in the fields' order.
    #[inline(always)]
    pub(super) fn write(&self, record: &mut FlowRecord, values: [Value; N]) {
        for (&(name, ..), value) in self.0.iter().zip(values) {
            record.push(name, value);
        }
    }
}

/// A value for each direction: `[forward, reverse]`.
pub(super) type Both<T> = [T; 2];

/// The place of a direction in [`Both`].
#[inline]
pub(super) fn side(packet: &pathspider_plugin_api::packet::Packet<'_>) -> usize {
    packet.direction() as usize
}
