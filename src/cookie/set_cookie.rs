//! What happens to `Set-Cookie` fields, and the one the proxy sends itself.

use super::date::{Dates, Stamp};
use super::edit::FieldEdit;
use super::items::{skip_blanks, trim, trim_end, value_end};
use super::policy::{CookieMode, CookiePolicy};
use super::state::ResponseCookie;

/// Treats the value of one `Set-Cookie` field that the server sent.
///
/// `id` is the server's identifier, if it has one. `direct` says that the server was
/// chosen by persistence and not given up since. The second answer is what became of
/// the persistence cookie, `None` if this field sets another one; of several fields
/// the last one that sets it decides.
///
/// Blanks around the first `=` are removed, as HAProxy does; a comma begins no other
/// cookie. Nothing is allocated for a field that is kept or removed.
///
/// ```
/// use stickroute::cookie::{CookiePolicy, FieldEdit, ResponseCookie, edit_response};
///
/// let policy = CookiePolicy::from(CookiePolicy::rewrite("SRV"));
/// let (edit, state) = edit_response(&policy, b"SRV=x; Path=/", Some(b"s1"), false, false);
/// assert_eq!(edit, FieldEdit::Replace(b"SRV=s1; Path=/".to_vec()));
/// assert_eq!(state, Some(ResponseCookie::Replaced));
/// ```
pub fn edit_response(
    policy: &CookiePolicy,
    header: &[u8],
    id: Option<&[u8]>,
    direct: bool,
    ignore_persist: bool,
) -> (FieldEdit, Option<ResponseCookie>) {
    let header = trim(header);
    let Some(cookie) = SetCookie::parse(header) else {
        return (FieldEdit::Keep, None);
    };
    if ignore_persist || cookie.name != policy.name() {
        return (cookie.squeezed(), None);
    }
    let deletes = policy.mode() == CookieMode::Insert || (policy.is_indirect() && direct);
    let (edit, state) = match (policy.mode(), id) {
        _ if policy.preserves() => (cookie.squeezed(), ResponseCookie::Found),
        _ if deletes => (FieldEdit::Remove, ResponseCookie::Deleted),
        (CookieMode::Rewrite, Some(id)) => (
            cookie.with(&[id, cookie.behind_value]),
            ResponseCookie::Replaced,
        ),
        (CookieMode::Prefix, Some(id)) => (
            cookie.with(&[id, b"~", cookie.value, cookie.behind_value]),
            ResponseCookie::Replaced,
        ),
        _ => (cookie.squeezed(), ResponseCookie::Found),
    };
    (edit, Some(state))
}

/// The first `name=value` of a `Set-Cookie` field, and what stands around it.
struct SetCookie<'h> {
    header: &'h [u8],
    name: &'h [u8],
    value: &'h [u8],
    behind_value: &'h [u8],
}

impl<'h> SetCookie<'h> {
    /// `None` without an `=` before the first `;`.
    fn parse(header: &'h [u8]) -> Option<Self> {
        let stop = memchr::memchr2(b'=', b';', header)?;
        if header[stop] == b';' {
            return None;
        }
        let start = skip_blanks(header, stop + 1);
        let end = trim_end(header, start, value_end(header, start));
        Some(Self {
            header,
            name: &header[..trim_end(header, 0, stop)],
            value: &header[start..end],
            behind_value: &header[end..],
        })
    }

    /// The field without the blanks around its `=`.
    fn squeezed(&self) -> FieldEdit {
        let squeezed = self.name.len() + 1 + self.value.len() + self.behind_value.len();
        if squeezed == self.header.len() {
            return FieldEdit::Keep;
        }
        self.with(&[self.value, self.behind_value])
    }

    /// The name and its `=`, then these bytes.
    fn with(&self, parts: &[&[u8]]) -> FieldEdit {
        FieldEdit::Replace([self.name, b"=", &parts.concat()].concat())
    }
}

