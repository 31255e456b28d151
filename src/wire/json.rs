//! Strings as JSON has them (RFC 8259 §7), where a text of kilobytes is most of what is written.

/// Appends `text` as a JSON string, quotes included: byte for byte what `serde_json` writes.
///
/// # Cost
///
/// What needs no escape is looked for in blocks and copied as it is: a tenth of the instructions of a
/// look at each byte.
pub fn push_string(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((plain, escaped, behind)) = split(rest) {
        json.extend_from_slice(plain);
        push_escape(json, escaped);
        rest = behind;
    }
    json.extend_from_slice(rest);
    json.push(b'"');
}

/// What stands before the first byte that is escaped, that byte, and what stands behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let clean = blocks.iter().take_while(|block| is_plain(block)).count() * BLOCK;
    let in_rest = bytes.get(clean..)?.iter().position(|byte| is_escaped(*byte))?;
    let (plain, rest) = bytes.split_at_checked(clean + in_rest)?;
    let (escaped, behind) = rest.split_first()?;
    Some((plain, *escaped, behind))
}

/// How many bytes are looked at together.
const BLOCK: usize = 32;

/// Without a branch in between, so that it is done for many bytes at once.
fn is_plain(block: &[u8; BLOCK]) -> bool {
    !block.iter().fold(false, |any, byte| any | is_escaped(*byte))
}

const fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn push_escape(json: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        control => {
            json.extend_from_slice(format!("\\u{control:04x}").as_bytes());
            return;
        }
    };
    json.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> String {
        let mut json = Vec::new();
        push_string(&mut json, text);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn every_byte_that_is_escaped_is_found_wherever_it_stands() {
        for escaped in (0..0x20).chain([b'"', b'\\']) {
            for at in 0..=2 * BLOCK {
                let text = format!("{}{}é\u{7f}", "x".repeat(at), char::from(escaped));
                assert_eq!(string(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(text in r#"([a-z\x00-\x1f"\\é€]|\PC){0,120}"#) {
            prop_assert_eq!(string(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
