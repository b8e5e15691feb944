//! The keys that operators write.

use std::net::Ipv4Addr;

use super::{Refusal, number, refused};
use crate::{Key, KeyType};

/// The key of a word, or `None` if it is no key of this type.
///
/// # Errors
/// Binary keys cannot be written; `doing` is the verb of the answer.
pub(super) fn parse<'w>(
    key_type: KeyType,
    word: &'w [u8],
    doing: &str,
) -> Result<Key<'w>, Refusal> {
    let key = match key_type {
        KeyType::Ip => Some(Key::Ip(lenient_ipv4(word))),
        KeyType::Ipv6 => text(word).and_then(|text| text.parse().ok().map(Key::Ipv6)),
        KeyType::Integer => integer(word).map(Key::Integer),
        KeyType::String(length) => Some(Key::string(&word[..word.len().min(length)])),
        KeyType::Binary(_) => {
            return refused(format!(
                "{doing} tables of type other than ip, ipv6, string and integer is not supported"
            ));
        }
    };
    key.ok_or("Invalid key".into())
}

fn text(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word).ok()
}

/// HAProxy 2.6 refuses nothing here: it reads up to four numbers with dots between them
/// until something else comes, and adds them up, each in its place. Of a number the last
/// three digits count, and what is beyond 255 is carried over; numbers that are missing
/// are 0.
fn lenient_ipv4(word: &[u8]) -> Ipv4Addr {
    let mut numbers = [0u32; 4];
    let mut at = 0;
    for &byte in word {
        match byte {
            b'0'..=b'9' => numbers[at] = (numbers[at] * 10 + u32::from(byte - b'0')) % 1000,
            b'.' if at < 3 => at += 1,
            _ => break,
        }
    }
    let place = |address: u32, number| (address << 8).wrapping_add(number);
    Ipv4Addr::from(numbers.into_iter().fold(0, place))
}

/// The number a word begins with, if it is one of 32 bits.
fn integer(word: &[u8]) -> Option<u32> {
    let (number, _) = number::leading(word)?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key_type: KeyType, word: &str) -> String {
        let parsed = parse(key_type, word.as_bytes(), "Showing keys from");
        parsed.map_or_else(Refusal::into_owned, |key| key.to_string())
    }

    #[test]
    fn ipv4_keys_are_read_as_far_as_they_go() {
        for (word, expected) in [
            ("bogus", "0.0.0.0"),
            ("10.1", "10.1.0.0"),
            ("300.1.1.1", "44.1.1.1"),
            ("1x.2", "1.0.0.0"),
            ("1..2", "1.0.2.0"),
            (".1", "0.1.0.0"),
            ("99999999999.1", "231.1.0.0"),
            ("1.2.3.4567", "1.2.5.55"),
            ("256.256.256.256", "1.1.1.0"),
            ("2001:db8::1", "1.0.0.0"),
            ("1.2.3.4.5", "1.2.3.4"),
            ("1.2.3.4/24", "1.2.3.4"),
            ("::ffff:10.0.0.2", "0.0.0.0"),
        ] {
            assert_eq!(key(KeyType::Ip, word), expected, "{word}");
        }
    }

    #[test]
    fn other_keys_are_read_or_refused() {
        assert_eq!(key(KeyType::Ipv6, "2001:DB8:0::1"), "2001:db8::1");
        assert_eq!(key(KeyType::Ipv6, "192.0.2.1"), "Invalid key");
        for (word, expected) in [
            ("7x", "7"),
            ("+12", "12"),
            ("-0", "0"),
            ("4294967295", "4294967295"),
        ] {
            assert_eq!(key(KeyType::Integer, word), expected);
        }
        for word in ["x", "-1", "4294967296", "+", "99999999999999999999999"] {
            assert_eq!(key(KeyType::Integer, word), "Invalid key");
        }
        assert_eq!(key(KeyType::String(4), "abcdef"), "abcd");
        assert!(key(KeyType::BINARY, "ab").starts_with("Showing keys from tables of type other"));
    }
}
