//! A server's `Set-Cookie` field, in every mode.

use stickroute::cookie::{FieldEdit, ResponseCookie, edit_response};
use stickroute::{CookieMode, CookiePolicy};

const NAME: &[u8] = b"SID";
const ID: &[u8] = b"c1";

pub(crate) fn check(header: &[u8]) {
    let policies: [CookiePolicy; 7] = [
        CookiePolicy::passive(NAME).into(),
        CookiePolicy::passive(NAME).indirect().into(),
        CookiePolicy::insert(NAME).into(),
        CookiePolicy::insert(NAME).preserve().into(),
        CookiePolicy::rewrite(NAME).into(),
        CookiePolicy::prefix(NAME).into(),
        CookiePolicy::prefix(NAME).indirect().into(),
    ];
    for policy in &policies {
        for id in [None, Some(ID)] {
            for (direct, ignored) in [(false, false), (true, false), (true, true)] {
                check_edit(policy, header, id, direct, ignored);
            }
        }
    }
}

fn check_edit(
    policy: &CookiePolicy,
    header: &[u8],
    id: Option<&[u8]>,
    direct: bool,
    ignored: bool,
) {
    let (edit, state) = edit_response(policy, header, id, direct, ignored);
    assert!(!ignored || state.is_none());
    match (&edit, state) {
        (FieldEdit::Remove, state) => assert_eq!(state, Some(ResponseCookie::Deleted)),
        (FieldEdit::Keep, state) => {
            assert!(matches!(
                state,
                None | Some(ResponseCookie::Found | ResponseCookie::Replaced)
            ));
        }
        (FieldEdit::Replace(out), Some(ResponseCookie::Replaced)) => check_replaced(policy, out),
        (FieldEdit::Replace(out), _) => {
            // Blanks were squeezed, and nothing else happened.
            assert!(out.len() < header.len());
            let again = edit_response(policy, out, id, direct, ignored);
            assert_eq!(again, (FieldEdit::Keep, state));
        }
    }
    if let FieldEdit::Replace(out) = &edit {
        let known = |byte: &u8| header.contains(byte) || ID.contains(byte) || *byte == b'~';
        assert!(out.iter().all(known));
    }
}

fn check_replaced(policy: &CookiePolicy, out: &[u8]) {
    let value = out
        .strip_prefix(b"SID=c1")
        .expect("the identifier leads the value");
    if policy.mode() == CookieMode::Prefix {
        assert_eq!(value.first(), Some(&b'~'));
    }
}
