//! Addresses as they stand in header fields.

use std::net::IpAddr;

use crate::text::leading_ipv4;

/// An IPv4 address with or without a port behind it, or a bare IPv6 address.
pub(super) fn of_field(text: &[u8]) -> Option<IpAddr> {
    let address = match memchr::memchr(b':', text) {
        Some(colon) if is_digits(&text[colon + 1..]) => &text[..colon],
        _ => text,
    };
    let is_dotted = address
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    if is_dotted {
        return leading_ipv4(address).map(IpAddr::V4);
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().map(IpAddr::V6)
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_port_may_follow_an_ipv4_address_only() {
        let table = [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:80", "1.2.3.4"),
            ("010.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("::1:80", "::1:80"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ];
        for (text, expected) in table {
            assert_eq!(of_field(text.as_bytes()), expected.parse().ok(), "{text}");
        }
        for text in [
            "",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:80:1",
            "1.2.3.4x",
            "1.2.3.4/8",
            "[::1]",
            "[::1]:80",
            "fe80::1%eth0",
            "\"1.2.3.4\"",
            ":80",
            "x",
        ] {
            assert_eq!(of_field(text.as_bytes()), None, "{text}");
        }
    }
}
