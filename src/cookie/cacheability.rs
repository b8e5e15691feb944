//! Whether a shared cache may store a response, as far as HAProxy looks.

use std::ops::ControlFlow;

use super::items::{trim, value_end};
use crate::message::Response;

/// Whether a response that carries an inserted cookie needs `Cache-control: private`
/// under [`nocache`](super::CookiePolicy::is_nocache), in a field of its own.
///
/// `method` is the request's. A response counts as cacheable when method and status
/// allow it, `Pragma` and `Cache-Control` do not forbid it, and it has a lifetime or a
/// validator. HAProxy 2.6: `Cache-Control: public` outweighs what came before it, the
/// method and the status included.
///
/// ```
/// use stickroute::SimpleResponse;
/// use stickroute::cookie::is_cacheable;
///
/// let bare = SimpleResponse::new(200);
/// assert!(!is_cacheable(b"GET", &bare));
/// assert!(is_cacheable(b"GET", &bare.clone().header("ETag", "\"1\"")));
/// assert!(!is_cacheable(b"POST", &bare.header("ETag", "\"1\"")));
/// ```
pub fn is_cacheable(method: &[u8], response: &dyn Response) -> bool {
    let pragma = first(response, "pragma");
    if pragma.is_some_and(|value| trim(value).eq_ignore_ascii_case(b"no-cache")) {
        return false;
    }
    let mut verdict = Verdict {
        cacheable: method_and_status_allow(method, response.status()),
        has_lifetime: false,
    };
    response.visit_headers("cache-control", &mut |value| {
        list(value).for_each(|directive| verdict.consider(directive));
        ControlFlow::Continue(())
    });
    let has = |name| first(response, name).is_some();
    verdict.cacheable
        && (verdict.has_lifetime || has("expires") || has("etag") || has("last-modified"))
}

fn method_and_status_allow(method: &[u8], status: u16) -> bool {
    let methods: [&[u8]; 4] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE"];
    let statuses = [200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501];
    methods.contains(&method) && statuses.contains(&status)
}

struct Verdict {
    cacheable: bool,
    has_lifetime: bool,
}

impl Verdict {
    fn consider(&mut self, directive: &[u8]) {
        let is = |known: &&[u8]| directive.eq_ignore_ascii_case(known);
        let begins = |known: &&[u8]| {
            let head = directive.get(..known.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(known))
        };
        let forbidding: [&[u8]; 5] = [
            b"private",
            b"no-cache",
            b"no-store",
            b"max-age=0",
            b"s-maxage=0",
        ];
        let lifetimes: [&[u8]; 2] = [b"s-maxage", b"max-age"];
        if is(&&b"public"[..]) {
            self.cacheable = true;
        } else if forbidding.iter().any(is) {
            self.cacheable = false;
        } else if lifetimes.iter().any(begins) {
            self.has_lifetime = true;
        }
    }
}

/// The members of a list field, separated by commas outside double quotes.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let mut end = value_end(bytes, 0);
        while bytes.get(end) == Some(&b';') {
            end = value_end(bytes, end + 1);
        }
        rest = bytes.get(end + 1..);
        Some(trim(&bytes[..end]))
    })
}

fn first<'a>(response: &'a dyn Response, name: &str) -> Option<&'a [u8]> {
    let mut first = None;
    response.visit_headers(name, &mut |value| {
        first = Some(value);
        ControlFlow::Break(())
    });
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SimpleResponse;

    fn with_etag(status: u16, cache_control: &str) -> SimpleResponse {
        SimpleResponse::new(status)
            .header("ETag", "x")
            .header("Cache-Control", cache_control)
    }

    #[test]
    fn public_outweighs_what_came_before() {
        assert!(is_cacheable(b"POST", &with_etag(302, "private, PUBLIC")));
        assert!(!is_cacheable(b"GET", &with_etag(200, "public, private")));
    }

    #[test]
    fn each_forbidding_word_forbids() {
        for word in ["private", "No-Cache", "no-store", "max-age=0", "s-maxage=0"] {
            assert!(!is_cacheable(b"GET", &with_etag(200, word)), "{word}");
        }
        for word in [
            "no-cache=\"set-cookie, x\"",
            "max-age=00",
            "private=x",
            "",
            "xyz",
        ] {
            assert!(is_cacheable(b"GET", &with_etag(200, word)), "{word}");
        }
    }

    #[test]
    fn a_lifetime_or_a_validator_is_needed() {
        let bare = SimpleResponse::new(200);
        let with = |name: &str, value: &str| bare.clone().header(name, value);
        assert!(!is_cacheable(b"GET", &with("Cache-Control", "public")));
        assert!(is_cacheable(b"GET", &with("Cache-Control", "max-age=9")));
        assert!(is_cacheable(b"GET", &with("Expires", "")));
        assert!(is_cacheable(b"GET", &with("Last-Modified", "")));
    }

    #[test]
    fn lists_are_split_as_haproxy_2_6_does() {
        // Recorded from a running 2.6.12, on a response without a validator.
        let table = [
            ("max-age=0, public", false),
            ("public", false),
            ("s-maxage=0, public", false),
            ("public, max-age=0", false),
            ("max-agex", true),
            (r#"x="a,max-age""#, false),
            (r#"x="a\", max-age=5""#, false),
            (r#"max-age=5, no-cache="set-cookie, x""#, true),
            ("max-age=5; private", true),
            ("max-age=5 ; x, private", false),
            ("max-age=5,private;x", true),
            ("private;x, max-age=5", true),
            ("max-age =0", true),
            (" max-age=5 ,, public ,", true),
        ];
        for (value, expected) in table {
            let response = SimpleResponse::new(200).header("Cache-Control", value);
            assert_eq!(is_cacheable(b"GET", &response), expected, "{value}");
        }
    }

    #[test]
    fn only_the_first_pragma_counts_and_it_ends_the_matter() {
        let public = with_etag(200, "public");
        let first = public.clone().header("Pragma", "No-Cache");
        assert!(!is_cacheable(b"GET", &first));
        let second = public.header("Pragma", "x").header("Pragma", "no-cache");
        assert!(is_cacheable(b"GET", &second));
    }
}
