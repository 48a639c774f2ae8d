//! What tells the packets of one flow from those of another one, whatever a translator made of its port: the
//! sequence number of TCP's first segment, the first octets of UDP's first datagram.

/// Octets of a datagram that are looked at.
const OCTETS: usize = 16;

/// Octets of data by which a flow is found alone.
const TELLING: usize = 8;

/// The mark of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    octets: [u8; OCTETS],
    length: u8,
    is_number: bool,
}

impl Mark {
    /// Of a segment with this sequence number.
    pub fn of_sequence(number: u32) -> Mark {
        Mark { is_number: true, ..Mark::of_data(&number.to_be_bytes()) }
    }

    /// Of a datagram with these data.
    pub fn of_data(data: &[u8]) -> Mark {
        let mut octets = [0; OCTETS];
        let length = data.len().min(OCTETS);
        octets[..length].copy_from_slice(&data[..length]);
        Mark { octets, length: length as u8, is_number: false }
    }

    /// Whether no two flows of a few minutes have the same one but by rare chance.
    pub fn is_telling(&self) -> bool {
        self.is_number || usize::from(self.length) >= TELLING
    }

    /// As a message has it: its length, and its octets.
    pub(crate) fn written(&self) -> (u8, [u8; OCTETS]) {
        (self.length, self.octets)
    }

    /// Read again, of a flow of TCP or of UDP.
    pub(crate) fn read(length: u8, octets: &[u8; OCTETS], is_tcp: bool) -> Option<Mark> {
        let used = octets.get(..length.into())?;
        match (is_tcp, used) {
            (true, &[a, b, c, d]) => Some(Mark::of_sequence(u32::from_be_bytes([a, b, c, d]))),
            (true, _) => None,
            (false, data) => Some(Mark::of_data(data)),
        }
    }
}
