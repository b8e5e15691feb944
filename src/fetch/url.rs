//! Parts of a request target.

use memchr::memchr;

/// The path and query of a request target; empty for `*` and `host:port`.
pub(crate) fn path(target: &[u8]) -> &[u8] {
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
pub(crate) fn url_param<'a>(target: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
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

/// The values of the parameters of this name, as fetches see them: `&`, `;` and `?` all
/// separate parameters.
pub(super) fn parameters<'a>(target: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let query = memchr(b'?', target).map_or(&b""[..], |start| &target[start + 1..]);
    query
        .split(|byte| matches!(byte, b'&' | b';' | b'?'))
        .filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// The path without the query.
pub(crate) fn path_alone(target: &[u8]) -> &[u8] {
    let path = path(target);
    &path[..memchr(b'?', path).unwrap_or(path.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed on HAProxy 2.6.12.
    #[test]
    fn parameters_are_separated_by_three_characters() {
        let values = |target: &'static str| -> Vec<_> {
            let values = parameters(target.as_bytes(), b"id");
            values
                .map(|value| std::str::from_utf8(value).unwrap())
                .collect()
        };
        assert_eq!(values("/?id=1;id=2&id=3?id=4"), ["1", "2", "3", "4"]);
        assert_eq!(values("/?id=?x"), [""]);
        assert_eq!(values("/?id&xid=1&ID=2"), [""; 0]);
        assert_eq!(values("/id=1"), [""; 0]);
    }

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
}
