//! Finding the bytes to hash in a request.

use std::net::IpAddr;

use memchr::{memchr, memrchr};

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

/// The path and query of a request target; empty for `*` and `host:port`.
pub(super) fn path(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    let authority = match memchr(b':', target) {
        Some(colon) if target[colon..].starts_with(b"://") => &target[colon + 3..],
        _ => return b"",
    };
    match authority
        .iter()
        .position(|&byte| byte == b'/' || byte == b'?')
    {
        Some(start) if authority[start] == b'/' => &authority[start..],
        _ => b"",
    }
}

/// The value of the first parameter of this name in the query of a target.
pub(super) fn url_param<'a>(target: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = &target[memchr(b'?', target)? + 1..];
    loop {
        let value = rest
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(b"="));
        if let Some(value) = value {
            return Some(&value[..memchr(b'&', value).unwrap_or(value.len())]);
        }
        rest = &rest[memchr(b'&', rest)? + 1..];
    }
}

/// What stands before the first comma outside double quotes, without blanks around.
pub(super) fn first_element(value: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped) = (false, false);
    let comma = value.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        byte == b',' && !quoted
    });
    trim_blanks(&value[..comma.unwrap_or(value.len())])
}

fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
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

    // Observed on HAProxy 2.6.12, but for the last three.
    #[test]
    fn the_path_starts_after_the_authority() {
        let table = [
            ("/a?b", "/a?b"),
            ("http://h/a?b", "/a?b"),
            ("http://h", ""),
            ("http:///a", "/a"),
            ("//x/y", "//x/y"),
            ("*", ""),
            ("h:443", ""),
            ("http://h?x=/a", ""),
            ("", ""),
        ];
        for (target, expected) in table {
            assert_eq!(path(target.as_bytes()), expected.as_bytes(), "{target}");
        }
    }

    // Mostly observed on HAProxy 2.6.12.
    #[test]
    fn the_first_parameter_of_that_exact_name_counts() {
        let table: [(&str, Option<&str>); 10] = [
            ("/?id=ab&id=c", Some("ab")),
            ("/?Id=1&id=k", Some("k")),
            ("/?a&id=z?id=y", Some("z?id=y")),
            ("/?&id=zz", Some("zz")),
            ("/?xid=1&id=2;id=3", Some("2;id=3")),
            ("/?x&id=", Some("")),
            ("/?id", None),
            ("/?a=1&id", None),
            ("/id=1", None),
            ("/?", None),
        ];
        for (target, expected) in table {
            let found = url_param(target.as_bytes(), b"id");
            assert_eq!(found, expected.map(str::as_bytes), "{target}");
        }
    }

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
