//! The query of a request target, as HTML forms write it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The name-value pairs of a query, decoded: `%41` is `A`, `+` is a blank. Values are bytes, since
/// nothing says that they are UTF-8.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let blanks = text.replace('+', " ");
        return Cow::Owned(percent_decode(blanks.as_bytes()).collect());
    }
    percent_decode(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = "a=1+2&b=%7B%22x%22%7D&&c&d=%FF&e=1%2B1&a=again";
        let pairs: Vec<_> = pairs(query).collect();

        let expected: [(&[u8], &[u8]); 6] = [
            (b"a", b"1 2"),
            (b"b", b"{\"x\"}"),
            (b"c", b""),
            (b"d", b"\xFF"),
            (b"e", b"1+1"),
            (b"a", b"again"),
        ];
        assert_eq!(pairs.len(), expected.len());
        for ((name, value), expected) in pairs.iter().zip(expected) {
            assert_eq!((name.as_ref(), value.as_ref()), expected);
        }
    }
}
