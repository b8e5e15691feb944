//! The request as the server will see it.

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use crate::cookie::{CookiePolicy, FieldEdit};
use crate::message::{HeaderVisitor, Request};
use crate::selection::RequestEdits;

/// A request whose `Cookie` fields read as they are forwarded, which is what stick rules
/// and algorithms look at in HAProxy: the persistence cookie is hidden (`insert indirect`)
/// or has lost its prefix (`prefix`).
pub(super) struct Forwarded<'a> {
    request: &'a dyn Request,
    policy: Option<&'a CookiePolicy>,
    /// Made when somebody asks for cookies, as hardly any rule does.
    edits: OnceCell<RequestEdits>,
}

impl<'a> Forwarded<'a> {
    pub(super) fn new(request: &'a dyn Request, policy: Option<&'a CookiePolicy>) -> Self {
        Self {
            request,
            policy,
            edits: OnceCell::new(),
        }
    }

    /// The request as the client sent it.
    pub(super) fn original(&self) -> &'a dyn Request {
        self.request
    }
}

impl Request for Forwarded<'_> {
    fn source(&self) -> Option<IpAddr> {
        self.request.source()
    }

    fn source_port(&self) -> Option<u16> {
        self.request.source_port()
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.request.destination()
    }

    fn is_tls(&self) -> bool {
        self.request.is_tls()
    }

    fn method(&self) -> &[u8] {
        self.request.method()
    }

    fn target(&self) -> &[u8] {
        self.request.target()
    }

    fn visit_headers<'s>(&'s self, name: &str, visit: HeaderVisitor<'_, 's>) {
        let is_cookie = name.eq_ignore_ascii_case("cookie");
        let Some(policy) = self.policy.filter(|_| is_cookie) else {
            return self.request.visit_headers(name, visit);
        };
        let edits = self
            .edits
            .get_or_init(|| RequestEdits::new(policy, self.request));
        let mut edits = edits.cookie_fields().iter();
        self.request
            .visit_headers(name, &mut |value| match edits.next() {
                None | Some(FieldEdit::Keep) => visit(value),
                Some(FieldEdit::Remove) => ControlFlow::Continue(()),
                Some(FieldEdit::Replace(value)) => visit(value),
            });
    }

    fn payload(&self) -> &[u8] {
        self.request.payload()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimpleRequest;

    fn cookies(request: &dyn Request) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        request.visit_headers("Cookie", &mut |value| {
            values.push(value.to_vec());
            ControlFlow::Continue(())
        });
        values
    }

    #[test]
    fn cookies_read_as_the_server_will_get_them() {
        let request = SimpleRequest::new("GET", "/")
            .header("cookie", "a=b")
            .header("cookie", "SID=s1")
            .header("cookie", "SID=s1~x; c=d")
            .header("x", "SID=s1");
        let indirect = CookiePolicy::from(CookiePolicy::insert("SID").indirect());
        let prefix = CookiePolicy::from(CookiePolicy::prefix("SID"));
        for (policy, expected) in [
            (None, &["a=b", "SID=s1", "SID=s1~x; c=d"][..]),
            (Some(&indirect), &["a=b", "c=d"]),
            (Some(&prefix), &["a=b", "SID=s1", "SID=x; c=d"]),
        ] {
            let forwarded = Forwarded::new(&request, policy);
            let expected: Vec<&[u8]> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(cookies(&forwarded), expected);
            assert_eq!(
                crate::message::first_header(&forwarded, "x"),
                Some(&b"SID=s1"[..])
            );
        }
    }
}
