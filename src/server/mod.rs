//! Servers: what is configured, what is happening, and the farm they form.

mod address;
mod farm;
mod history;
mod load;
mod marked;
mod state;
mod warm_up;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

pub use address::{Address, AddressError};
#[cfg(test)]
pub(crate) use farm::tests::{farm_of, with_status};
pub use farm::{Farm, FarmServer, Group, Serving, WeightScale};
pub(crate) use farm::{Limits, Spec};
pub(crate) use history::{CheckTarget, History};
pub(crate) use load::{Crowd, Joined};
pub use load::{LoadWatcher, ServerLoad};
pub(crate) use marked::Marked;
pub use marked::SessionsToEnd;
pub use state::{AdminState, OperationalState, Status, Weight, WeightChange};
pub(crate) use warm_up::{SlowStart, WarmUp};

use crate::ring::RingPlacement;

use crate::health::HealthPolicy;

/// The number that *is* a server, whatever happens to its address, weight or
/// place in the configuration.
///
/// Counters, states and the points on a consistent ring follow it. HAProxy:
/// `server ... id N`; servers without one are numbered as HAProxy numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct ServerId(NonZeroU32);

impl ServerId {
    /// The largest id, 2³¹ − 1, as in HAProxy 2.6.
    pub const MAX: Self = Self(NonZeroU32::new(i32::MAX as u32).unwrap());

    /// An id, or `None` for 0 and above [`MAX`](Self::MAX).
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) if id.get() <= i32::MAX as u32 => Some(Self(id)),
            _ => None,
        }
    }

    /// The number, 1 to 2³¹ − 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for ServerId {
    type Error = OutOfRange;

    fn try_from(id: u32) -> Result<Self, OutOfRange> {
        Self::new(id).ok_or(OutOfRange {
            found: id,
            least: 1,
            most: Self::MAX.get(),
        })
    }
}

impl From<ServerId> for u32 {
    fn from(id: ServerId) -> Self {
        id.get()
    }
}

/// A number that is no id or no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    found: u32,
    least: u32,
    most: u32,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, least, most } = self;
        write!(f, "{found} is out of range; expected {least} to {most}")
    }
}

impl std::error::Error for OutOfRange {}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One member of a backend, as configured.
///
/// `P` is a payload of the caller's own, a connection pool for example, that every
/// selection of this server gives access to.
///
/// Nothing is checked here: [`BackendBuilder::build`](crate::BackendBuilder::build)
/// reports everything that is wrong with all servers at once.
///
/// ```
/// use stickroute::Server;
///
/// let app = Server::new("app1", "10.0.0.1:8080").cookie("a1").weight(20);
/// let spare = Server::new("spare", "unix@/run/spare.sock").backup();
/// # let _ = (app, spare);
/// ```
#[derive(Clone, Debug)]
pub struct Server<P = ()> {
    pub(crate) name: Box<str>,
    pub(crate) address: Result<Address, AddressError>,
    pub(crate) id: Option<u32>,
    pub(crate) weight: u32,
    pub(crate) cookie: Option<Box<[u8]>>,
    pub(crate) guid: Option<Box<str>>,
    pub(crate) placement: Option<RingPlacement>,
    pub(crate) backup: bool,
    pub(crate) max_connections: u32,
    pub(crate) min_connections: u32,
    pub(crate) max_queue: u32,
    pub(crate) slow_start: Duration,
    pub(crate) non_stick: bool,
    pub(crate) marked: Marked,
    pub(crate) admin: AdminState,
    pub(crate) operational: OperationalState,
    pub(crate) health: HealthPolicy,
    pub(crate) is_checked: bool,
    pub(crate) check_target: CheckTarget,
    pub(crate) payload: P,
}

impl Server {
    /// A server of weight 1, up and ready, without a cookie identifier.
    ///
    /// `address` is anything that is or reads as an [`Address`]; a text that does not
    /// is reported by `build()`.
    pub fn new<A>(name: impl Into<Box<str>>, address: A) -> Self
    where
        A: TryInto<Address>,
        AddressError: From<A::Error>,
    {
        Self {
            name: name.into(),
            address: address.try_into().map_err(AddressError::from),
            id: None,
            weight: 1,
            cookie: None,
            guid: None,
            placement: None,
            backup: false,
            max_connections: 0,
            min_connections: 0,
            max_queue: 0,
            slow_start: Duration::ZERO,
            non_stick: false,
            marked: Marked::default(),
            admin: AdminState::Ready,
            operational: OperationalState::Running,
            health: HealthPolicy::new(),
            is_checked: false,
            check_target: CheckTarget::default(),
            payload: (),
        }
    }
}

