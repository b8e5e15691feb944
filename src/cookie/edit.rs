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
    /// The delimiter that survives is the one before `next`, with one space behind.
    fn close_run(&mut self, first: &Item<'_>, next: &Item<'_>) {
        if let (Some(from), Some(to)) = (first.delimiter, next.delimiter) {
            self.copy_to(from);
            while self.out.last().copied().is_some_and(is_blank) {
                self.out.pop();
            }
            self.out.extend([self.from[to], b' ']);
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
