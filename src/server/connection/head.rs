//! A head of HTTP/1.1 that says twice where its body ends.
//!
//! hyper goes by `Transfer-Encoding` where there is a `Content-Length` too, drops the latter before
//! anybody sees it, and closes the connection after its answer. That is one of two ways RFC 9112
//! §6.3 leaves open. We take the other one and refuse: whoever stands in front of us may have gone by
//! the length. So the bytes of a head are looked at on their way to hyper, and those of a body in chunks
//! behind it (`chunks`).

use crate::server::connection::chunks::{Chunks, Read};
use crate::server::connection::pulse::Pulse;

/// The names that are looked for, in lower case.
const NAMES: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];

/// The longest of them, in bytes.
const LONGEST: usize = 17;

/// A head that comes in parts, and the chunks behind it.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The beginning of the line that is being read, and how long the line is so far.
    line: [u8; LONGEST],
    len: usize,
    /// Whether a line that is not empty was read: empty ones before a request mean nothing.
    has_begun: bool,
    is_named: [bool; 2],
    /// The body, once its head has ended.
    chunks: Option<Chunks>,
}

impl Head {
    /// Reads some bytes, up to the end of what has to be looked at.
    pub(super) fn read(&mut self, bytes: &[u8], pulse: &Pulse) -> Read {
        let mut behind = 0;
        if self.chunks.is_none() {
            let Some(end) = self.end(bytes, pulse) else { return Read::Part };
            let [_, is_coded] = self.is_named;
            if !is_coded {
                return Read::End;
            }
            behind = end;
        }
        let chunks = self.chunks.get_or_insert_default();
        match chunks.read(bytes.get(behind..).unwrap_or_default()) {
            Read::Broken(good) => Read::Broken(behind + good),
            read @ (Read::Part | Read::End) => read,
        }
    }

    /// How many bytes there are up to the end of the head, if it is among them.
    fn end(&mut self, bytes: &[u8], pulse: &Pulse) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.len > 0 => (self.len, self.has_begun) = (0, true),
                b'\n' if self.has_begun => return Some(at + 1),
                b'\n' | b'\r' => {}
                b':' => self.name(pulse),
                _ => self.add(byte),
            }
        }
        None
    }

    fn add(&mut self, byte: u8) {
        if let Some(place) = self.line.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    /// The line up to here is a name, unless it is the first.
    fn name(&mut self, pulse: &Pulse) {
        let name = self.line.get(..self.len).unwrap_or_default();
        for (is_named, known) in self.is_named.iter_mut().zip(NAMES) {
            *is_named |= name.eq_ignore_ascii_case(known);
        }
        if self.is_named == [true; 2] {
            pulse.doubt();
        }
        self.add(b':');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a head is in doubt, and how many of its bytes were read, in parts of `part` bytes.
    fn doubt(head: &str, part: usize) -> (bool, bool) {
        let (mut reading, pulse) = (Head::default(), Pulse::default());
        let ended = head.as_bytes().chunks(part).any(|b| reading.end(b, &pulse).is_some());
        (pulse.is_ambiguous(), ended)
    }

    #[test]
    fn a_head_that_says_twice_where_its_body_ends_is_in_doubt() {
        for (fields, expected) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", true),
            ("transfer-encoding:chunked\r\nX: y\r\nCONTENT-LENGTH: 5\r\n", true),
            ("Content-Length: 5\nTransfer-Encoding: chunked\n", true),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", false),
            ("Content-Length: 5\r\nX: transfer-encoding: chunked\r\n", false),
            ("Content-Length: 5\r\nTransfer-Encodings: chunked\r\n", false),
            ("Content-Length: 5\r\nX-Transfer-Encoding: chunked\r\n", false),
            ("Transfer-Encoding: chunked\r\n\r\nContent-Length: 5\r\n", false),
        ] {
            for part in [1, 2, 7, 1000] {
                let head = format!("\r\nPOST / HTTP/1.1\r\nHost: edge\r\n{fields}\r\n");
                assert_eq!(doubt(&head, part), (expected, true), "{head:?} by {part}");
            }
        }
    }

    #[test]
    fn a_head_is_followed_by_chunks_where_it_says_so() {
        let read = |fields, body| {
            let head = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            let read = Head::default().read(format!("{head}{body}").as_bytes(), &Pulse::default());
            (read, head.len())
        };
        let coded = "Transfer-Encoding: chunked\r\n";

        assert_eq!(read("Content-Length: 5\r\n", "hello").0, Read::End);
        assert_eq!(read(coded, "5\r\nhel").0, Read::Part);
        assert_eq!(read(coded, "0\r\n\r\nGET").0, Read::End);
        let (broken, head) = read(coded, "5;\r\nhello");
        assert_eq!(broken, Read::Broken(head + 2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_the_same_in_any_parts(
            head in "(POST|content-length|TRANSFER-encoding|[:\r\n a]){0,40}",
            part in 1_usize..20,
        ) {
            prop_assert_eq!(doubt(&head, part), doubt(&head, 1000));
        }
    }
}