impl<P> Server<P> {
    /// Attaches a payload of the caller's own; it replaces one attached before.
    ///
    /// After the server has left, its payload is dropped some time after the last selection
    /// is, on any thread that uses any backend, perhaps within a change of this one. So
    /// the payload's `drop` should be short and never change a backend.
    pub fn payload<Q>(self, payload: Q) -> Server<Q> {
        Server {
            name: self.name,
            address: self.address,
            id: self.id,
            weight: self.weight,
            cookie: self.cookie,
            guid: self.guid,
            placement: self.placement,
            backup: self.backup,
            max_connections: self.max_connections,
            min_connections: self.min_connections,
            max_queue: self.max_queue,
            slow_start: self.slow_start,
            non_stick: self.non_stick,
            marked: self.marked,
            admin: self.admin,
            operational: self.operational,
            health: self.health,
            is_checked: self.is_checked,
            check_target: self.check_target,
            payload,
        }
    }

    /// Sets the numeric id, 1 to 2³¹ − 1 and unique in the backend.
    ///
    /// Default: numbered in the order of configuration, around the ids given
    /// explicitly. HAProxy: `id N`.
    #[must_use]
    pub fn id(mut self, id: u32) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the weight, 0 to 256, default 1. HAProxy: `weight N`.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the identifier that stands for this server in the persistence cookie.
    ///
    /// At least one byte, any but control characters and `;`; two servers may share one,
    /// and the first that is up is chosen. Default: none, so that no cookie names this server,
    /// unless the policy is [dynamic](crate::CookiePolicy). One with a `|` or a `,`, or in
    /// mode `prefix` a `~`, is never found again, which is a
    /// [warning](crate::Backend::warnings). HAProxy: `cookie VALUE`.
    #[must_use]
    pub fn cookie(mut self, identifier: impl Into<Vec<u8>>) -> Self {
        self.cookie = Some(identifier.into().into());
        self
    }

    /// Sets a globally unique text, one of the keys a consistent ring can place
    /// servers by. Default: none. HAProxy 3.0: `guid TEXT`.
    #[must_use]
    pub fn guid(mut self, guid: impl Into<Box<str>>) -> Self {
        self.guid = Some(guid.into());
        self
    }

