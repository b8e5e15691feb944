//! Which fields of a message are meant. HAProxy: `del-header NAME [-m METHOD]`.

use hyper::header::{HeaderMap, HeaderName};
use stickroute::haproxy::Pattern;

/// A name, or a part of names in lower case: they are compared without regard to case.
#[derive(Debug)]
pub(crate) enum Names {
    Is(HeaderName),
    Begin(Vec<u8>),
    End(Vec<u8>),
    Contain(Vec<u8>),
    /// The pattern sees them in lower case, as in HAProxy.
    Match(Pattern),
}

impl Names {
    /// Takes those fields out.
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        if let Self::Is(name) = self {
            headers.remove(name);
            return;
        }
        let found = headers.keys().filter(|name| self.mean(name));
        let found: Vec<_> = found.cloned().collect();
        for name in found {
            headers.remove(name);
        }
    }

    fn mean(&self, name: &HeaderName) -> bool {
        let text = name.as_str().as_bytes();
        match self {
            Self::Is(known) => known == name,
            Self::Begin(part) => text.starts_with(part),
            Self::End(part) => text.ends_with(part),
            Self::Contain(part) => {
                part.is_empty() || text.windows(part.len()).any(|window| window == part)
            }
            Self::Match(pattern) => pattern.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn left(names: &Names) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in ["host", "x-ab", "x-low", "x-ac", "q-z", "x-ab"] {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static("1"));
        }
        names.remove_from(&mut headers);
        let mut left: Vec<_> = headers.keys().map(ToString::to_string).collect();
        left.sort();
        left
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn fields_of_all_names_that_are_meant_are_taken_out() {
        let pattern = |text| Names::Match(Pattern::new(text).unwrap());
        for (names, expected) in [
            (
                Names::Is(HeaderName::from_static("x-ab")),
                "host q-z x-ac x-low",
            ),
            (Names::Begin(b"x-a".to_vec()), "host q-z x-low"),
            (Names::End(b"-z".to_vec()), "host x-ab x-ac x-low"),
            (Names::Contain(b"b".to_vec()), "host q-z x-ac x-low"),
            (pattern("^x-[al]"), "host q-z"),
            (pattern("^X-[AL]"), "host q-z x-ab x-ac x-low"),
        ] {
            assert_eq!(left(&names).join(" "), expected, "{names:?}");
        }
    }
}
