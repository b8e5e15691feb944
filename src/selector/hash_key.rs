//! Finding the bytes to hash in a request.

use std::net::IpAddr;

use memchr::memrchr;

use crate::cookie::trim;
use crate::fetch::element_end;

/// The hash of an address: its four bytes, or its four words combined.
pub(super) fn fold_address(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
        }
    }
}

/// What stands before the first comma outside double quotes, without blanks around.
pub(super) fn first_element(value: &[u8]) -> &[u8] {
    trim(&value[..element_end(value)])
}

/// The label before the last dot. HAProxy does not see a last dot that comes first,
/// and a label has one character at least, even where that is a dot again.
pub(super) fn domain_label(host: &[u8]) -> &[u8] {
    match memrchr(b'.', host) {
        None | Some(0) => host,
        Some(dot) => {
            let start = memrchr(b'.', &host[..dot - 1]).map_or(0, |before| before + 1);
            &host[start..dot]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed on HAProxy 2.6.12, quotes included.
    #[test]
    fn a_header_counts_up_to_its_first_comma_outside_quotes() {
        let table = [
            ("a, b", "a"),
            ("\ta b\t ,q", "a b"),
            ("\"a,b\",c", "\"a,b\""),
            ("\"a\\\",b\",c", "\"a\\\",b\""),
            ("'a,b',c", "'a"),
            ("a;x=\"1,2\",k", "a;x=\"1,2\""),
            ("\"unterminated,k", "\"unterminated,k"),
        ];
        for (value, expected) in table {
            let element = first_element(value.as_bytes());
            assert_eq!(element, expected.as_bytes(), "{value}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn the_domain_is_the_label_before_the_last_dot() {
        let table = [
            ("www.example.com", "example"),
            ("example.com", "example"),
            (".example.com", "example"),
            ("a.b.co.uk", "co"),
            ("10.0.0.7", "0"),
            ("h.shop.net:8080", "shop"),
            ("localhost", "localhost"),
            ("eu.", "eu"),
            ("a.b.", "b"),
            (".com", ".com"),
            ("x..com", "x."),
            ("..com", "."),
            ("...", "."),
        ];
        for (host, expected) in table {
            assert_eq!(domain_label(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }
}