    /// Sets what its points on a consistent ring are computed from; default what the
    /// [selector](crate::ConsistentHash::key) says. HAProxy 3.x: `hash-key`.
    #[must_use]
    pub fn hash_key(mut self, placement: RingPlacement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Makes it a backup: it gets new sessions only while no other server can.
    /// HAProxy: `backup`.
    #[must_use]
    pub fn backup(mut self) -> Self {
        self.backup = true;
        self
    }

    /// Limits the sessions at one time; 0, the default, is no limit. Requests beyond it
    /// [wait](crate::Backend::admit) or are [refused](crate::Backend::select). HAProxy: `maxconn N`.
    #[must_use]
    pub fn max_connections(mut self, limit: u32) -> Self {
        self.max_connections = limit;
        self
    }

    /// Limits the sessions at one time while the backend is nearly idle; 0, the default, is
    /// [`max_connections`](Self::max_connections) at all times.
    ///
    /// In between the limit grows with the sessions of the backend, those who wait included,
    /// up to [`full_connections`](crate::BackendBuilder::full_connections), without which
    /// it is not used. If it is the greater of the two limits it is the only one. HAProxy:
    /// `minconn N`.
    #[must_use]
    pub fn min_connections(mut self, limit: u32) -> Self {
        self.min_connections = limit;
        self
    }

    /// Limits the requests that may [wait](crate::Backend::admit) for this server and no
    /// other; 0, the default, is no limit.
    ///
    /// It is room besides the slots: `LeastConnections` chooses a server until that is used
    /// up, too. HAProxy: `maxqueue N`.
    #[must_use]
    pub fn max_queue(mut self, limit: u32) -> Self {
        self.max_queue = limit;
        self
    }

    /// Warms the server up for so long whenever it comes up; default zero, not at all.
    ///
    /// A part of a second counts as a whole one. A server that is reported running, that its
    /// [checks](crate::Backend::report_check) find up, or that leaves maintenance, is
    /// [`Starting`](OperationalState::Starting) first. Its weight is a sixteenth then and
    /// grows each second, or 20 times in all if that is less often, unless the selector
    /// is [static](WeightScale::Static); its [`max_connections`](Self::max_connections), from
    /// 1, grow by the second. A server that is up when the backend is built is warm; one
    /// that is [added](crate::Update::add) later is not.
    ///
    /// It begins at the time the change is [told](crate::Update::at), else with the next
    /// request or [`maintain`](crate::Backend::maintain). Each request looks first
    /// whether a step is due, so nothing has to be called; steps that no request came to
    /// see are left out. Draining a server that warms up, or ending that, begins anew,
    /// as in HAProxy. HAProxy: `slowstart T`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stickroute::{AdminState, Backend, Now, OperationalState, Server};
    ///
    /// let backend: Backend = Backend::builder("app")
    ///     .server(Server::new("app1", "10.0.0.1:80").weight(100))
    ///     .server(Server::new("app2", "10.0.0.2:80").weight(100).slow_start(Duration::from_secs(10)))
    ///     .build()?;
    ///
    /// let at = |seconds| Now::new(Duration::from_secs(seconds), Duration::from_secs(seconds));
    /// backend.set_admin_state("app2", AdminState::Maintenance)?;
    /// backend.update(|change| change.at(at(100)).set_admin_state("app2", AdminState::Ready))?;
    /// let weights = [100, 101, 105, 110].map(|seconds| {
    ///     backend.maintain(at(seconds));
    ///     backend.farm().servers()[1].effective_weight()
    /// });
    /// // On the scale on which 100 is 1600.
    /// assert_eq!(weights, [100, 200, 900, 1600]);
    /// let state = backend.farm().servers()[1].status().operational();
    /// assert_eq!(state, OperationalState::Running);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Never learned by stick rules, though it may be found by them. HAProxy: `non-stick`.
    #[must_use]
    pub fn non_stick(mut self) -> Self {
        self.non_stick = true;
        self
    }

    /// Has its sessions ended when it goes down; default: they go on. It is up to the caller to
    /// ask [whose end](crate::FarmServer::sessions_to_end) after a change. HAProxy:
    /// `on-marked-down shutdown-sessions`.
    #[must_use]
    pub fn end_sessions_when_down(mut self) -> Self {
        self.marked.down_ends_own = true;
        self
    }

    /// Has the sessions of all backup servers ended when it comes up; default: they go on. It is
    /// up to the caller to ask [whose end](crate::FarmServer::sessions_to_end) after a change.
    /// HAProxy: `on-marked-up shutdown-backup-sessions`.
    #[must_use]
    pub fn end_backup_sessions_when_up(mut self) -> Self {
        self.marked.up_ends_backups = true;
        self
    }

    /// Starts in this administrative state; default ready. HAProxy: `disabled` is
    /// [`AdminState::Maintenance`].
    #[must_use]
    pub fn admin_state(mut self, state: AdminState) -> Self {
        self.admin = state;
        self
    }

    /// Lets [reports](crate::Backend::report_check) about it count like this; default
    /// [`HealthPolicy::new`]. HAProxy: `rise`, `fall`, `inter`, `fastinter`, `downinter`.
    #[must_use]
    pub fn health(mut self, policy: HealthPolicy) -> Self {
        self.health = policy;
        self
    }

    /// Is checked: somebody asks [when](crate::FarmServer::next_check) and
    /// [reports](crate::Backend::report_check). Default: it is not. HAProxy: `check`.
    #[must_use]
    pub fn checked(mut self) -> Self {
        self.is_checked = true;
        self
    }

    /// Is checked at this port, 0 for its own, the default. HAProxy: `port N`.
    #[must_use]
    pub fn check_port(mut self, port: u16) -> Self {
        self.check_target.port = port;
        self
    }

    /// Is checked at this address; default its own, which the unspecified ones stand for,
    /// too. HAProxy: `addr IP`.
    #[must_use]
    pub fn check_ip(mut self, ip: IpAddr) -> Self {
        self.check_target.ip = Some(ip);
        self
    }

    /// Starts in this operational state; default running.
    #[must_use]
    pub fn operational_state(mut self, state: OperationalState) -> Self {
        self.operational = state;
        self
    }
}
