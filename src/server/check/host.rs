//! Whether a field names one host (RFC 9110 §7.2, RFC 3986 §3.2.2).

use std::net::Ipv6Addr;

const EMPTY: &str = "Host: it is empty: name the host that is asked";
const WRONG: &str = "Host: it has to be a name or an address, and a port if need be";

/// Checks `host` or `host:port`. A comma, which a name could have, is not taken: two fields may have
/// been joined by one.
///
/// # Errors
///
/// What is wrong.
pub(super) fn check(host: &[u8]) -> Result<(), &'static str> {
    let is_end = |byte: &u8| !is_plain(*byte);
    let end = host.iter().position(is_end).unwrap_or(host.len());
    match host.split_at(end) {
        // What nearly all are: plain, and perhaps a port.
        ([_, ..], [] | [b':']) => Ok(()),
        ([_, ..], [b':', digits @ ..]) => port(digits),
        ([], []) => Err(EMPTY),
        ([], [b'[', literal @ ..]) => address(literal),
        (_, _) => name(host),
    }
}

/// A byte that a name has unescaped, other than those that nobody's has. Looked up, not computed:
/// every request pays for its host's.
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).is_some_and(|is_plain| *is_plain)
}

const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        #[expect(clippy::indexing_slicing, reason = "there is a place for every byte")]
        {
            plain[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        }
        byte += 1;
    }
    plain
};

/// A name that is escaped, or has delimiters that delimit nothing here.
fn name(host: &[u8]) -> Result<(), &'static str> {
    let mut rest = host;
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b':', ..] if rest.len() == host.len() => return Err(EMPTY),
            [b':', digits @ ..] => return port(digits),
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=', rest @ ..] => {
                rest
            }
            [byte, rest @ ..] if is_plain(*byte) => rest,
            [..] => return Err(WRONG),
        };
    }
}

/// An address of IPv6 after its bracket.
fn address(literal: &[u8]) -> Result<(), &'static str> {
    let end = literal.iter().position(|byte| *byte == b']').ok_or(WRONG)?;
    let (address, rest) = literal.split_at(end);
    let address = str::from_utf8(address).map_err(|_| WRONG)?;
    let _: Ipv6Addr = address.parse().map_err(|_| WRONG)?;
    match rest {
        [b']'] => Ok(()),
        [b']', b':', digits @ ..] => port(digits),
        [..] => Err(WRONG),
    }
}

/// A port, which may be empty (RFC 3986 §3.2.3).
fn port(digits: &[u8]) -> Result<(), &'static str> {
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        let next = number * 10 + u32::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
        (next <= u32::from(u16::MAX)).then_some(next)
    });
    number.map(drop).ok_or("Host: its port has to be a number up to 65535")
}

#[cfg(test)]
mod tests {
    use http::uri::Authority;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "edge",
            "edge.example",
            "edge.example.:7080",
            "127.0.0.1:7080",
            "edge:",
            "[::1]",
            "[2001:db8::1]:443",
            "_srv._tcp.example",
            "a%2Db:80",
            "a!b",
            "x:65535",
            "x:00080",
        ] {
            assert_eq!(check(host.as_bytes()), Ok(()), "{host}");
        }
    }

    #[test]
    fn anything_else_is_not_a_host() {
        for host in [
            "",
            ":80",
            "user@edge",
            "user:secret@edge",
            "edge/path",
            "edge?query",
            "edge#part",
            "edge, other",
            "edge,other",
            "edge other",
            " edge",
            "edge\t",
            "edge:80a",
            "edge:-1",
            "edge:65536",
            "edge:99999999999999999999",
            "edge:80:80",
            "http://edge",
            "[::1",
            "[::1]80",
            "[edge]",
            "[]",
            "::1",
            "a%2",
            "a%zz",
            "edge\\other",
            "<edge>",
            "\u{e9}dge",
            "edge\0",
        ] {
            assert!(check(host.as_bytes()).is_err(), "{host}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_host_or_not(host: Vec<u8>) {
            let _ = check(&host);
        }

        #[test]
        fn what_is_a_host_here_is_one_for_others(host in r"[a-z0-9.:%@,/\[\] !-]{0,20}") {
            let is_host = check(host.as_bytes()).is_ok();
            prop_assert!(!is_host || !host.contains(['@', ',', '/', ' ']), "{host}");
            prop_assert!(!is_host || host.parse::<Authority>().is_ok(), "{host}");
        }
    }
}
