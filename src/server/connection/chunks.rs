//! A body of HTTP/1.1 in chunks (RFC 9112 §7.1), looked at on its way to hyper.
//!
//! hyper takes anything between the size of a chunk and the end of its line, and takes a line feed that
//! stands alone after the last chunk for the beginning of a trailer. Whoever stands in front of us may
//! see another end of the body there, so what is not a chunk is not handed on.

/// What some bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A part.
    Part,
    /// The end, or what comes before it and behind it.
    End,
    /// Only the first so many were what they had to be.
    Broken(usize),
}

/// What has to come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// The first digit of a size.
    #[default]
    Size,
    /// More of it, an extension or the end of the line.
    Digit,
    /// After blanks behind a size or a value: an extension.
    Semicolon,
    /// The name of an extension, after blanks if need be.
    Name,
    /// More of it, or what may follow it.
    NameEnd,
    /// After blanks behind a name: a value or another extension.
    Equals,
    /// A value, after blanks if need be.
    Value,
    /// More of it, or what may follow it.
    ValueEnd,
    /// More of a value in quotes.
    Quoted,
    /// What a backslash stands before.
    Escaped,
    /// What may follow a value in quotes.
    QuoteEnd,
    /// The end of the line with the size.
    SizeLf,
    /// The bytes of a chunk.
    Data,
    DataCr,
    DataLf,
    /// A trailer, or the empty line after the last.
    Line,
    /// More of a trailer.
    LineEnd,
    LineLf,
    EndLf,
}

/// A body that comes in parts.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    next: Next,
    /// What is missing of the chunk, in bytes.
    size: u64,
}

