//! The ACLs that every proxy has.

use super::criterion::{self, Criterion};
use crate::fetch::Fetch;
use crate::words;

/// `None` for any other name.
pub(super) fn find(name: &str) -> Option<Criterion> {
    let text = match name {
        "TRUE" => "always_true",
        "WAIT_END" => "wait_end",
        "FALSE" => "always_false",
        "HTTP" => "method -m found",
        "HTTP_CONTENT" => "req.hdr_val(content-length) gt 0",
        "HTTP_URL_ABS" => return Some(Criterion::of(is_absolute())),
        "HTTP_URL_SLASH" => "url_beg /",
        "HTTP_URL_STAR" => "url *",
        "LOCALHOST" => "src 127.0.0.1/8 ::1",
        "METH_CONNECT" => "method CONNECT",
        "METH_DELETE" => "method DELETE",
        "METH_GET" => "method GET HEAD",
        "METH_HEAD" => "method HEAD",
        "METH_OPTIONS" => "method OPTIONS",
        "METH_POST" => "method POST",
        "METH_PUT" => "method PUT",
        "METH_TRACE" => "method TRACE",
        "RDP_COOKIE" => "req.rdp_cookie_cnt gt 0",
        "REQ_CONTENT" => "req.len gt 0",
        _ => return None,
    };
    let words = words::split(text.as_bytes()).ok()?;
    criterion::read(&words, text.len(), &mut Vec::new()).ok()
}

/// Whether `://` stands behind something without these characters.
fn is_absolute() -> Fetch {
    Fetch::custom("HTTP_URL_ABS", |request| {
        let target = request.target();
        let scheme = target.iter().position(|byte| matches!(byte, b':' | b'/'))?;
        Some(target[scheme..].starts_with(b"://").into())
    })
}

/// Names of HAProxy that ask for the version of HTTP.
pub(super) fn is_known(name: &str) -> bool {
    matches!(name, "HTTP_1.0" | "HTTP_1.1" | "HTTP_2.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_predefined_acl_can_be_read() {
        for name in [
            "TRUE",
            "WAIT_END",
            "FALSE",
            "HTTP",
            "HTTP_CONTENT",
            "HTTP_URL_ABS",
            "HTTP_URL_SLASH",
            "HTTP_URL_STAR",
            "LOCALHOST",
            "METH_CONNECT",
            "METH_DELETE",
            "METH_GET",
            "METH_HEAD",
            "METH_OPTIONS",
            "METH_POST",
            "METH_PUT",
            "METH_TRACE",
            "RDP_COOKIE",
            "REQ_CONTENT",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
