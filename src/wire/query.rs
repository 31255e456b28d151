//! The query of a request target, as HTML forms write it.

use std::borrow::Cow;

/// The name-value pairs of a query, decoded: `%41` is `A`, `+` is a blank. Values are bytes, since
/// nothing says that they are UTF-8.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name.as_bytes()), decode(value.as_bytes()))
    })
}

/// A `%` without two digits behind it is one.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| !matches!(byte, b'%' | b'+');
    let plain = text.iter().take_while(|byte| is_plain(byte)).count();
    let Some((plain, mut rest)) = text.split_at_checked(plain).filter(|(_, rest)| !rest.is_empty())
    else {
        return Cow::Borrowed(text);
    };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(plain);
    while let [byte, behind @ ..] = rest {
        rest = behind;
        decoded.push(match (byte, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    Cow::Owned(decoded)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = "a=1+2&b=%7B%22x%22%7D&&c&d=%FF&e=1%2B1&a=again&f=%&g=%4&h=%4g%+%%41";
        let pairs: Vec<_> = pairs(query).collect();

        let expected: [(&[u8], &[u8]); 9] = [
            (b"a", b"1 2"),
            (b"b", b"{\"x\"}"),
            (b"c", b""),
            (b"d", b"\xFF"),
            (b"e", b"1+1"),
            (b"a", b"again"),
            (b"f", b"%"),
            (b"g", b"%4"),
            (b"h", b"%4g% %A"),
        ];
        assert_eq!(pairs.len(), expected.len());
        for ((name, value), expected) in pairs.iter().zip(expected) {
            assert_eq!((name.as_ref(), value.as_ref()), expected);
        }
    }

    proptest! {
        #[test]
        fn it_is_decoded_as_a_url_is(text in r"([%+=0-9a-gA-G]|%[0-9a-fA-F]{2}|é){0,40}") {
            let blanks = text.replace('+', " ");

            prop_assert_eq!(&*decode(text.as_bytes()), &*percent_decode(blanks.as_bytes()).collect::<Vec<_>>());
        }

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
