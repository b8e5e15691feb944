//! Rules that give a request another target.

use hyper::Uri;
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;

/// What of a target is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetPart {
    Path,
    PathAndQuery,
    Query,
    Whole,
}

/// Sets a part of the target; `None` if that gives no target, and nothing is changed.
pub(crate) fn set(parts: &mut Parts, part: TargetPart, value: &[u8]) -> Option<()> {
    let old = parts.uri.path_and_query();
    let path = old.map_or("/", PathAndQuery::path);
    let query = old.and_then(PathAndQuery::query);
    let joined = |path: &[u8], query: Option<&[u8]>| match query {
        Some(query) => [path, b"?", query].concat(),
        None => path.to_vec(),
    };
    let new = match part {
        TargetPart::Whole => return set_whole(parts, value),
        TargetPart::PathAndQuery => value.to_vec(),
        TargetPart::Path => joined(value, query.map(str::as_bytes)),
        TargetPart::Query if value.is_empty() => joined(path.as_bytes(), None),
        TargetPart::Query => joined(path.as_bytes(), Some(value)),
    };
    let is_path = new.starts_with(b"/") || new == b"*";
    let new = PathAndQuery::try_from(new).ok().filter(|_| is_path)?;
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(new);
    parts.uri = Uri::from_parts(uri).ok()?;
    Some(())
}

/// With a host in it, that is what `Host` says, too.
fn set_whole(parts: &mut Parts, value: &[u8]) -> Option<()> {
    let uri = Uri::try_from(value).ok()?;
    let is_whole = value.starts_with(b"/") || value == b"*" || uri.scheme().is_some();
    if !is_whole {
        return None;
    }
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        parts.headers.insert(HOST, host);
    }
    parts.uri = uri;
    Some(())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use TargetPart::{Path, PathAndQuery, Query, Whole};

    #[test]
    fn parts_of_a_target_are_replaced() {
        for (old, part, value, new) in [
            ("/a?b", Path, "/x", Some("/x?b")),
            ("/a", Path, "/x", Some("/x")),
            ("/a?b", Path, "x", None),
            ("/a?b", Path, "/x y", None),
            ("/a?b", PathAndQuery, "/x", Some("/x")),
            ("/a?b", PathAndQuery, "/x?y", Some("/x?y")),
            ("/a?b", Query, "c", Some("/a?c")),
            ("/a?b", Query, "", Some("/a")),
            ("/a?b", Whole, "http://h/x", Some("http://h/x")),
            ("http://h/a?b", Path, "/x", Some("http://h/x?b")),
            ("/a?b", Whole, "x", None),
        ] {
            let request = Request::builder().uri(old).body(()).unwrap();
            let mut parts = request.into_parts().0;
            let done = set(&mut parts, part, value.as_bytes());
            assert_eq!(
                done.map(|()| parts.uri.to_string()).as_deref(),
                new,
                "{old} {value}"
            );
        }
    }
}
