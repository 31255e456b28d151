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
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::collection::vec;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn what_a_form_writes_is_read_back(
            said in vec((vec(any::<u8>(), 1..12), vec(any::<u8>(), 0..12)), 0..8),
        ) {
            let escaped = |bytes| percent_encode(bytes, NON_ALPHANUMERIC).to_string().replace("%20", "+");
            let written: Vec<_> =
                said.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
            let written = written.join("&");

            let read: Vec<_> =
                pairs(&written).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();

            prop_assert_eq!(read, said);
        }

        #[test]
        fn decoding_never_makes_a_query_longer(query in r"([%&=+0-9a-fA-F]|%[0-9a-f]{2}|\PC){0,60}") {
            let decoded: usize = pairs(&query).map(|(name, value)| name.len() + value.len()).sum();

            prop_assert!(decoded <= query.len());
        }
    }
}
