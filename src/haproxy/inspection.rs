//! Rules on the first bytes of a connection.

use super::AclCondition;
use crate::message::{Request, Response};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on. HAProxy: `accept`.
    Accept,
    /// It is closed. HAProxy: `reject`.
    Reject,
}

/// Rules that look at the first bytes before anything is done with them. The first that
/// holds decides; where none does, the connection goes on. HAProxy: `tcp-request content`
/// or `tcp-response content` with `accept` and `reject`.
///
/// Ask [`on_partial_request`](Self::on_partial_request) whenever bytes have arrived, first
/// of all when there are none. Ask [`on_request`](Self::on_request) when nothing more is
/// waited for: `inspect-delay` is over (at once where there is none), the client has said
/// all it will say, or there is no room for more.
///
/// ```
/// use stickroute::haproxy::{Acls, Inspection, Verdict};
/// use stickroute::SimpleRequest;
///
/// let mut acls = Acls::new();
/// acls.declare("is_ssh req.payload(0,4) -m str SSH-")?;
/// acls.declare("near src 192.0.2.0/24")?;
/// let inspection = Inspection::new()
///     .rule(Verdict::Accept, acls.condition("if near")?)
///     .rule(Verdict::Reject, acls.condition("unless is_ssh")?);
///
/// let far = |payload: &str| SimpleRequest::new("", "").payload(payload);
/// let near = far("").source("192.0.2.7".parse().unwrap());
/// assert_eq!(inspection.on_partial_request(&near), Some(Verdict::Accept));
/// assert_eq!(inspection.on_partial_request(&far("SS")), None);
/// assert_eq!(inspection.on_partial_request(&far("SSH-2")), Some(Verdict::Accept));
/// assert_eq!(inspection.on_request(&far("SS")), Verdict::Reject);
/// # Ok::<(), stickroute::haproxy::AclError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// A rule without a condition always holds.
    rules: Vec<(Verdict, Option<AclCondition>)>,
}

impl Inspection {
    /// No rules: everything goes on, and nothing is waited for.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more rule at its end; `None` is a condition that always holds.
    #[must_use]
    pub fn rule(mut self, verdict: Verdict, condition: impl Into<Option<AclCondition>>) -> Self {
        self.push(verdict, condition);
        self
    }

