//! Which frames of HTTP/2 pass, by their headers alone (RFC 9113 §4.1).
//!
//! h2 tells nobody that a block of fields is half here, or that an answer waits for a window that the
//! peer never opens. Both can last for ever, so what passes is looked at on its way.

use std::mem;

use crate::server::connection::chunks::Read;
use crate::server::connection::pulse::{Owing, Phase, Pulse};

/// The length of what an HTTP/2 client says first, in bytes.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// The frames of one connection, both ways.
#[derive(Debug, Default)]
pub(super) struct Frames {
    coming: Flow,
    going: Flow,
    /// How much of the preface was read, in bytes, and whether the frame after it was.
    preface: usize,
    has_greeted: bool,
    /// A block of fields has begun and not ended.
    is_in_block: bool,
}

impl Frames {
    /// Some bytes came. What has no settings behind its preface is not HTTP/2 (RFC 9113 §3.4): h2
    /// would go on.
    pub(super) fn read(&mut self, bytes: &[u8], pulse: &Pulse) -> Read {
        let rest = PREFACE.len() - self.preface;
        self.preface += rest.min(bytes.len());
        let bytes = bytes.get(rest..).unwrap_or_default();
        let (mut is_in_block, mut is_first) = (self.is_in_block, self.coming.frames == 0);
        let mut greets = true;
        self.coming.follow(bytes, |frame| {
            greets &= !mem::take(&mut is_first) || frame.kind == SETTINGS;
            match frame.kind {
                HEADERS | CONTINUATION => is_in_block = frame.flags & END_HEADERS == 0,
                RST_STREAM => pulse.owed().end(frame.stream),
                _ => {}
            }
        });
        self.is_in_block = is_in_block;
        self.has_greeted |= self.coming.frames > 0 && self.coming.is_between();
        if self.has_greeted && !self.is_in_block && !self.coming.is_inside() {
            pulse.rest();
        } else if pulse.phase() == Phase::Idle {
            pulse.heard();
        }
        if greets { Read::Part } else { Read::Broken(0) }
    }

    /// The first `count` bytes of some slices were taken.
    pub(super) fn wrote<'a>(
        &mut self,
        slices: impl Iterator<Item = &'a [u8]>,
        count: usize,
        pulse: &Pulse,
    ) {
        let (mut owed, mut left) = (pulse.owed(), count);
        for slice in slices {
            let taken = slice.get(..left).unwrap_or(slice);
            self.going.follow(taken, |frame| note(&mut owed, frame));
            left -= taken.len();
        }
    }
}

