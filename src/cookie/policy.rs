//! What a backend wants done with its persistence cookie.

use std::fmt;
use std::time::Duration;

use super::builder::{CookieBuilder, mode};
use super::find::Name;
use super::problem::{self, CookieProblem};

/// What the proxy does with the persistence cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CookieMode {
    /// Reads the client's cookie and changes none. HAProxy: no mode word.
    #[default]
    Passive,
    /// Sends a cookie of the proxy's own. HAProxy: `insert`.
    Insert,
    /// Replaces the value of the server's cookie. HAProxy: `rewrite`.
    Rewrite,
    /// Puts the identifier before the value of the server's cookie. HAProxy: `prefix`.
    Prefix,
}

/// A persistence cookie: HAProxy's `cookie NAME ...` on a backend.
///
/// Built by one of [`passive`](Self::passive), [`insert`](Self::insert),
/// [`rewrite`](Self::rewrite) and [`prefix`](Self::prefix), each with the options
/// that mean something for it, or read by [`from_directive`](Self::from_directive)
/// from HAProxy's text. Nothing is checked on the way: [`problems`](Self::problems)
/// does that, and building a backend asks it.
///
/// ```
/// use std::time::Duration;
/// use stickroute::CookiePolicy;
///
/// let policy: CookiePolicy = CookiePolicy::insert("SRV")
///     .indirect()
///     .nocache()
///     .maxidle(Duration::from_secs(30 * 60))
///     .into();
/// assert!(policy.problems().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CookiePolicy {
    name: Name<'static>,
    mode: CookieMode,
    flags: Flags,
    domains: Vec<Box<[u8]>>,
    attrs: Vec<Box<[u8]>>,
    /// In seconds; 0 is off.
    maxidle: u64,
    maxlife: u64,
}

impl CookiePolicy {
    /// The longest `maxidle` and `maxlife`: 2³¹ − 1 seconds, some 68 years.
    pub const MAX_AGE: Duration = Duration::from_secs(i32::MAX as u64);

    /// Reads the client's cookie, which the servers set, and changes none.
    pub fn passive(name: impl Into<Vec<u8>>) -> CookieBuilder<mode::Passive> {
        CookieBuilder::new(name, CookieMode::Passive)
    }

    /// Sends the client a cookie of the proxy's own.
    pub fn insert(name: impl Into<Vec<u8>>) -> CookieBuilder<mode::Insert> {
        CookieBuilder::new(name, CookieMode::Insert)
    }

    /// Replaces the value of the cookie that the server sets.
    pub fn rewrite(name: impl Into<Vec<u8>>) -> CookieBuilder<mode::Rewrite> {
        CookieBuilder::new(name, CookieMode::Rewrite)
    }

    /// Puts the server's identifier and `~` before the value of the cookie that the
    /// server sets, and takes them away again on the way back.
    pub fn prefix(name: impl Into<Vec<u8>>) -> CookieBuilder<mode::Prefix> {
        CookieBuilder::new(name, CookieMode::Prefix)
    }

    pub(super) fn new(name: impl Into<Vec<u8>>, mode: CookieMode) -> Self {
        Self {
            name: Name::new(&name.into()).into_owned(),
            mode,
            flags: Flags::default(),
            domains: Vec::new(),
            attrs: Vec::new(),
            maxidle: 0,
            maxlife: 0,
        }
    }

    /// What keeps this policy from being used: empty if nothing does.
    pub fn problems(&self) -> Vec<CookieProblem> {
        problem::of(self)
    }

    /// This policy as a second `cookie` line, or one below a `defaults` section's,
    /// leaves it: the earlier line's attributes come first, all else is this one's.
    #[must_use]
    pub fn overriding(mut self, earlier: &Self) -> Self {
        self.attrs.splice(..0, earlier.attrs.iter().cloned());
        self
    }

