//! The answer to one request: which server, why, and what to do to the message.

use std::fmt;
use std::ops::ControlFlow;

use crate::cookie::{
    self, ClientCookie, ClientState, CookiePolicy, Dates, FieldEdit, ResponseCookie,
};
use crate::handle::{Lease, ServerHandle};
use crate::message::Request;
use crate::queue::Priority;
use crate::stick::Stores;

/// Why a request goes where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Reason {
    /// The client's cookie named the server.
    Cookie,
    /// A `use-server` rule named it.
    UseServer,
    /// An RDP cookie named it.
    RdpCookie,
    /// A lookup in a table of the caller's own named it.
    Lookup,
    /// A stick rule found it in a table.
    StickTable,
    /// Nothing named one, so the balancing algorithm chose.
    Balance,
    /// Connections to the first server failed, so the algorithm chose again.
    Redispatch,
}

impl Reason {
    /// The reason in one word, for logs: `cookie`, `use-server`, `rdp-cookie`, `lookup`, `stick-table`, `balance` or `redispatch`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::UseServer => "use-server",
            Self::RdpCookie => "rdp-cookie",
            Self::Lookup => "lookup",
            Self::StickTable => "stick-table",
            Self::Balance => "balance",
            Self::Redispatch => "redispatch",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A server chosen for one request.
///
/// It owns all it needs, borrows nothing from the backend and may cross threads and
/// awaits. It holds a slot on the server, which dropping it gives back: keep it until
/// the response has ended.
#[must_use = "dropping a selection gives its slot back"]
pub struct Selection<P = ()> {
    pub(crate) lease: Lease<P>,
    pub(crate) claim: Claim,
}

/// What is known of a request, with or without a slot.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) reason: Reason,
    pub(crate) trust: Trust,
    pub(crate) direct: bool,
    pub(crate) client_cookie: ClientCookie,
    pub(crate) dates: Dates,
    pub(crate) response_cookie: ResponseCookie,
    pub(crate) method: KnownMethod,
    pub(crate) retries: u32,
    pub(crate) redispatched: bool,
    /// How urgent it is, should it have to wait.
    pub(crate) priority: Priority,
    /// Keys to be stored with the server that answers, if there are rules for that.
    pub(crate) stores: Option<Stores>,
}

/// What the request itself says: all of a [`Claim`] that is small and free to copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    pub(crate) reason: Reason,
    pub(crate) trust: Trust,
    pub(crate) client_cookie: ClientCookie,
    pub(crate) dates: Dates,
    pub(crate) method: KnownMethod,
}

impl Findings {
    /// What is known of a request that persistence names a server for, or else nobody; the
    /// method is yet to be set.
    #[inline]
    pub(crate) fn of<S>(named: Option<Reason>, trust: Trust, client: &ClientState<S>) -> Self {
        Self {
            reason: named.unwrap_or(Reason::Balance),
            trust,
            client_cookie: client.cookie(),
            dates: client.dates(),
            method: KnownMethod::Other,
        }
    }

    /// The claim of a request that has just come.
    #[inline]
    pub(crate) fn claim(self, stores: Option<Stores>) -> Claim {
        Claim {
            reason: self.reason,
            trust: self.trust,
            direct: self.reason != Reason::Balance,
            client_cookie: self.client_cookie,
            dates: self.dates,
            response_cookie: ResponseCookie::None,
            method: self.method,
            retries: 0,
            redispatched: false,
            priority: Priority::default(),
            stores,
        }
    }
}

impl Claim {
    /// The server the request came for is given up: from here on it is balanced.
    pub(crate) fn balance_again(&mut self) {
        self.reason = Reason::Redispatch;
        self.direct = false;
    }

    /// Another server has the request now than the one it came for.
    pub(crate) fn moved(&mut self) {
        self.client_cookie = given_up(self.client_cookie);
        self.redispatched = true;
    }
}

/// What a client's cookie said, once its server has been given up.
pub(crate) fn given_up(cookie: ClientCookie) -> ClientCookie {
    match cookie {
        ClientCookie::Valid => ClientCookie::Down,
        other => other,
    }
}

impl<P> Selection<P> {
    /// The server: name, id, address and payload.
    pub fn server(&self) -> &ServerHandle<P> {
        &self.lease
    }

    /// Why this server.
    pub fn reason(&self) -> Reason {
        self.claim.reason
    }

    /// What the client's cookie said. HAProxy: third letter of `%tsc`.
    pub fn client_cookie(&self) -> ClientCookie {
        self.claim.client_cookie
    }

    /// What became of the cookie in the response, [`None`](ResponseCookie::None) before
    /// [`Backend::respond`](crate::Backend::respond). HAProxy: fourth letter of `%tsc`.
    pub fn response_cookie(&self) -> ResponseCookie {
        self.claim.response_cookie
    }

    /// Attempts so far beyond the first. HAProxy: `%rc`.
    pub fn retries(&self) -> u32 {
        self.claim.retries
    }

    /// Whether a redispatch moved the request to another server.
    pub fn is_redispatched(&self) -> bool {
        self.claim.redispatched
    }