/// Notes which answers wait for a window.
fn note(owed: &mut Owing<'_>, frame: Frame) {
    let is_last = frame.flags & END_STREAM != 0;
    match frame.kind {
        HEADERS if !is_last => owed.begin(frame.stream),
        HEADERS | DATA if is_last => owed.end(frame.stream),
        DATA => owed.take(frame.stream, frame.len),
        RST_STREAM => owed.end(frame.stream),
        _ => {}
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    len: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// The frames one way.
#[derive(Debug, Default)]
struct Flow {
    header: [u8; 9],
    /// How much of the header is here, and how much of the payload is not, in bytes.
    have: usize,
    missing: usize,
    /// The kind of the frame whose payload is passing.
    kind: u8,
    frames: u64,
}

impl Flow {
    /// Follows some bytes, and tells each frame once its header is whole.
    fn follow(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let passing = self.missing.min(bytes.len());
            self.missing -= passing;
            bytes = bytes.get(passing..).unwrap_or_default();
            if self.have == 0
                && let Some((header, rest)) = bytes.split_first_chunk()
            {
                bytes = rest;
                tell(self.begin(*header));
                continue;
            }
            for (place, byte) in self.header.iter_mut().skip(self.have).zip(bytes) {
                *place = *byte;
            }
            let added = (self.header.len() - self.have).min(bytes.len());
            self.have += added;
            bytes = bytes.get(added..).unwrap_or_default();
            if self.have == self.header.len() {
                tell(self.begin(self.header));
            }
        }
    }

    /// A header is whole, and its payload begins.
    fn begin(&mut self, [l0, l1, l2, kind, flags, s0, s1, s2, s3]: [u8; 9]) -> Frame {
        let len = u32::from_be_bytes([0, l0, l1, l2]);
        // The first bit of a stream is reserved.
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        (self.have, self.kind, self.missing) = (0, kind, len as usize);
        self.frames += 1;
        Frame { len, kind, flags, stream }
    }

    /// Whether the last byte was the last of a frame.
    fn is_between(&self) -> bool {
        self.have == 0 && self.missing == 0
    }

    /// Whether a frame is half here. One of a body may be: bodies have a deadline of their own.
    fn is_inside(&self) -> bool {
        self.have > 0 || (self.missing > 0 && self.kind != DATA)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        [&len[1..], &[kind, flags], &stream, payload].concat()
    }

    /// A connection after the preface and empty settings.
    fn greeted() -> (Frames, Pulse) {
        let (mut frames, pulse) = (Frames::default(), Pulse::default());
        frames.read(PREFACE, &pulse);
        assert_eq!(pulse.phase(), Phase::Head, "settings are a part of the preface");
        frames.read(&frame(4, 0, 0, b""), &pulse);
        assert_eq!(pulse.phase(), Phase::Idle);
        (frames, pulse)
    }

    #[test]
    fn a_block_of_fields_is_whole_with_its_last_frame() {
        let (mut frames, pulse) = greeted();

        for (bytes, phase) in [
            (frame(HEADERS, 0, 1, b"abc"), Phase::Head),
            (frame(CONTINUATION, 0, 1, b"abc"), Phase::Head),
            (frame(CONTINUATION, END_HEADERS, 1, b"abc"), Phase::Idle),
            (frame(DATA, 0, 1, b"abc")[..10].to_vec(), Phase::Idle),
            (b"bc".to_vec(), Phase::Idle),
            (frame(HEADERS, END_HEADERS, 3, b"abc")[..11].to_vec(), Phase::Head),
            (b"c".to_vec(), Phase::Idle),
            (frame(6, 0, 0, b"12345678")[..3].to_vec(), Phase::Head),
        ] {
            frames.read(&bytes, &pulse);
            assert_eq!(pulse.phase(), phase, "after {bytes:?}");
        }
    }

    #[test]
    fn who_does_not_begin_with_settings_is_not_heard() {
        for (kind, expected) in [(SETTINGS, Read::Part), (6, Read::Broken(0))] {
            let (mut frames, pulse) = (Frames::default(), Pulse::default());
            assert_eq!(frames.read(&PREFACE[..20], &pulse), Read::Part);
            let rest = [&PREFACE[20..], &frame(kind, 0, 0, &[0; 8])].concat();
            assert_eq!(frames.read(&rest, &pulse), expected, "{kind}");
        }
        let (mut frames, pulse) = greeted();
        assert_eq!(frames.read(&frame(6, 0, 0, &[0; 8]), &pulse), Read::Part);
    }

    #[test]
    fn an_answer_is_owed_until_its_stream_ends() {
        let (mut frames, pulse) = greeted();
        let mut wrote = |bytes: Vec<u8>| {
            frames.wrote([&bytes[..5], &bytes[5..]].into_iter(), bytes.len(), &pulse);
            pulse.owed().iter_mut().map(|o| (o.stream, o.taken)).collect::<Vec<_>>()
        };

        assert_eq!(wrote(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"304")), []);
        assert_eq!(wrote(frame(HEADERS, END_HEADERS, 3, b"200")), [(3, 0)]);
        assert_eq!(wrote(frame(HEADERS, END_HEADERS, 5, b"200")), [(3, 0), (5, 0)]);
        assert_eq!(wrote(frame(DATA, 0, 3, b"some")), [(3, 4), (5, 0)]);
        assert_eq!(wrote(frame(DATA, END_STREAM, 3, b"more")), [(5, 0)]);
        assert!(!pulse.is_quiet() && pulse.is_urgent());
        frames.read(&frame(RST_STREAM, 0, 5, &[0; 4]), &pulse);
        assert!(pulse.is_quiet() && !pulse.is_urgent());
    }

    proptest! {
        #[test]
        fn frames_are_the_same_in_any_parts(
            given in prop::collection::vec((0_u8..12, 0_u8..8, 0_u32..9, 0_usize..40), 0..9),
            part in 1_usize..30,
        ) {
            let given = given.into_iter();
            let bytes: Vec<u8> =
                given.clone().flat_map(|(k, f, s, len)| frame(k, f, s, &vec![9; len])).collect();
            let (mut flow, mut told) = (Flow::default(), Vec::new());

            for bytes in bytes.chunks(part) {
                flow.follow(bytes, |frame| told.push(frame));
            }

            let expected: Vec<_> = given
                .map(|(kind, flags, stream, len)| Frame { len: len as u32, kind, flags, stream })
                .collect();
            prop_assert_eq!(told, expected);
            prop_assert!(flow.is_between());
        }

        #[test]
        fn any_bytes_are_followed(bytes: Vec<u8>, part in 1_usize..30) {
            let (mut frames, pulse) = (Frames::default(), Pulse::default());
            for bytes in bytes.chunks(part) {
                frames.read(bytes, &pulse);
                frames.wrote([bytes].into_iter(), bytes.len(), &pulse);
            }
        }
    }
}
