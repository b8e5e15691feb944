//! What happens to the `Cookie` fields before a request is forwarded.

use memchr::{memchr, memchr_iter};

use super::items::{Item, ItemKind, is_blank, items, trim};
use super::policy::{CookieMode, CookiePolicy};

/// What to do to one header field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum FieldEdit {
    /// Leave it as it is.
    Keep,
    /// Remove the whole field line.
    Remove,
    /// Put this value in its place.
    Replace(Vec<u8>),
}

/// Cleans the value of one `Cookie` field for the server.
///
/// In mode `insert` with `indirect` every persistence cookie is removed, whether it
/// was valid or not; in mode `prefix` it loses its prefix. In every mode, blanks
/// around the `=` of a cookie are removed, as HAProxy does; all other bytes are kept.
///
/// It depends on nothing but the policy: call it for every `Cookie` field of a
/// request that is forwarded. Nothing is allocated for a field that is kept.
///
/// ```
/// use stickroute::cookie::{CookiePolicy, FieldEdit, edit_request};
///
/// let policy = CookiePolicy::from(CookiePolicy::prefix("SID"));
/// let edit = edit_request(&policy, b"SID=s1~abc; lang=en");
/// assert_eq!(edit, FieldEdit::Replace(b"SID=abc; lang=en".to_vec()));
/// assert_eq!(edit_request(&policy, b"lang=en"), FieldEdit::Keep);
/// ```
pub fn edit_request(policy: &CookiePolicy, header: &[u8]) -> FieldEdit {
    let header = trim(header);
    if is_clean(policy, header) {
        return FieldEdit::Keep;
    }
    let out = if removes(policy) {
        without(policy.name(), header)
    } else {
        squeezed(policy, header)
    };
    match out {
        out if out == header => FieldEdit::Keep,
        out if out.is_empty() => FieldEdit::Remove,
        out => FieldEdit::Replace(out),
    }
}

/// Whether nothing can have to change: true for nearly every field.
fn is_clean(policy: &CookiePolicy, header: &[u8]) -> bool {
    let mut values = policy.prepared_name().values(header);
    let cookies_stay = if removes(policy) {
        values.next().is_none()
    } else if policy.mode() == CookieMode::Prefix {
        !values.any(|value| memchr(b'~', value).is_some())
    } else {
        true
    };
    cookies_stay && !has_blank_beside_equals(header)
}

fn removes(policy: &CookiePolicy) -> bool {
    policy.mode() == CookieMode::Insert && policy.is_indirect()
}

fn has_blank_beside_equals(header: &[u8]) -> bool {
    let blank_at = |at: usize| header.get(at).copied().is_some_and(is_blank);
    memchr_iter(b'=', header).any(|at| blank_at(at.wrapping_sub(1)) || blank_at(at + 1))
}

/// The field with blanks squeezed and, in mode `prefix`, with prefixes cut.
fn squeezed(policy: &CookiePolicy, header: &[u8]) -> Vec<u8> {
    let mut copy = Copy::of(header);
    for item in items(header).filter(|item| item.kind() == ItemKind::Pair) {
        copy.squeeze(&item);
        if policy.mode() == CookieMode::Prefix && item.name() == policy.name() {
            copy.cut_prefix(&item);
        }
    }
    copy.finish()
}

/// The field without the cookies called `name` and the attributes that follow them.
///
/// They are dropped in runs; a run is open until an item of the application closes
/// it. Empty if nothing of the application is left.
fn without(name: &[u8], header: &[u8]) -> Vec<u8> {
    let mut copy = Copy::of(header);
    let mut run = None;
    let mut kept = false;
    for item in items(header) {
        if item.is_cookie(name) {
            run = run.or(Some(item));
            continue;
        }
        if item.kind() == ItemKind::Attribute {
            continue;
        }
        if let Some(first) = run.take() {
            copy.close_run(&first, &item);
        }
        kept = true;
        copy.squeeze(&item);
    }
    match run {
        Some(first) if kept => copy.end_at(first.delimiter),
        Some(_) => Vec::new(),
        None => copy.finish(),
    }
}