    /// What to do to the request's `Cookie` fields before it is forwarded.
    ///
    /// `request` is the request as the client sent it. Only `insert indirect` hides the
    /// cookie from the server and only `prefix` cuts the identifier off, but every mode
    /// removes blanks around a cookie's `=`, as HAProxy does. Nothing is allocated when
    /// all fields may stay as they are.
    pub fn request_edits(&self, request: &dyn Request) -> RequestEdits {
        let policy = self.lease.policy.as_deref();
        policy.map_or_else(RequestEdits::default, |policy| {
            RequestEdits::new(policy, request)
        })
    }
}

impl<P> fmt::Debug for Selection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("server", &self.lease.name())
            .field("reason", &self.claim.reason)
            .field("client_cookie", &self.claim.client_cookie)
            .field("response_cookie", &self.claim.response_cookie)
            .field("retries", &self.claim.retries)
            .field("redispatched", &self.claim.redispatched)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Display for Selection<P> {
    /// One line for a log: server, reason and the two letters of the cookie states,
    /// as in `app2 by cookie (VN)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} by {} ({}{})",
            self.lease.name(),
            self.claim.reason,
            self.claim.client_cookie.letter(),
            self.claim.response_cookie.letter()
        )
    }
}

/// What to do to the `Cookie` fields of a request before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct RequestEdits {
    fields: Vec<FieldEdit>,
}

impl RequestEdits {
    pub(crate) fn new(policy: &CookiePolicy, request: &dyn Request) -> Self {
        let (mut fields, mut kept) = (Vec::new(), 0);
        request.visit_headers("cookie", &mut |value| {
            match cookie::edit_request(policy, value) {
                FieldEdit::Keep if fields.is_empty() => kept += 1,
                edit => {
                    fields.resize(fields.len().max(kept), FieldEdit::Keep);
                    fields.push(edit);
                }
            }
            ControlFlow::Continue(())
        });
        Self { fields }
    }

    /// Whether every field may stay as it is.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// What to do to each `Cookie` field, in the order of the request; empty when there
    /// is nothing to do. Fields beyond the end of the list stay as they are.
    pub fn cookie_fields(&self) -> &[FieldEdit] {
        &self.fields
    }
}

/// What to do to the headers of a response before it goes to the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ResponseEdits {
    pub(crate) fields: Vec<(usize, FieldEdit)>,
    pub(crate) set_cookie: Option<Vec<u8>>,
    pub(crate) private: bool,
}

impl ResponseEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.set_cookie.is_none()
    }

    /// What to do to the server's own `Set-Cookie` fields: position among them, in the
    /// order of the response, and the edit; fields not listed stay as they are.
    pub fn set_cookie_fields(&self) -> &[(usize, FieldEdit)] {
        &self.fields
    }

    /// Value of a `Set-Cookie` field to be appended after all others.
    pub fn set_cookie(&self) -> Option<&[u8]> {
        self.set_cookie.as_deref()
    }

    /// Value of a `Cache-Control` field to be appended beside those already there.
    pub fn cache_control(&self) -> Option<&'static str> {
        self.private.then_some("private")
    }
}

/// How far the persistence of one request is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// As the state of the server says.
    #[default]
    Normal,
    /// Even when the server is down, and it is never given up (`force-persist`).
    Forced,
    /// Cookies decide nothing (`ignore-persist`).
    Ignored,
}

/// What the response side needs to know of the request's method: itself, if that
/// matters to cookies and caches, else nothing. Unlike the request, it can be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KnownMethod {
    Get,
    Head,
    Options,
    Post,
    Trace,
    Other,
}

impl CookiePolicy {
    /// The method of a request, if this policy makes anything depend on it.
    #[inline]
    pub(crate) fn method_of(&self, request: &dyn Request) -> KnownMethod {
        if self.is_postonly() || self.is_nocache() {
            KnownMethod::of(request)
        } else {
            KnownMethod::Other
        }
    }
}

impl KnownMethod {
    fn of(request: &dyn Request) -> Self {
        match request.method() {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"POST" => Self::Post,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    pub(crate) const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Get => b"GET",
            Self::Head => b"HEAD",
            Self::Options => b"OPTIONS",
            Self::Post => b"POST",
            Self::Trace => b"TRACE",
            Self::Other => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimpleRequest;

    /// Up to there compilers move a value by a few instructions, and beyond by a call. A
    /// selection is moved three or four times on its way to the caller.
    #[test]
    fn a_selection_is_small_enough_to_be_moved_quickly() {
        let size = size_of::<Result<Selection, crate::SelectError>>();
        assert!(size <= 128, "{size}");
    }

    #[test]
    fn methods_that_matter_are_known_and_case_counts() {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "TRACE"] {
            let known = KnownMethod::of(&SimpleRequest::new(method, "/"));
            assert_eq!(known.as_bytes(), method.as_bytes());
        }
        for method in ["PUT", "get", ""] {
            let other = KnownMethod::of(&SimpleRequest::new(method, "/"));
            assert_eq!(other.as_bytes(), b"");
        }
    }
}