impl Chunks {
    /// Reads some bytes.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Read {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.next == Next::Data {
                let left = bytes.len() - at;
                let data = usize::try_from(self.size).map_or(left, |size| size.min(left));
                self.size -= data as u64;
                at += data;
                if self.size == 0 {
                    self.next = Next::DataCr;
                }
                continue;
            }
            match self.follow(byte) {
                Some(next) => self.next = next,
                None if self.next == Next::EndLf && byte == b'\n' => return Read::End,
                None => return Read::Broken(at),
            }
            at += 1;
        }
        Read::Part
    }

    /// What comes after a byte, if it may stand there and something does.
    fn follow(&mut self, byte: u8) -> Option<Next> {
        match self.next {
            Next::Size | Next::Digit if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16)?;
                self.size = self.size.checked_mul(16)?.checked_add(u64::from(digit))?;
                Some(Next::Digit)
            }
            Next::Digit | Next::Semicolon | Next::QuoteEnd => self.extension(byte),
            Next::Name if is_token(byte) => Some(Next::NameEnd),
            Next::NameEnd if is_token(byte) => Some(Next::NameEnd),
            Next::NameEnd | Next::Equals => match byte {
                b'=' => Some(Next::Value),
                b' ' | b'\t' => Some(Next::Equals),
                _ => self.extension(byte),
            },
            Next::Value if byte == b'"' => Some(Next::Quoted),
            Next::Value | Next::ValueEnd if is_token(byte) => Some(Next::ValueEnd),
            Next::ValueEnd => self.extension(byte),
            Next::Name | Next::Value => is_blank(byte).then_some(self.next),
            Next::Quoted => match byte {
                b'"' => Some(Next::QuoteEnd),
                b'\\' => Some(Next::Escaped),
                _ => is_text(byte).then_some(Next::Quoted),
            },
            Next::Escaped => is_text(byte).then_some(Next::Quoted),
            Next::SizeLf if self.size == 0 => (byte == b'\n').then_some(Next::Line),
            Next::SizeLf => (byte == b'\n').then_some(Next::Data),
            Next::DataCr => (byte == b'\r').then_some(Next::DataLf),
            Next::DataLf => (byte == b'\n').then_some(Next::Size),
            Next::Line if byte == b'\r' => Some(Next::EndLf),
            Next::LineEnd if byte == b'\r' => Some(Next::LineLf),
            Next::Line | Next::LineEnd => (byte != b'\n').then_some(Next::LineEnd),
            Next::LineLf => (byte == b'\n').then_some(Next::Line),
            Next::Size | Next::Data | Next::EndLf => None,
        }
    }

    /// What comes after a size or an extension. Blanks may stand before a semicolon only.
    fn extension(&self, byte: u8) -> Option<Next> {
        let has_blanks = matches!(self.next, Next::Semicolon | Next::Equals);
        match byte {
            b';' => Some(Next::Name),
            b' ' | b'\t' => Some(Next::Semicolon),
            b'\r' if !has_blanks => Some(Next::SizeLf),
            _ => None,
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A byte of text in quotes (RFC 9110 §5.6.4).
const fn is_text(byte: u8) -> bool {
    !(byte.is_ascii_control() && byte != b'\t')
}

/// A byte of a token (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_'
        )
        || matches!(byte, b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a body is, and how many of its bytes were handed on, in parts of `part` bytes.
    fn read(body: &[u8], part: usize) -> (Read, usize) {
        let (mut chunks, mut before) = (Chunks::default(), 0);
        for bytes in body.chunks(part) {
            match chunks.read(bytes) {
                Read::Part => before += bytes.len(),
                Read::End => return (Read::End, 0),
                Read::Broken(good) => return (Read::Broken(0), before + good),
            }
        }
        (Read::Part, before)
    }

    #[test]
    fn a_body_ends_after_its_last_chunk_and_its_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "005\r\nhello\r\nA\r\n0123\n\r\n789\r\n000\r\n\r\n",
            "5;a\r\nhello\r\n0;a=b\r\n\r\n",
            "5 ; a = b ;c\t=\t\"d e\\\"\\\\\";!#$%&'*+-.^_`|~=~\r\nhello\r\n0\r\n\r\n",
            "5;a=\"\u{e9};\"\r\nhello\r\n0\r\n\r\n",
            "0\r\nA: b\r\nC: d\r\n\r\n",
        ] {
            for part in [1, 2, 7, 1000] {
                let behind = format!("{body}GET / HTTP/1.1\r\n");
                assert_eq!(read(behind.as_bytes(), part), (Read::End, 0), "{body:?} by {part}");
                let before = &body.as_bytes()[..body.len() - 1];
                assert_eq!(read(before, part), (Read::Part, before.len()), "{body:?} by {part}");
            }
        }
    }

    #[test]
    fn what_is_not_a_chunk_is_not_handed_on() {
        for (good, wrong) in [
            ("", "\r\n5"),
            ("", ";a\r\n"),
            ("", " 5"),
            ("", "+5"),
            ("0", "x5"),
            ("5", "_0"),
            ("5 ", "5"),
            ("ffffffffffffffff", "f\r\n"),
            ("5", "\nhello"),
            ("5\r", "hello"),
            ("5 ", "\r\n"),
            ("5;", "\r\n"),
            ("5; ", "\r\n"),
            ("5;", ";"),
            ("5;", "=b"),
            ("5;bad", "[=x"),
            ("5;a", "\0b"),
            ("5;a ", "b"),
            ("5;a ", "\r\n"),
            ("5;a=", ";b"),
            ("5;a=b", "=c"),
            ("5;a=b ", "\r\n"),
            ("5;a=\"b", "\0\""),
            ("5;a=\"b\\", "\n\""),
            ("5;a=\"b\"", "c"),
            ("5;a=\"b", "\r\n"),
            ("5;a\r", "X\r\n"),
            ("5;a", "\nX\r\n"),
            ("5\r\nhello", "XX\r\n"),
            ("5\r\nhello", "\n0"),
            ("5\r\nhello\r", "0"),
            ("0\r\n", "\n"),
            ("0\r\n\r", "X"),
            ("0\r\nA: b", "\nC: d\r\n"),
            ("0\r\nA: b\r", "C: d\r\n"),
        ] {
            for part in [1, 2, 7, 1000] {
                let body = [good, wrong].concat();
                let expected = (Read::Broken(0), good.len());
                assert_eq!(read(body.as_bytes(), part), expected, "{body:?} by {part}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_same_in_any_parts(
            body in "([0-9a-f]{1,2}|\r\n|[;= \t\"\\\\a\r\n])(5\r\nhello\r\n|[0-9a-f;=\" \r\n]){0,30}",
            part in 1_usize..20,
        ) {
            prop_assert_eq!(read(body.as_bytes(), part), read(body.as_bytes(), 1000));
        }
    }
}
