//! A `Cookie` field: what is found in it, and what an edit leaves of it.

use stickroute::CookiePolicy;
use stickroute::cookie::{FieldEdit, Item, ItemKind, Name, edit_request, items, value};

const NAME: &[u8] = b"SID";

pub(crate) fn check(header: &[u8]) {
    check_search(header);
    let policies: [CookiePolicy; 4] = [
        CookiePolicy::passive(NAME).into(),
        CookiePolicy::insert(NAME).into(),
        CookiePolicy::insert(NAME).indirect().into(),
        CookiePolicy::prefix(NAME).into(),
    ];
    for policy in &policies {
        check_edit(policy, header);
    }
}

/// The quick search finds what the splitter finds.
fn check_search(header: &[u8]) {
    for name in [NAME, b"x", b"\"", b"$P", b"", b"S D"] {
        let exact: Vec<_> = items(header)
            .filter(|item| is_cookie(item, name))
            .filter_map(|item| item.value())
            .collect();
        let quick: Vec<_> = Name::new(name).values(header).collect();
        assert_eq!(quick, exact);
        assert_eq!(value(header, name), exact.first().copied());
    }
}

/// No byte is invented but the space behind a delimiter, and no cookie is lost but
/// the policy's own.
fn check_edit(policy: &CookiePolicy, header: &[u8]) {
    let out = match edit_request(policy, header) {
        FieldEdit::Keep => return,
        FieldEdit::Remove => Vec::new(),
        FieldEdit::Replace(out) => {
            assert!(!out.is_empty());
            assert_ne!(out, header, "an edit changes something");
            out
        }
    };
    assert!(out.len() <= header.len());
    assert!(
        out.iter()
            .all(|byte| *byte == b' ' || header.contains(byte))
    );
    let is_prefix = policy.mode() == stickroute::CookieMode::Prefix;
    // A prefix that is cut may take one of two quotes with it.
    if !is_prefix || !header.contains(&b'"') {
        assert_eq!(foreign(&out), foreign(header));
    }
    if policy.is_indirect() {
        assert_eq!(value(&out, NAME), None);
    }
    if !is_prefix {
        assert_eq!(edit_request(policy, &out), FieldEdit::Keep);
    }
}

fn foreign(header: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
    let mut foreign: Vec<_> = items(header)
        .filter(|item| item.kind() != ItemKind::Attribute && !is_cookie(item, NAME))
        .map(|item| (item.name(), item.value()))
        .filter(|item| *item != (b"", None))
        .collect();
    foreign.sort_unstable();
    foreign
}

fn is_cookie(item: &Item<'_>, name: &[u8]) -> bool {
    item.kind() == ItemKind::Pair && item.name() == name
}