    /// Name of the cookie.
    pub fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// Name of the cookie, ready to be searched for.
    pub fn prepared_name(&self) -> &Name<'static> {
        &self.name
    }

    /// What is done with the cookie.
    pub fn mode(&self) -> CookieMode {
        self.mode
    }

    /// Whether servers do not see the cookie and, on persisted requests, cannot set it.
    pub fn is_indirect(&self) -> bool {
        self.flags.has(Flag::Indirect)
    }

    /// Whether a cookie the server sets is left alone.
    pub fn preserves(&self) -> bool {
        self.flags.has(Flag::Preserve)
    }

    /// Whether shared caches are told not to store an inserted cookie.
    pub fn is_nocache(&self) -> bool {
        self.flags.has(Flag::Nocache)
    }

    /// Whether only responses to `POST` get a cookie.
    pub fn is_postonly(&self) -> bool {
        self.flags.has(Flag::Postonly)
    }

    /// Whether inserted cookies are `HttpOnly`.
    pub fn is_httponly(&self) -> bool {
        self.flags.has(Flag::Httponly)
    }

    /// Whether inserted cookies are `Secure`.
    pub fn is_secure(&self) -> bool {
        self.flags.has(Flag::Secure)
    }

    /// Whether servers without an identifier get one computed from their address.
    pub fn is_dynamic(&self) -> bool {
        self.flags.has(Flag::Dynamic)
    }

    /// Domains of inserted cookies, in order.
    pub fn domains(&self) -> impl Iterator<Item = &[u8]> {
        self.domains.iter().map(|domain| &**domain)
    }

    /// Further attributes of inserted cookies, in order.
    pub fn attrs(&self) -> impl Iterator<Item = &[u8]> {
        self.attrs.iter().map(|attr| &**attr)
    }

    /// How long a cookie stays valid without a request, in whole seconds.
    pub fn maxidle(&self) -> Option<Duration> {
        (self.maxidle > 0).then(|| Duration::from_secs(self.maxidle))
    }

    /// How long a cookie stays valid at all, in whole seconds.
    pub fn maxlife(&self) -> Option<Duration> {
        (self.maxlife > 0).then(|| Duration::from_secs(self.maxlife))
    }

    /// `maxidle` in seconds, 0 if off.
    pub(super) fn maxidle_seconds(&self) -> i32 {
        self.maxidle.try_into().unwrap_or(i32::MAX)
    }

    /// `maxlife` in seconds, 0 if off.
    pub(super) fn maxlife_seconds(&self) -> i32 {
        self.maxlife.try_into().unwrap_or(i32::MAX)
    }

    pub(super) fn set(&mut self, flag: Flag) {
        self.flags.0 |= flag.bit();
    }

    pub(super) fn set_mode(&mut self, mode: CookieMode) {
        self.mode = mode;
    }

    pub(super) fn add_domain(&mut self, domain: Vec<u8>) {
        self.domains.push(domain.into());
    }

    pub(super) fn add_attr(&mut self, attr: Vec<u8>) {
        self.attrs.push(attr.into());
    }

    pub(super) fn set_maxidle(&mut self, limit: Duration) {
        self.maxidle = whole_seconds(limit);
    }

    pub(super) fn set_maxlife(&mut self, limit: Duration) {
        self.maxlife = whole_seconds(limit);
    }
}

/// Rounded up, so that no duration is cut short and only zero means off.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    let partial = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(partial)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Flag {
    Indirect,
    Preserve,
    Nocache,
    Postonly,
    Httponly,
    Secure,
    Dynamic,
}

impl Flag {
    const ALL: [Self; 7] = [
        Self::Indirect,
        Self::Preserve,
        Self::Nocache,
        Self::Postonly,
        Self::Httponly,
        Self::Secure,
        Self::Dynamic,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flags(u8);

impl Flags {
    const fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Flag::ALL.iter().filter(|flag| self.has(**flag));
        f.debug_set().entries(set).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_and_only_zero_is_off() {
        let policy = |limit| CookiePolicy::from(CookiePolicy::insert("S").maxidle(limit));
        assert_eq!(policy(Duration::ZERO).maxidle(), None);
        let nanosecond = policy(Duration::from_nanos(1));
        assert_eq!(nanosecond.maxidle(), Some(Duration::from_secs(1)));
        let limit = CookiePolicy::MAX_AGE;
        assert!(policy(limit).problems().is_empty());
        assert_eq!(policy(limit + Duration::from_nanos(1)).problems().len(), 1);
        assert_eq!(policy(Duration::MAX).problems().len(), 1);
    }

    #[test]
    fn a_second_line_resets_all_but_the_attributes() {
        let first = CookiePolicy::insert("A").domain(".a.b").attr("x").secure();
        let second = CookiePolicy::from(CookiePolicy::insert("B").attr("y"));
        let both = second.overriding(&first.into());
        assert_eq!(both, CookiePolicy::insert("B").attr("x").attr("y").into());
    }
}
