//! Numbers and addresses at the start of a text, as lenient as HAProxy reads them.

use std::net::Ipv4Addr;

/// The decimal number a text begins with: an optional sign and digits up to the first
/// other byte, 0 without digits. It saturates at the limits of 64 bits.
pub(crate) fn leading_number(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let signed = |digit: u8| {
        let digit = i64::from(digit - b'0');
        if negative { -digit } else { digit }
    };
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |value, &digit| {
            value.saturating_mul(10).saturating_add(signed(digit))
        })
}

/// The IPv4 address a text begins with: four decimal numbers up to 255, leading zeros
/// allowed. Anything but another dot may follow, a port for example.
pub(crate) fn leading_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut rest = text;
    let mut octets = [0; 4];
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        (*octet, rest) = leading_octet(rest)?;
    }
    (rest.first() != Some(&b'.')).then(|| octets.into())
}

fn leading_octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let octet = digits.iter().try_fold(0_u8, |octet, digit| {
        octet.checked_mul(10)?.checked_add(digit - b'0')
    })?;
    (!digits.is_empty()).then_some((octet, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_up_to_the_first_other_byte() {
        let table: [(&str, i64); 8] = [
            ("42", 42),
            ("-1", -1),
            ("+7x9", 7),
            ("", 0),
            (" 5", 0),
            ("9223372036854775808", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-99999999999999999999", i64::MIN),
        ];
        for (text, expected) in table {
            assert_eq!(leading_number(text.as_bytes()), expected, "{text}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_address_may_be_followed_by_anything_but_a_dot() {
        for text in [
            "1.2.3.4",
            "1.2.3.4:80",
            "0001.2.3.4",
            "1.2.3.4x",
            "1.2.3.4 ",
        ] {
            let expected = Some(Ipv4Addr::new(1, 2, 3, 4));
            assert_eq!(leading_ipv4(text.as_bytes()), expected, "{text}");
        }
        for text in [
            "",
            "1.2.3",
            "1.2.3.",
            "1.2.3.4.",
            "1.2.3.4.5",
            "1..2.3",
            "256.1.1.1",
            "+1.2.3.4",
            " 1.2.3.4",
            "16909060",
            ".1.2.3",
        ] {
            assert_eq!(leading_ipv4(text.as_bytes()), None, "{text}");
        }
    }
}
