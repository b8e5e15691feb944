//! Keeps other sites from pressing the buttons of the page with a browser that is let in.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

/// A text that only the pages of this process know.
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new() -> Self {
        // Keyed by the randomness of the operating system, which std offers nowhere else.
        let keyed = RandomState::new();
        let words = (0..4_u8).map(|number| format!("{:016x}", keyed.hash_one(number)));
        Self(words.collect())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Compares in a time that depends on the lengths alone.
pub(crate) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.iter().zip(other);
    let difference = pairs.fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    one.len() == other.len() && difference == 0
}

/// Whether a browser says that the request comes from somewhere else. What says nothing
/// about itself, curl for example, is not from another site.
pub(crate) fn is_from_elsewhere(parts: &Parts) -> bool {
    let site = parts.headers.get("sec-fetch-site");
    let is_foreign_site = site.is_some_and(|site| site != "same-origin");
    let mut origins = parts.headers.get_all(header::ORIGIN).iter();
    is_foreign_site || origins.any(|origin| !is_ours(origin, parts))
}

/// Whether an origin (RFC 6454) has the authority that the request was sent to. The scheme
/// may be that of a TLS terminator in front.
fn is_ours(origin: &HeaderValue, parts: &Parts) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let asked = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host(&parts.headers),
    };
    matches!((authority, asked), (Some(one), Some(other)) if one.eq_ignore_ascii_case(other))
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// Standard Base64 (RFC 4648): what a browser makes of a name and a password.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for letter in 0..4 {
            let index = bits >> (18 - 6 * letter) & 63;
            let is_there = letter <= three.len();
            let char = if is_there {
                ALPHABET[index as usize]
            } else {
                b'='
            };
            text.push(char::from(char));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_different() {
        let (one, two) = (Secret::new(), Secret::new());
        assert_eq!(one.as_str().len(), 64);
        assert!(!is_equal(one.as_str().as_bytes(), two.as_str().as_bytes()));
        assert!(is_equal(b"", b"") && is_equal(b"ab", b"ab"));
        assert!(!is_equal(b"ab", b"abc") && !is_equal(b"ab", b"aB"));
    }

    #[test]
    fn texts_are_encoded_as_the_standard_says() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}\u{fe}~", "w7/Dvn4="),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn requests_of_other_sites_are_known() {
        let foreign = |uri: &str, fields: &[(&'static str, &'static str)]| {
            let mut request = hyper::Request::new(());
            *request.uri_mut() = uri.parse().unwrap();
            for (name, value) in fields {
                request
                    .headers_mut()
                    .append(*name, HeaderValue::from_static(value));
            }
            is_from_elsewhere(&request.into_parts().0)
        };
        let host = ("host", "h:80");
        assert!(!foreign("/", &[host]));
        assert!(!foreign("/", &[host, ("origin", "https://H:80")]));
        assert!(!foreign("http://a/", &[host, ("origin", "http://a")]));
        assert!(!foreign("/", &[("sec-fetch-site", "same-origin")]));
        for fields in [
            &[host, ("origin", "http://h")][..],
            &[host, ("origin", "null")],
            &[("origin", "http://h")],
            &[host, ("origin", "http://h:80"), ("origin", "http://x")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[
                host,
                ("sec-fetch-site", "same-site"),
                ("origin", "http://h:80"),
            ],
        ] {
            assert!(foreign("/", fields), "{fields:?}");
        }
    }
}
