//! What a selection holds on to: a server, and a slot on it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::cookie::CookiePolicy;
use crate::queue::Line;
use crate::server::{Address, ServerId, ServerLoad, Spec};
use crate::table::TableServer;

/// The server of a selection: who it is, where it is, and the caller's payload.
///
/// It stays as it was when it was selected, even when the backend changes or drops the
/// server meanwhile.
pub struct ServerHandle<P = ()> {
    pub(crate) spec: Arc<Spec>,
    pub(crate) load: Arc<ServerLoad>,
    pub(crate) payload: Arc<P>,
    /// Who waits for a slot, of this server or of any in the backend.
    pub(crate) line: Arc<Line<P>>,
    /// The identifier as configured, which always wins over a computed one.
    pub(crate) own_cookie: Option<Box<[u8]>>,
    /// The identifier in force: configured, computed, or none.
    pub(crate) cookie: Option<Box<[u8]>>,
    /// This server in each of the backend's stick tables, in their order.
    pub(crate) stick: Box<[TableServer]>,
    /// The backend's policy, so that a selection can edit its request on its own.
    pub(crate) policy: Option<Arc<CookiePolicy>>,
}

impl<P> ServerHandle<P> {
    /// Identity of the server.
    pub fn id(&self) -> ServerId {
        self.spec.id
    }

    /// Name of the server.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Where to connect to.
    pub fn address(&self) -> &Address {
        &self.spec.address
    }

    /// What the caller attached with [`Server::payload`](crate::Server::payload).
    pub fn payload(&self) -> &P {
        &self.payload
    }

    /// The identifier that stands for the server in the persistence cookie, if it has
    /// one: configured, or computed for a dynamic cookie.
    pub fn cookie(&self) -> Option<&[u8]> {
        self.cookie.as_deref()
    }

    /// Sessions that hold a slot on this server at this very moment, this one included.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Sessions that wait in the queue of this server at this very moment. HAProxy: `qcur`.
    pub fn queued(&self) -> u32 {
        self.load.queued()
    }
}

// By hand: a derived one would ask for `P: Clone`, which an `Arc` does not need.
impl<P> Clone for ServerHandle<P> {
    fn clone(&self) -> Self {
        Self {
            spec: Arc::clone(&self.spec),
            load: Arc::clone(&self.load),
            payload: Arc::clone(&self.payload),
            line: Arc::clone(&self.line),
            own_cookie: self.own_cookie.clone(),
            cookie: self.cookie.clone(),
            stick: self.stick.clone(),
            policy: self.policy.clone(),
        }
    }
}

impl<P> fmt::Debug for ServerHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("spec", &self.spec)
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}

/// A slot on a server, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease<P>(Arc<ServerHandle<P>>);

impl<P> Lease<P> {
    /// Takes a slot, or `None` when all are taken, others wait for one, or the server has left.
    #[inline]
    pub(crate) fn take(member: &Arc<ServerHandle<P>>) -> Option<Self> {
        let limit = member.spec.limits.now(&member.load, 1);
        if member.load.try_take(limit) {
            return Some(Self::of(member));
        }
        Self::not_taken(member);
        None
    }

    #[cold]
    fn not_taken(member: &Arc<ServerHandle<P>>) {
        if member.load.is_closed() {
            // For an instant it may have looked as if there were one more session.
            member.line.given_back(member);
        }
    }

    /// A slot that has been taken.
    pub(crate) fn of(member: &Arc<ServerHandle<P>>) -> Self {
        Self(Arc::clone(member))
    }
}

impl<P> Deref for Lease<P> {
    type Target = ServerHandle<P>;

    fn deref(&self) -> &ServerHandle<P> {
        &self.0
    }
}

impl<P> Drop for Lease<P> {
    fn drop(&mut self) {
        if self.0.load.give_back() {
            self.0.line.given_back(&self.0);
        }
        // HAProxy counts a session until its slot has been handed on, and so does this.
        self.0.load.left();
    }
}