/// What is known when the proxy may insert a cookie of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insertion<'a> {
    /// Identifier of the server that answered, if it has one.
    pub id: Option<&'a [u8]>,
    /// The dates of the client's cookies: [`ClientState::dates`](super::ClientState::dates).
    pub dates: Dates,
    /// The wall clock.
    pub now: Stamp,
    /// Whether the server was chosen by persistence and not given up since.
    pub direct: bool,
}

/// Whether a response of a server gets a cookie of the proxy's own.
///
/// `method` is the request's; `response` is what became of the server's own cookie.
/// Not to be asked under `ignore-persist`, which inserts nothing.
///
/// A request that was not persisted gets a cookie. A persisted one gets it only to
/// refresh its dates, or to shed those the policy has no use for.
pub fn must_insert(
    policy: &CookiePolicy,
    insertion: &Insertion<'_>,
    method: &[u8],
    response: ResponseCookie,
) -> bool {
    let forbidden = policy.mode() != CookieMode::Insert
        || (policy.preserves() && response == ResponseCookie::Found)
        || (policy.is_postonly() && method != b"POST");
    !forbidden && (!insertion.direct || dates_want_it(policy, insertion))
}

fn dates_want_it(policy: &CookiePolicy, insertion: &Insertion<'_>) -> bool {
    let Dates { last, first } = insertion.dates;
    let reads_last = policy.maxidle_seconds() > 0 || last.is_some();
    let last_is_stale = !last.is_some() || last < insertion.now;
    let keeps_first = policy.maxlife_seconds() > 0;
    (reads_last && last_is_stale) || keeps_first != first.is_some()
}

/// The value of the `Set-Cookie` field to append after all others, and what it means.
///
/// For a server without an identifier it tells the client to forget its cookie.
///
/// ```
/// use stickroute::cookie::{CookiePolicy, Dates, Insertion, Stamp, insertion};
///
/// let policy = CookiePolicy::from(CookiePolicy::insert("SRV").httponly().attr("SameSite=Lax"));
/// let at = Insertion {
///     id: Some(b"s1"),
///     dates: Dates::NONE,
///     now: Stamp::from_unix(1_800_000_000),
///     direct: false,
/// };
/// let (value, _) = insertion(&policy, &at);
/// assert_eq!(value, b"SRV=s1; path=/; HttpOnly; SameSite=Lax");
/// ```
pub fn insertion(policy: &CookiePolicy, insertion: &Insertion<'_>) -> (Vec<u8>, ResponseCookie) {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(policy.name());
    out.push(b'=');
    if let Some(id) = insertion.id {
        out.extend_from_slice(id);
        push_dates(&mut out, policy, insertion);
    } else {
        out.extend_from_slice(b"; Expires=Thu, 01-Jan-1970 00:00:01 GMT");
    }
    push_attributes(&mut out, policy);
    let state = match insertion.id {
        Some(_) if insertion.direct => ResponseCookie::Updated,
        _ => ResponseCookie::Inserted,
    };
    (out, state)
}

fn push_dates(out: &mut Vec<u8>, policy: &CookiePolicy, insertion: &Insertion<'_>) {
    let keeps_first = policy.maxlife_seconds() > 0;
    if policy.maxidle_seconds() == 0 && !keeps_first {
        return;
    }
    let now = insertion.now.rounded_up();
    out.push(b'|');
    out.extend(now.to_text());
    if keeps_first {
        let received = insertion.dates.first;
        let first = if received.is_some() { received } else { now };
        out.push(b'|');
        out.extend(first.to_text());
    }
}

