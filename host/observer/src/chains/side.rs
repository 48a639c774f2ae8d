//! What a chain keeps for each direction.

/// A value for each direction: `[forward, reverse]`.
pub(super) type Both<T> = [T; 2];

/// The place of a direction in [`Both`].
#[inline]
pub(super) fn side(packet: &pathspider_plugin_api::packet::Packet<'_>) -> usize {
    packet.direction() as usize
}
