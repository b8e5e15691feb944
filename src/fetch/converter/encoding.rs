//! Converters from one notation to another.

use std::borrow::Cow;

use crate::fetch::bytes::digit;

/// Every byte mapped; the same text if none changes.
pub(super) fn map_bytes(text: Cow<'_, [u8]>, map: fn(&u8) -> u8) -> Cow<'_, [u8]> {
    if text.iter().all(|byte| map(byte) == *byte) {
        return text;
    }
    text.iter().map(map).collect()
}

pub(super) fn url_decode(text: Cow<'_, [u8]>, is_form: bool) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr2(b'%', b'+', &text).is_none() {
        return Some(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut in_query = is_form;
    let mut rest = &text[..];
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' if in_query => out.push(b' '),
            b'%' => {
                let (pair, behind) = rest.split_at_checked(2)?;
                out.push(digit(pair[0])? << 4 | digit(pair[1])?);
                rest = behind;
            }
            _ => out.push(byte),
        }
        in_query |= byte == b'?';
    }
    Some(out.into())
}

pub(super) fn url_encode(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    if text.iter().all(is_plain) {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() * 2);
    for byte in &*text {
        if is_plain(byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(hex_of(*byte));
        }
    }
    out.into()
}

pub(super) fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().flat_map(hex_of).collect()
}

fn hex_of(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)])
}

/// Digits beyond 16 push the first ones out.
pub(super) fn hex_to_integer(text: &[u8]) -> Option<i64> {
    let number = text.iter().try_fold(0_u64, |number, &byte| {
        Some(number << 4 | u64::from(digit(byte)?))
    });
    Some(number? as i64)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for position in 0..4 {
            let sextet = (group >> (18 - 6 * position)) & 63;
            out.push(if position <= chunk.len() {
                ALPHABET[sextet as usize]
            } else {
                b'='
            });
        }
    }
    out
}

pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, []) = text.as_chunks::<4>() else {
        return None;
    };
    let mut out = Vec::with_capacity(groups.len() * 3);
    for (index, group) in groups.iter().enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && index + 1 < groups.len()) {
            return None;
        }
        let bits = group[..4 - padding]
            .iter()
            .try_fold(0, |bits, &byte| Some(bits << 6 | sextet(byte)?))?;
        let bytes = (bits << (6 * padding)).to_be_bytes();
        out.extend_from_slice(&bytes[1..4 - padding]);
    }
    Some(out)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &str, is_form: bool) -> Option<String> {
        let decoded = url_decode(Cow::Borrowed(text.as_bytes()), is_form)?;
        Some(decoded.escape_ascii().to_string())
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_plus_is_a_space_in_queries_only() {
        assert_eq!(decoded("a+b?c+d", false).as_deref(), Some("a+b?c d"));
        assert_eq!(decoded("a+b%41", true).as_deref(), Some("a bA"));
        for text in ["%4", "%", "a%zz", "%4g"] {
            assert_eq!(decoded(text, false), None, "{text}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn base64_needs_its_padding() {
        assert_eq!(from_base64(b"YQ=="), Some(b"a".to_vec()));
        for text in ["YWJ", "Y*==", "YQ==YQ==", "Y===", "===="] {
            assert_eq!(from_base64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_numbers_keep_their_last_digits() {
        assert_eq!(hex_to_integer(b"fF"), Some(255));
        assert_eq!(hex_to_integer(b""), Some(0));
        let long = hex_to_integer(b"0123456789abcdefff");
        assert_eq!(long, Some(2_541_551_405_711_093_759));
        assert_eq!(hex_to_integer(b"-1"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(from_base64(&base64(&bytes)), Some(bytes.clone()));
            let encoded = url_encode(Cow::Borrowed(&bytes));
            let decoded = url_decode(encoded, true).unwrap();
            prop_assert_eq!(&*decoded, &bytes[..]);
        }
    }
}