/// The order is HAProxy's, not that of the configuration.
fn push_attributes(out: &mut Vec<u8>, policy: &CookiePolicy) {
    out.extend_from_slice(b"; path=/");
    for domain in policy.domains() {
        out.extend_from_slice(b"; domain=");
        out.extend_from_slice(domain);
    }
    if policy.is_httponly() {
        out.extend_from_slice(b"; HttpOnly");
    }
    if policy.is_secure() {
        out.extend_from_slice(b"; Secure");
    }
    for attr in policy.attrs() {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(attr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResponseCookie::{Deleted, Found, Inserted, Replaced, Updated};
    use std::time::Duration;

    const ID: Option<&[u8]> = Some(b"s1");
    const NOW: u64 = 1_800_000_001;

    fn replace(text: &str) -> FieldEdit {
        FieldEdit::Replace(text.into())
    }

    fn edit(
        policy: impl Into<CookiePolicy>,
        header: &str,
        id: Option<&[u8]>,
        direct: bool,
    ) -> (FieldEdit, Option<ResponseCookie>) {
        edit_response(&policy.into(), header.as_bytes(), id, direct, false)
    }

    #[test]
    fn every_mode_treats_the_servers_cookie_its_own_way() {
        let header = "SRV=x; Path=/";
        let (passive, insert) = (CookiePolicy::passive("SRV"), CookiePolicy::insert("SRV"));
        let (rewrite, prefix) = (CookiePolicy::rewrite("SRV"), CookiePolicy::prefix("SRV"));
        let kept = (FieldEdit::Keep, Some(Found));
        let removed = (FieldEdit::Remove, Some(Deleted));
        assert_eq!(edit(passive.clone(), header, ID, true), kept);
        assert_eq!(edit(passive.clone().indirect(), header, ID, false), kept);
        assert_eq!(edit(passive.indirect(), header, ID, true), removed);
        assert_eq!(edit(insert.clone(), header, ID, false), removed);
        assert_eq!(edit(insert.preserve(), header, ID, false), kept);
        assert_eq!(
            edit(rewrite.clone(), header, ID, true),
            (replace("SRV=s1; Path=/"), Some(Replaced))
        );
        assert_eq!(edit(rewrite, header, None, true), kept);
        assert_eq!(
            edit(prefix.clone(), header, ID, true),
            (replace("SRV=s1~x; Path=/"), Some(Replaced))
        );
        assert_eq!(edit(prefix.clone().indirect(), header, ID, true), removed);
        assert_eq!(edit(prefix.indirect().preserve(), header, ID, true), kept);
    }

    #[test]
    fn the_prefix_goes_before_empty_and_quoted_values() {
        let prefix = CookiePolicy::prefix("SRV");
        let (empty, _) = edit(prefix.clone(), "SRV=;Path=/", ID, false);
        assert_eq!(empty, replace("SRV=s1~;Path=/"));
        let (quoted, _) = edit(prefix, r#"SRV = "a;b" ; Path"#, ID, false);
        assert_eq!(quoted, replace(r#"SRV=s1~"a;b" ; Path"#));
    }

    #[test]
    fn blanks_around_the_first_equals_vanish_whoever_set_the_cookie() {
        let passive = CookiePolicy::passive("SRV");
        let (edit, state) = edit(passive, "x = 1 ; Path = /", ID, false);
        assert_eq!((edit, state), (replace("x=1 ; Path = /"), None));
    }

    #[test]
    fn a_comma_begins_no_other_cookie_and_case_counts() {
        for header in ["a, SRV=x", "a=1, SRV=x", "srv=x", "SRV; a=1", "", ";SRV=x"] {
            let (edit, state) = edit(CookiePolicy::insert("SRV"), header, ID, true);
            assert_eq!((edit, state), (FieldEdit::Keep, None), "{header}");
        }
    }

    #[test]
    fn ignored_persistence_touches_nothing_but_blanks() {
        let policy = CookiePolicy::insert("SRV").into();
        let answer = edit_response(&policy, b"SRV =x", ID, true, true);
        assert_eq!(answer, (replace("SRV=x"), None));
    }

    fn insertion_at(last: i64, first: i64, direct: bool) -> Insertion<'static> {
        let stamp = |ago: i64| match ago {
            0 => Stamp::NONE,
            ago => Stamp::from_unix(NOW.checked_add_signed(-ago).unwrap()),
        };
        Insertion {
            id: ID,
            dates: Dates {
                last: stamp(last),
                first: stamp(first),
            },
            now: Stamp::from_unix(NOW),
            direct,
        }
    }

    fn dated(idle: u64, life: u64) -> CookieBuilderOfInsert {
        CookiePolicy::insert("SRV")
            .maxidle(Duration::from_secs(idle))
            .maxlife(Duration::from_secs(life))
    }

    type CookieBuilderOfInsert = super::super::CookieBuilder<super::super::mode::Insert>;

    #[test]
    fn dates_decide_whether_a_persisted_client_gets_a_cookie() {
        // maxidle, maxlife, last and first in seconds ago (0: none), inserted
        let table = [
            (0, 0, 0, 0, false),
            (0, 0, 9, 0, true),
            (0, 0, -9, 0, false),
            (0, 0, 0, 9, true),
            (60, 0, 0, 0, true),
            (60, 0, 1, 0, true),
            (60, 0, -1, 0, false),
            (60, 0, -1, 9, true),
            (0, 60, 0, 0, true),
            (0, 60, 0, 9, false),
            (0, 60, 9, 9, true),
            (0, 60, -1, 9, false),
        ];
        for (idle, life, last, first, expected) in table {
            let policy = dated(idle, life).into();
            let at = insertion_at(last, first, true);
            let inserted = must_insert(&policy, &at, b"GET", ResponseCookie::None);
            assert_eq!(inserted, expected, "{idle} {life} {last} {first}");
        }
    }

    #[test]
    fn a_client_without_persistence_gets_one_unless_forbidden() {
        let at = insertion_at(0, 0, false);
        let inserts = |policy: CookieBuilderOfInsert, method: &[u8], state| {
            must_insert(&policy.into(), &at, method, state)
        };
        let insert = CookiePolicy::insert("SRV");
        assert!(inserts(insert.clone(), b"GET", Deleted));
        assert!(inserts(insert.clone(), b"GET", Found));
        assert!(!inserts(insert.clone().preserve(), b"GET", Found));
        assert!(!inserts(insert.clone().postonly(), b"GET", Deleted));
        assert!(!inserts(insert.clone().postonly(), b"post", Deleted));
        assert!(inserts(insert.postonly(), b"POST", Deleted));
        let rewrite = CookiePolicy::rewrite("SRV").into();
        assert!(!must_insert(&rewrite, &at, b"GET", ResponseCookie::None));
    }

    #[test]
    fn written_dates_are_last_then_first() {
        let text = |policy: CookieBuilderOfInsert, at: &Insertion<'_>| {
            String::from_utf8(insertion(&policy.into(), at).0).unwrap()
        };
        let fresh = insertion_at(0, 0, false);
        assert_eq!(text(dated(0, 0), &fresh), "SRV=s1; path=/");
        assert_eq!(text(dated(9, 0), &fresh), "SRV=s1|a0nSB; path=/");
        assert_eq!(text(dated(0, 9), &fresh), "SRV=s1|a0nSB|a0nSB; path=/");
        let kept = insertion_at(9, 41, true);
        assert_eq!(text(dated(9, 9), &kept), "SRV=s1|a0nSB|a0nR2; path=/");
    }

    #[test]
    fn a_server_without_identifier_makes_the_client_forget() {
        let policy = CookiePolicy::insert("SRV")
            .attr("X=1")
            .secure()
            .domain(".a.b")
            .httponly()
            .domain(".c")
            .into();
        let mut at = insertion_at(0, 0, true);
        assert_eq!(
            insertion(&policy, &at),
            (
                b"SRV=s1; path=/; domain=.a.b; domain=.c; HttpOnly; Secure; X=1".to_vec(),
                Updated
            )
        );
        at.id = None;
        let (value, state) = insertion(&policy, &at);
        assert!(value.starts_with(b"SRV=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/; domain="));
        assert_eq!(state, Inserted);
    }
}
