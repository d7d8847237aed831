//! Curves as a TensorBoard event file: records of `Event` messages (TensorFlow's `event.proto` and `summary.proto`), each
//! framed by its length and by masked CRC-32C sums (TensorFlow's `record_writer`).

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

/// The sum of records.
const SUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A record's message. The wall time is left out, 0, so that the same training gives the same bytes.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// Values at one step.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// A named number.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An event file of scalars by step.
pub struct Events {
    bytes: Vec<u8>,
}

impl Default for Events {
    fn default() -> Self {
        Events::new()
    }
}

impl Events {
    /// A file without scalars.
    pub fn new() -> Self {
        let mut events = Events { bytes: Vec::new() };
        events.record(&Event { file_version: Some("brain.Event:2".into()), ..Event::default() });
        events
    }

    /// Adds the scalars of a step. Numbers are kept in single precision, as the format has it.
    pub fn scalars(&mut self, step: u32, scalars: &[(&str, f64)]) {
        let value = |(tag, v): &(&str, f64)| Scalar { tag: (*tag).to_owned(), simple_value: Some(*v as f32) };
        let summary = Summary { value: scalars.iter().map(value).collect() };
        self.record(&Event { step: i64::from(step), summary: Some(summary), ..Event::default() });
    }

    /// The file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn record(&mut self, event: &Event) {
        let message = event.encode_to_vec();
        let length = (message.len() as u64).to_le_bytes();
        self.bytes.extend(length);
        self.bytes.extend(masked(&length).to_le_bytes());
        self.bytes.extend(&message);
        self.bytes.extend(masked(&message).to_le_bytes());
    }
}

/// A sum that stays one when it is itself part of what is summed: rotated, and a constant added.
fn masked(bytes: &[u8]) -> u32 {
    SUM.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The messages of a file, each of whose sums is checked.
#[cfg(test)]
fn read(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(word(8), masked(&bytes[..8]));
        assert_eq!(word(12 + length), masked(&bytes[12..12 + length]));
        events.push(Event::decode(&bytes[12..12 + length]).unwrap());
        bytes = &bytes[16 + length..];
    }
    events
}

/// The scalars of a file with their steps.
#[cfg(test)]
pub(super) fn scalars_of(bytes: &[u8]) -> Vec<(String, i64, f32)> {
    let values = |event: Event| {
        let step = event.step;
        event.summary.unwrap_or_default().value.into_iter().map(move |v| (v.tag, step, v.simple_value.unwrap()))
    };
    read(bytes).into_iter().flat_map(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and ascending ones.
    #[test]
    fn sums_are_those_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, want) in [(vec![0; 32], 0x8a91_36aa), (vec![0xff; 32], 0x62a8_ab43), (ascending, 0x46dd_794e)] {
            assert_eq!(SUM.checksum(&bytes), want);
        }
    }

    /// The first record that TensorFlow's writer makes with a wall time of 0, byte by byte but for the sums.
    #[test]
    fn the_first_record_names_the_version() {
        let bytes = Events::new().into_bytes();
        assert_eq!(bytes[..8], 15u64.to_le_bytes());
        assert_eq!(&bytes[12..27], b"\x1a\x0dbrain.Event:2");
        assert_eq!(read(&bytes).len(), 1);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut events = Events::new();
        events.scalars(1, &[("loss", 2.5), ("clean", 0.25)]);
        events.scalars(2, &[("loss", 0.0)]);
        let want = [("loss", 1, 2.5), ("clean", 1, 0.25), ("loss", 2, 0.0)];
        assert_eq!(scalars_of(&events.into_bytes()), want.map(|(tag, step, value)| (tag.to_owned(), step, value)));
    }
}
