//! Putting a [`CookiePolicy`] together, mode by mode.

use std::marker::PhantomData;
use std::time::Duration;

use super::policy::{CookieMode, CookiePolicy, Flag};

/// A [`CookiePolicy`] being put together, with the options that mean something in
/// mode `M`.
///
/// It becomes a policy with `into()`, which is done wherever one is expected.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct CookieBuilder<M> {
    policy: CookiePolicy,
    mode: PhantomData<M>,
}

impl<M> From<CookieBuilder<M>> for CookiePolicy {
    fn from(builder: CookieBuilder<M>) -> Self {
        builder.policy
    }
}

impl<M> CookieBuilder<M> {
    pub(super) fn new(name: impl Into<Vec<u8>>, mode: CookieMode) -> Self {
        Self {
            policy: CookiePolicy::new(name, mode),
            mode: PhantomData,
        }
    }

    fn with(mut self, flag: Flag) -> Self {
        self.policy.set(flag);
        self
    }

    fn into_mode<N>(self) -> CookieBuilder<N> {
        CookieBuilder {
            policy: self.policy,
            mode: PhantomData,
        }
    }

    /// Gives every server without an identifier of its own one that is computed from
    /// its address and the backend's key. HAProxy: `dynamic`.
    pub fn dynamic(self) -> Self {
        self.with(Flag::Dynamic)
    }
}

impl CookieBuilder<mode::Insert> {
    /// Hides the cookie from the servers, and drops what they set under its name.
    /// HAProxy: `indirect`.
    pub fn indirect(self) -> Self {
        self.with(Flag::Indirect)
    }

    /// Lets a server set the cookie itself, and then inserts none: how an application
    /// ends or moves its session. HAProxy: `preserve`.
    pub fn preserve(self) -> Self {
        self.with(Flag::Preserve)
    }

    /// Adds `Cache-control: private` to cacheable responses that carry an inserted
    /// cookie. HAProxy: `nocache`.
    pub fn nocache(self) -> Self {
        self.with(Flag::Nocache)
    }

    /// Inserts in responses to `POST` only. HAProxy: `postonly`.
    pub fn postonly(self) -> Self {
        self.with(Flag::Postonly)
    }

    /// Adds the attribute `HttpOnly` (RFC 6265 section 4.1.2.6). HAProxy: `httponly`.
    pub fn httponly(self) -> Self {
        self.with(Flag::Httponly)
    }

    /// Adds the attribute `Secure` (RFC 6265 section 4.1.2.5). HAProxy: `secure`.
    pub fn secure(self) -> Self {
        self.with(Flag::Secure)
    }

    /// Adds the attribute `Domain` (RFC 6265 section 4.1.2.3): letters, digits, `.`,
    /// `-` and `_`. May be repeated. HAProxy: `domain D`.
    pub fn domain(mut self, domain: impl Into<Vec<u8>>) -> Self {
        self.policy.add_domain(domain.into());
        self
    }

    /// Adds an attribute as it stands, `SameSite=None` for example: no `;` and no
    /// control characters. May be repeated. HAProxy: `attr A`.
    pub fn attr(mut self, attr: impl Into<Vec<u8>>) -> Self {
        self.policy.add_attr(attr.into());
        self
    }
}

impl CookieBuilder<mode::Passive> {
    /// Drops the cookie from the response of a server that was chosen by persistence.
    /// HAProxy: `indirect`.
    pub fn indirect(self) -> CookieBuilder<mode::PassiveIndirect> {
        self.with(Flag::Indirect).into_mode()
    }
}

impl CookieBuilder<mode::PassiveIndirect> {
    /// Leaves the server's cookie alone after all. HAProxy: `indirect preserve`.
    pub fn preserve(self) -> Self {
        self.with(Flag::Preserve)
    }
}

impl CookieBuilder<mode::Prefix> {
    /// Drops the cookie from the response of a server that was chosen by persistence.
    ///
    /// The client then never sees a change the server makes to it. HAProxy: `indirect`.
    pub fn indirect(self) -> CookieBuilder<mode::PrefixIndirect> {
        self.with(Flag::Indirect).into_mode()
    }
}

impl CookieBuilder<mode::PrefixIndirect> {
    /// Leaves the server's cookie alone: not dropped and without prefix. HAProxy:
    /// `indirect preserve`.
    pub fn preserve(self) -> Self {
        self.with(Flag::Preserve)
    }
}

impl<M: mode::Dated> CookieBuilder<M> {
    /// Ignores a cookie whose last date is older; default 0, never.
    ///
    /// Rounded up to whole seconds, less than 2³¹ of them. In modes that write no
    /// dates it checks those of cookies written before. HAProxy: `maxidle T`.
    pub fn maxidle(mut self, limit: Duration) -> Self {
        self.policy.set_maxidle(limit);
        self
    }

    /// Ignores a cookie whose first date is older; default 0, never.
    ///
    /// Rounded up to whole seconds, less than 2³¹ of them. In modes that write no
    /// dates it checks those of cookies written before. HAProxy: `maxlife T`.
    pub fn maxlife(mut self, limit: Duration) -> Self {
        self.policy.set_maxlife(limit);
        self
    }
}

/// The modes a [`CookieBuilder`] can be in; types without values.
pub mod mode {
    /// See [`CookiePolicy::passive`](super::CookiePolicy::passive).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Passive {}
    /// Passive, and drops cookies that servers set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum PassiveIndirect {}
    /// See [`CookiePolicy::insert`](super::CookiePolicy::insert).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Insert {}
    /// See [`CookiePolicy::rewrite`](super::CookiePolicy::rewrite).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Rewrite {}
    /// See [`CookiePolicy::prefix`](super::CookiePolicy::prefix).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Prefix {}
    /// Prefix, and drops cookies that servers set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum PrefixIndirect {}

    /// The modes in which a cookie may hold dates: all but `prefix`.
    pub trait Dated: sealed::Sealed {}

    impl Dated for Passive {}
    impl Dated for PassiveIndirect {}
    impl Dated for Insert {}
    impl Dated for Rewrite {}

    mod sealed {
        pub trait Sealed {}
        impl Sealed for super::Passive {}
        impl Sealed for super::PassiveIndirect {}
        impl Sealed for super::Insert {}
        impl Sealed for super::Rewrite {}
    }
}