    /// Adds a rule at the end; `None` is a condition that always holds.
    pub fn push(&mut self, verdict: Verdict, condition: impl Into<Option<AclCondition>>) {
        self.rules.push((verdict, condition.into()));
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The verdict on a request of which no more bytes will come.
    #[must_use]
    pub fn on_request(&self, request: &dyn Request) -> Verdict {
        let verdict = self.verdict(|condition| Some(condition.on_request(request)));
        verdict.unwrap_or(Verdict::Accept)
    }

    /// The verdict on a request whose bytes are still arriving; `None` as long as it takes
    /// more of them. See [`AclCondition::on_partial_request`].
    #[must_use]
    pub fn on_partial_request(&self, request: &dyn Request) -> Option<Verdict> {
        self.verdict(|condition| condition.on_partial_request(request))
    }

    /// The verdict on a response of which no more bytes will come.
    #[must_use]
    pub fn on_response(&self, response: &dyn Response) -> Verdict {
        let verdict = self.verdict(|condition| Some(condition.on_response(response)));
        verdict.unwrap_or(Verdict::Accept)
    }

    /// The verdict on a response whose bytes are still arriving; `None` as long as it takes
    /// more of them. See [`AclCondition::on_partial_response`].
    #[must_use]
    pub fn on_partial_response(&self, response: &dyn Response) -> Option<Verdict> {
        self.verdict(|condition| condition.on_partial_response(response))
    }

    /// A rule of which it is not known whether it holds keeps those behind it from deciding.
    fn verdict(&self, holds: impl Fn(&AclCondition) -> Option<bool>) -> Option<Verdict> {
        for (verdict, condition) in &self.rules {
            if condition.as_ref().map_or(Some(true), &holds)? {
                return Some(*verdict);
            }
        }
        Some(Verdict::Accept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::Acls;
    use crate::{SimpleRequest, SimpleResponse};

    fn acls() -> Acls {
        let mut acls = Acls::new();
        for acl in [
            "end wait_end",
            "long_or_end req.len gt 3",
            "long_or_end wait_end",
            "never always_true,bool,not",
            "abcd req.payload(0,4) -m str ABCD",
        ] {
            acls.declare(acl).unwrap();
        }
        acls
    }

    fn request(payload: &[u8]) -> SimpleRequest {
        let request = SimpleRequest::new("", "").payload(payload);
        request.source("127.0.0.1".parse().unwrap())
    }

    /// What is known after `AB`, after `ABCDEF`, and at the end of each.
    fn known(condition: &str) -> [Option<bool>; 4] {
        let condition = acls().condition(condition).expect(condition);
        let [short, long] = [&b"AB"[..], b"ABCDEF"].map(request);
        [
            condition.on_partial_request(&short),
            condition.on_partial_request(&long),
            Some(condition.on_request(&short)),
            Some(condition.on_request(&long)),
        ]
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_condition_is_known_as_early_as_with_haproxy() {
        const YES: Option<bool> = Some(true);
        const NO: Option<bool> = Some(false);
        for (condition, expected) in [
            ("if { req.len gt 3 }", [None, YES, NO, YES]),
            ("unless { req.len gt 3 }", [None, NO, YES, NO]),
            ("if { req.len lt 3 }", [YES, None, YES, NO]),
            ("if abcd", [None, YES, NO, YES]),
            ("if !abcd", [None, NO, YES, NO]),
            ("if !{ req.payload(0,2) -m str XX }", [YES; 4]),
            ("if { req.payload(0,2) -m str XX } WAIT_END", [NO; 4]),
            ("if { req.payload(0,0) -m beg XX }", [None, None, NO, NO]),
            ("if !{ req.ssl_hello_type 1 }", [YES; 4]),
            ("if end", [None, None, YES, YES]),
            ("if !end", [None, None, NO, NO]),
            ("if long_or_end", [None, YES, YES, YES]),
            ("if never", [NO; 4]),
            ("if FALSE WAIT_END", [NO; 4]),
            ("if WAIT_END FALSE", [None, None, NO, NO]),
            ("unless FALSE WAIT_END", [YES; 4]),
            ("if WAIT_END or TRUE", [YES; 4]),
            (
                "if !WAIT_END FALSE or { req.payload(0,3) -m found }",
                [None, YES, NO, YES],
            ),
            ("if { src 127.0.0.1 } WAIT_END", [None, None, YES, YES]),
            ("if { status 200 }", [NO; 4]),
            ("if { path /x }", [None, None, NO, NO]),
        ] {
            assert_eq!(known(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_rule_that_is_not_known_keeps_back_those_behind_it() {
        let condition = acls().condition("if abcd").unwrap();
        let inspection = Inspection::new()
            .rule(Verdict::Accept, condition)
            .rule(Verdict::Reject, None);
        assert_eq!(inspection.on_partial_request(&request(b"AB")), None);
        assert_eq!(inspection.on_request(&request(b"AB")), Verdict::Reject);
        let verdict = inspection.on_partial_request(&request(b"ABCD"));
        assert_eq!(verdict, Some(Verdict::Accept));
        let verdict = inspection.on_partial_request(&request(b"ABXX"));
        assert_eq!(verdict, Some(Verdict::Reject));
    }

    #[test]
    fn without_rules_everything_goes_on_at_once() {
        let verdict = Inspection::new().on_partial_request(&request(b""));
        assert_eq!(verdict, Some(Verdict::Accept));
    }

    #[test]
    fn responses_are_looked_at_in_the_same_way() {
        let condition = acls().condition("unless { res.payload(0,3) -m str 220 }");
        let inspection = Inspection::new().rule(Verdict::Reject, condition.unwrap());
        let of = |payload: &str| SimpleResponse::new(200).payload(payload);
        assert_eq!(inspection.on_partial_response(&of("22")), None);
        assert_eq!(inspection.on_response(&of("22")), Verdict::Reject);
        let verdict = inspection.on_partial_response(&of("220 "));
        assert_eq!(verdict, Some(Verdict::Accept));
    }
}