/// A field being copied with some of its bytes left out.
struct Copy<'h> {
    from: &'h [u8],
    /// How far `from` has been dealt with.
    done: usize,
    out: Vec<u8>,
}

impl<'h> Copy<'h> {
    fn of(from: &'h [u8]) -> Self {
        Self {
            from,
            done: 0,
            out: Vec::with_capacity(from.len()),
        }
    }

    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(&self.from[self.done..end]);
        self.done = end;
    }

    /// Leaves out the blanks around the `=`.
    fn squeeze(&mut self, item: &Item<'_>) {
        if let (Some(equals), Some(value)) = (item.equals(), item.value_range()) {
            self.copy_to(item.name_end);
            self.done = equals;
            self.copy_to(equals + 1);
            self.done = value.start;
        }
    }

    /// Leaves out the value up to the first `~`; to be called behind [`squeeze`](Self::squeeze).
    fn cut_prefix(&mut self, item: &Item<'_>) {
        let cut = item.value().and_then(|value| memchr(b'~', value));
        self.done += cut.map_or(0, |tilde| tilde + 1);
    }

    /// Leaves out everything from the item `first` to just before `next`.
    ///
    /// The delimiter that survives is the one before `next`, with one space behind;
    /// none does if nothing is left of the field before it, an empty item at the
    /// start included.
    fn close_run(&mut self, first: &Item<'_>, next: &Item<'_>) {
        self.copy_to(first.delimiter.unwrap_or(self.done));
        if !self.out.is_empty() {
            while self.out.last().copied().is_some_and(is_blank) {
                self.out.pop();
            }
            self.out.extend(next.delimiter.map(|at| self.from[at]));
            self.out.push(b' ');
        }
        self.done = next.start;
    }

    /// Ends before this delimiter; the blanks before it stay.
    fn end_at(mut self, delimiter: Option<usize>) -> Vec<u8> {
        self.copy_to(delimiter.unwrap_or(self.done));
        self.out
    }

    fn finish(mut self) -> Vec<u8> {
        self.copy_to(self.from.len());
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::nasty::header;
    use super::*;
    use proptest::prelude::*;

    fn policies() -> [CookiePolicy; 4] {
        [
            CookiePolicy::passive("SID").into(),
            CookiePolicy::insert("SID").into(),
            CookiePolicy::insert("SID").indirect().into(),
            CookiePolicy::prefix("SID").into(),
        ]
    }

    /// The field as forwarded, `None` if it is not.
    fn forwarded(policy: &CookiePolicy, header: &[u8]) -> Option<Vec<u8>> {
        match edit_request(policy, header) {
            FieldEdit::Keep => Some(trim(header).to_vec()),
            FieldEdit::Remove => None,
            FieldEdit::Replace(value) => Some(value),
        }
    }

    fn check(policy: &CookiePolicy, table: &[(&str, Option<&str>)]) {
        for (header, expected) in table {
            let out =
                forwarded(policy, header.as_bytes()).map(|out| String::from_utf8(out).unwrap());
            assert_eq!(out.as_deref(), *expected, "{header:?}");
        }
    }

    #[test]
    fn removal_leaves_the_bytes_around_the_hole() {
        check(
            &policies()[2],
            &[
                ("SID=c2;   x=1", Some("x=1")),
                ("x=1;SID=c2;y=2", Some("x=1; y=2")),
                ("x=1; SID=c2, y=2", Some("x=1, y=2")),
                ("x=1, SID=c2; y=2", Some("x=1; y=2")),
                ("x=1 ; SID=c2", Some("x=1 ")),
                ("x=1; SID=c2;", Some("x=1; ")),
                (";;SID=c2;;x=1;;", Some(";; ;x=1;;")),
                ("SID=zz; x=1; SID=, SID=a;y=2", Some("x=1; y=2")),
                (r#"SID="a;b"; x=1"#, Some("x=1")),
            ],
        );
    }

    #[test]
    fn nothing_is_left_of_a_field_with_nothing_else() {
        let gone = [
            "SID=c2",
            "SID=c2;",
            ";SID=c2",
            "$Version=1; SID=c2; $Path=/",
        ];
        check(&policies()[2], &gone.map(|header| (header, None)));
        check(
            &policies()[2],
            &[("", Some("")), ("$Version=1", Some("$Version=1"))],
        );
    }

    #[test]
    fn an_attribute_dies_with_its_cookie() {
        check(
            &policies()[2],
            &[
                (
                    "$Version=1; SID=c2; $Path = /; x=1",
                    Some("$Version=1; x=1"),
                ),
                ("x=1; $Path = /; SID=c2", Some("x=1; $Path = /")),
            ],
        );
    }

    #[test]
    fn an_empty_item_at_the_start_leaves_no_delimiter() {
        // Recorded from a running 2.6.12.
        check(
            &policies()[2],
            &[
                (";SID=c1;SID", Some("SID")),
                ("SID=c1, ;SID=c1;x", Some("x")),
                (", ;SID=c1;x", Some(",; x")),
            ],
        );
    }

    #[test]
    fn every_mode_squeezes_blanks() {
        for policy in policies() {
            check(
                &policy,
                &[(
                    "x = 1; $P = 2; y\t= z = ;b c",
                    Some("x=1; $P = 2; y=z = ;b c"),
                )],
            );
        }
    }

    #[test]
    fn a_prefix_is_cut_whatever_it_names() {
        check(
            &policies()[3],
            &[
                ("SID=zz~v", Some("SID=v")),
                ("SID=~v; x=a~b", Some("SID=v; x=a~b")),
                ("SID=c2~", Some("SID=")),
                ("SID=\"c2~v\"", Some("SID=v\"")),
                ("SID = c2~v~w,SID=a~b", Some("SID=v~w,SID=b")),
                ("SID=c2", Some("SID=c2")),
                ("$SID=c2~v", Some("$SID=c2~v")),
            ],
        );
    }

    #[test]
    fn long_fields_take_linear_time() {
        for unit in ["SID=1;", "x=1;SID=~1;", " ;SID=1; ", "; = ;", "SID=\";"] {
            for policy in policies() {
                let out = forwarded(&policy, unit.repeat(10_000).as_bytes());
                assert!(out.is_none_or(|out| out.len() <= unit.len() * 10_000));
            }
        }
    }

    /// The items that are nobody's business but the application's.
    fn foreign(header: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut foreign: Vec<_> = items(header)
            .filter(|item| item.kind() != ItemKind::Attribute && !item.is_cookie(b"SID"))
            .filter(|item| !item.name().is_empty() || item.value().is_some())
            .map(|item| (item.name().to_vec(), item.value().map(<[u8]>::to_vec)))
            .collect();
        foreign.sort();
        foreign
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn edits_lose_no_foreign_cookie_and_invent_nothing(header in header()) {
            for policy in policies() {
                let out = forwarded(&policy, &header).unwrap_or_default();
                // A prefix may hide a quote, and what it protected comes to light.
                if policy.mode() != CookieMode::Prefix || !header.contains(&b'"') {
                    prop_assert_eq!(foreign(&out), foreign(&header));
                }
                let known = |byte: &u8| *byte == b' ' || header.contains(byte);
                prop_assert!(out.iter().all(known));
                prop_assert!(out.len() <= header.len());
            }
        }

        #[test]
        fn an_edited_field_needs_no_second_edit(header in header()) {
            for policy in &policies()[..3] {
                if let Some(out) = forwarded(policy, &header) {
                    prop_assert_eq!(edit_request(policy, &out), FieldEdit::Keep);
                }
            }
        }
    }
}
