//! The response side: what becomes of `Set-Cookie`.

use std::ops::ControlFlow;

use super::Backend;
use crate::cookie::{self, CookiePolicy, FieldEdit, Insertion, Stamp};
use crate::message::Response;
use crate::selection::{ResponseEdits, Selection, Trust};
use crate::time::Now;

impl<P: Send + Sync + 'static> Backend<P> {
    /// Says what to do to the headers of the server's response, notes in the selection
    /// what became of the cookie, and stores what stick rules have to store.
    ///
    /// Call it for responses that came from the server, interim ones (1xx) included, which
    /// are left alone; not for those the proxy makes itself. Nothing is allocated when
    /// there is nothing to do.
    ///
    /// A proxy that changes the response by rules of its own calls
    /// [`answered`](Self::answered) before, and this one behind them.
    pub fn respond(
        &self,
        selection: &mut Selection<P>,
        response: &dyn Response,
        now: Now,
    ) -> ResponseEdits {
        self.answered(selection, response, now);
        let policy = self.policy.cookie.as_ref();
        let Some(policy) = policy.filter(|_| is_final(response)) else {
            return ResponseEdits::default();
        };
        let mut edits = ResponseEdits::default();
        edit_own_cookies(policy, selection, response, &mut edits);
        insert(policy, selection, response, now, &mut edits);
        edits
    }

    /// Stores what stick rules have to store, and nothing else. Only the first call with a
    /// response that is no interim one stores; [`respond`](Self::respond) does it, too.
    ///
    /// HAProxy learns from the response as the server sent it, then follows `http-response`
    /// rules, and settles cookies in what these have left.
    pub fn answered(&self, selection: &mut Selection<P>, response: &dyn Response, now: Now) {
        if is_final(response) {
            self.stick_to_response(selection, response, now);
        }
    }
}

fn is_final(response: &dyn Response) -> bool {
    matches!(response.status(), 101 | 200..)
}

/// The server's own `Set-Cookie` fields; the last that matters decides the state.
fn edit_own_cookies<P>(
    policy: &CookiePolicy,
    selection: &mut Selection<P>,
    response: &dyn Response,
    edits: &mut ResponseEdits,
) {
    let ignore = selection.claim.trust == Trust::Ignored;
    let mut position = 0;
    response.visit_headers("set-cookie", &mut |value| {
        let identifier = selection.lease.cookie();
        let (edit, state) =
            cookie::edit_response(policy, value, identifier, selection.claim.direct, ignore);
        if let Some(state) = state {
            selection.claim.response_cookie = state;
        }
        if edit != FieldEdit::Keep {
            edits.fields.push((position, edit));
        }
        position += 1;
        ControlFlow::Continue(())
    });
}

/// Our own cookie, if the response gets one.
fn insert<P>(
    policy: &CookiePolicy,
    selection: &mut Selection<P>,
    response: &dyn Response,
    now: Now,
    edits: &mut ResponseEdits,
) {
    let insertion = Insertion {
        id: selection.lease.cookie(),
        dates: selection.claim.dates,
        now: Stamp::from_unix(now.wall_seconds()),
        direct: selection.claim.direct,
    };
    let method = selection.claim.method.as_bytes();
    let ignored = selection.claim.trust == Trust::Ignored;
    if ignored || !cookie::must_insert(policy, &insertion, method, selection.claim.response_cookie)
    {
        return;
    }
    let (value, state) = cookie::insertion(policy, &insertion);
    edits.set_cookie = Some(value);
    edits.private = policy.is_nocache() && cookie::is_cacheable(method, response);
    selection.claim.response_cookie = state;
}
