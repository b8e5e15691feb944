//! The farm as a selector sees it: every server with its state at one moment.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Address, AdminState, History, Marked, ServerId, ServerLoad, SlowStart, Status, WarmUp, Weight,
};
use crate::health::{CheckStatus, HealthCounter};
use crate::ring::RingPlacement;

/// What is configured of one server and never changes in place.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) id: ServerId,
    /// Whether the configuration gives the id, or it was numbered.
    pub(crate) has_own_id: bool,
    pub(crate) name: Box<str>,
    pub(crate) address: Address,
    pub(crate) weight: Weight,
    pub(crate) guid: Option<Box<str>>,
    pub(crate) placement: Option<RingPlacement>,
    pub(crate) backup: bool,
    pub(crate) limits: Limits,
    pub(crate) slow_start: Option<SlowStart>,
    pub(crate) non_stick: bool,
    pub(crate) marked: Marked,
}

/// How many sessions a server takes, and how many may wait for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// HAProxy: `maxconn`.
    pub(crate) most: Option<NonZeroU32>,
    /// HAProxy: `minconn`.
    pub(crate) least: Option<NonZeroU32>,
    /// HAProxy: `maxqueue`.
    pub(crate) queue: Option<NonZeroU32>,
    /// So many percent of all that, but one session at least, while the server warms up.
    pub(crate) warmth: Option<u8>,
}

impl Limits {
    /// A least limit alone, or one above the most, is the limit.
    pub(crate) fn new(most: u32, least: u32, queue: u32) -> Self {
        Self {
            most: NonZeroU32::new(most.max(least)),
            least: NonZeroU32::new(least).filter(|least| least.get() < most),
            queue: NonZeroU32::new(queue),
            warmth: None,
        }
    }

    /// Slots at this moment, with so many sessions in the backend more than are counted;
    /// `None` is no limit.
    #[inline]
    pub(crate) fn now(self, load: &ServerLoad, more: u32) -> Option<u32> {
        let most = self.most?.get();
        let limit = match (self.least, load.crowd()) {
            (Some(least), Some(crowd)) => crowd.limit(least.get(), most, more),
            _ => most,
        };
        Some(self.warmth.map_or(limit, |percent| warmed(limit, percent)))
    }
}

fn warmed(limit: u32, percent: u8) -> u32 {
    let share = u64::from(limit) * u64::from(percent) / 100;
    (share as u32).max(1)
}

/// How configured weights become effective ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightScale {
    /// Weight × 16, 0 to 4096; may change at run time. HAProxy's *dynamic* algorithms.
    Dynamic,
    /// Weight ÷ the greatest common divisor of all configured weights, rounded up;
    /// at run time only 0 and the configured weight are allowed. HAProxy's *static*
    /// algorithms.
    Static,
}

impl WeightScale {
    /// Points of effective weight per unit under [`Dynamic`](Self::Dynamic).
    pub const DYNAMIC_UNIT: u32 = 16;

    fn effective(self, weight: Weight, divisor: u32, warm_up: Option<WarmUp>) -> u32 {
        match self {
            Self::Dynamic => weight.get() * warm_up.map_or(Self::DYNAMIC_UNIT, WarmUp::sixteenths),
            Self::Static => weight.get().div_ceil(divisor),
        }
    }
}

/// One server of a [`Farm`].
#[derive(Clone, Debug)]
pub struct FarmServer {
    pub(crate) spec: Arc<Spec>,
    pub(crate) load: Arc<ServerLoad>,
    pub(crate) status: Status,
    pub(crate) history: History,
    pub(crate) warm_up: Option<WarmUp>,
    effective_weight: u32,
}

impl FarmServer {
    /// A server whose effective weight is computed when it joins a [`Farm`].
    pub(crate) fn new(
        spec: Arc<Spec>,
        load: Arc<ServerLoad>,
        status: Status,
        history: History,
        warm_up: Option<WarmUp>,
    ) -> Self {
        Self {
            spec,
            load,
            status,
            history,
            warm_up,
            effective_weight: 0,
        }
    }

    /// Identity of the server.
    pub fn id(&self) -> ServerId {
        self.spec.id
    }

    /// Name of the server.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Address of the server.
    pub fn address(&self) -> &Address {
        &self.spec.address
    }

    /// Globally unique text of the server, if it was given one.
    pub fn guid(&self) -> Option<&str> {
        self.spec.guid.as_deref()
    }

    /// Whether it is a backup.
    pub fn is_backup(&self) -> bool {
        self.spec.backup
    }

    /// Administrative and operational state, and current weight.
    pub fn status(&self) -> Status {
        self.status
    }

    /// When administrative or operational state last changed, on the monotonic clock;
    /// `None` if they never did, or in an [`Update`](crate::Update) that was not told
    /// the [time](crate::Update::at).
    pub fn changed(&self) -> Option<Duration> {
        self.history.changed()
    }

    /// How checks are counted, and what they make of the server.
    pub fn health(&self) -> HealthCounter {
        self.history.health()
    }

    /// What the last check has found.
    pub fn last_check(&self) -> CheckStatus {
        self.history.last()
    }

    /// Whether the server is [checked](crate::Server::checked), be it not at the moment.
    pub fn is_checked(&self) -> bool {
        self.history.is_checked()
    }

    /// The time from the last check to the next, `None` if there is to be none: the server is
    /// not [checked](crate::Server::checked), or in maintenance, or its checks are
    /// [switched off](crate::Update::set_checks).
    pub fn next_check(&self) -> Option<Duration> {
        let is_due = self.history.checks_now() && self.status.admin != AdminState::Maintenance;
        is_due.then(|| self.history.health().next_interval())
    }

    /// Where the server is checked.
    pub fn check_address(&self) -> Address {
        self.history.target().of(&self.spec.address)
    }

    /// The configured weight, whatever the current one is.
    pub fn configured_weight(&self) -> Weight {
        self.spec.weight
    }

    /// Whether the configuration gives the id, so that it was not numbered. HAProxy:
    /// `srv_f_forced_id`.
    pub fn has_own_id(&self) -> bool {
        self.spec.has_own_id
    }

    /// Whether the configuration has it in maintenance, whatever its state is now.
    /// HAProxy: `disabled`.
    pub fn is_configured_disabled(&self) -> bool {
        self.history.starts_disabled()
    }

    /// How long the server is warmed up when it comes up, in whole seconds; zero if it is
    /// not. HAProxy: `slowstart`.
    pub fn slow_start(&self) -> Duration {
        let slow_start = self.spec.slow_start;
        slow_start.map_or(Duration::ZERO, SlowStart::time)
    }

    /// Current weight on the scale of the selector, less while the server
    /// [warms up](crate::Server::slow_start); 0 means no new sessions.
    pub fn effective_weight(&self) -> u32 {
        self.effective_weight
    }

    /// Whether the server takes part in balancing at all.
    #[inline]
    pub fn is_usable(&self) -> bool {
        self.status.accepts_new()
    }

    /// The count of its sessions, which a [`LoadWatcher`](crate::LoadWatcher) is told of.
    pub fn load(&self) -> &Arc<ServerLoad> {
        &self.load
    }

    /// Sessions that hold a slot at this very moment.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Requests that wait for this server and no other at this very moment. HAProxy: `qcur`
    /// of the server.
    pub fn queued(&self) -> u32 {
        self.load.queued()
    }

    /// The limit of sessions at one time, `None` without one. HAProxy: `maxconn`.
    pub fn max_connections(&self) -> Option<u32> {
        self.spec.limits.most.map(NonZeroU32::get)
    }

    /// The limit of sessions while the backend is nearly idle, `None` if it is always
    /// [`max_connections`](Self::max_connections). HAProxy: `minconn`.
    pub fn min_connections(&self) -> Option<u32> {
        self.spec.limits.least.map(NonZeroU32::get)
    }

    /// How many requests may wait for this server and no other, `None` without a limit.
    /// HAProxy: `maxqueue`.
    pub fn max_queue(&self) -> Option<u32> {
        self.spec.limits.queue.map(NonZeroU32::get)
    }

    /// Whether a new session finds no free slot at this very moment: all are taken, or
    /// others wait for one.
    pub fn is_saturated(&self) -> bool {
        let limit = self.spec.limits.now(&self.load, 1);
        limit.is_some_and(|limit| self.queued() > 0 || self.in_flight() >= limit)
    }

    /// Whether there are more sessions and waiting requests than slots and room in the
    /// queue, for those who count both.
    pub(crate) fn is_crowded(&self) -> bool {
        let limit = self.spec.limits.now(&self.load, 1);
        let room = self.max_queue().unwrap_or(0);
        let sessions = self.in_flight().saturating_add(self.queued());
        limit.is_some_and(|limit| sessions >= limit.saturating_add(room))
    }
}

/// Which servers get the sessions that no persistence decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Nobody: no server can take a new session.
    Nobody,
    /// The usable servers that are not backups.
    Active,
    /// The first usable backup in order of configuration, alone.
    ElectedBackup(usize),
    /// All usable backups (`option allbackups`).
    Backups,
}

/// The [`Group`] that serves now, with its totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serving {
    /// Who serves.
    pub group: Group,
    /// Sum of their effective weights.
    pub total_weight: u32,
    /// How many they are.
    pub count: u32,
}

/// Every server of a backend in order of configuration, with its state at one
/// moment; immutable.
///
/// A [`Selector`](crate::Selector) names servers by their position in
/// [`servers`](Self::servers).
#[derive(Clone, Debug)]
pub struct Farm {
    servers: Box<[FarmServer]>,
    all_backups: bool,
    scale: WeightScale,
    serving: Serving,
}

impl Farm {
    pub(crate) fn new(servers: Vec<FarmServer>, scale: WeightScale, all_backups: bool) -> Self {
        let mut servers = servers.into_boxed_slice();
        let divisor = servers
            .iter()
            .map(|server| server.spec.weight.get())
            .fold(0, gcd)
            .max(1);
        for server in &mut servers {
            server.effective_weight =
                scale.effective(server.status.weight, divisor, server.warm_up);
        }
        let serving = serving(&servers, all_backups);
        Self {
            servers,
            all_backups,
            scale,
            serving,
        }
    }

    /// All servers, usable or not.
    pub fn servers(&self) -> &[FarmServer] {
        &self.servers
    }

    /// The scale effective weights are on.
    pub fn scale(&self) -> WeightScale {
        self.scale
    }

    /// Whether all backups serve together (`option allbackups`) or the first alone.
    pub fn all_backups(&self) -> bool {
        self.all_backups
    }

    /// Who serves new sessions now.
    pub fn serving(&self) -> Serving {
        self.serving
    }

    /// Usable servers of one kind, active or backup, with their positions.
    pub fn usable(&self, backups: bool) -> impl Iterator<Item = (usize, &FarmServer)> + Clone + '_ {
        self.servers
            .iter()
            .enumerate()
            .filter(move |(_, server)| server.is_usable() && server.is_backup() == backups)
    }

    /// The servers that get new sessions now, with their positions.
    pub fn candidates(&self) -> impl Iterator<Item = (usize, &FarmServer)> + Clone + '_ {
        let group = self.serving.group;
        self.servers
            .iter()
            .enumerate()
            .filter(move |(index, server)| match group {
                Group::Nobody => false,
                Group::Active => server.is_usable() && !server.is_backup(),
                Group::ElectedBackup(elected) => *index == elected,
                Group::Backups => server.is_usable() && server.is_backup(),
            })
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn serving(servers: &[FarmServer], all_backups: bool) -> Serving {
    let totals = |backups: bool| {
        servers
            .iter()
            .filter(|server| server.is_usable() && server.is_backup() == backups)
            .fold((0u32, 0u32), |(weight, count), server| {
                (weight.wrapping_add(server.effective_weight), count + 1)
            })
    };
    let (group, (total_weight, count)) = match (totals(false), elected_backup(servers)) {
        (active, _) if active.1 > 0 => (Group::Active, active),
        (_, None) => (Group::Nobody, (0, 0)),
        (_, Some(_)) if all_backups => (Group::Backups, totals(true)),
        (_, Some(elected)) => (
            Group::ElectedBackup(elected),
            (servers[elected].effective_weight, 1),
        ),
    };
    Serving {
        group,
        total_weight,
        count,
    }
}

fn elected_backup(servers: &[FarmServer]) -> Option<usize> {
    servers
        .iter()
        .position(|server| server.is_usable() && server.is_backup())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::server::CheckTarget;

    /// Servers named `s1`, `s2` ... from (weight, backup), all up.
    pub(crate) fn farm_of(servers: &[(u32, bool)], scale: WeightScale, all_backups: bool) -> Farm {
        let servers = servers
            .iter()
            .enumerate()
            .map(|(index, &(weight, backup))| {
                let id = ServerId::new(index as u32 + 1).unwrap();
                let weight = Weight::new(weight).unwrap();
                let spec = Spec {
                    id,
                    has_own_id: false,
                    name: format!("s{id}").into(),
                    address: Address::Unix(format!("/s{id}").into()),
                    weight,
                    guid: None,
                    placement: None,
                    backup,
                    limits: Limits::default(),
                    slow_start: None,
                    non_stick: false,
                    marked: Marked::default(),
                };
                let status = Status {
                    weight,
                    ..Status::default()
                };
                let history = History::starting_in(
                    status,
                    crate::health::HealthPolicy::new(),
                    false,
                    CheckTarget::default(),
                );
                FarmServer::new(
                    Arc::new(spec),
                    Arc::new(ServerLoad::new(id, None, None)),
                    status,
                    history,
                    None,
                )
            })
            .collect();
        Farm::new(servers, scale, all_backups)
    }

    /// The same farm with the state of one server replaced.
    pub(crate) fn with_status(farm: &Farm, index: usize, status: Status) -> Farm {
        let mut servers = farm.servers.to_vec();
        servers[index].status = status;
        Farm::new(servers, farm.scale, farm.all_backups)
    }

    fn effective(farm: &Farm) -> Vec<u32> {
        farm.servers()
            .iter()
            .map(FarmServer::effective_weight)
            .collect()
    }

    #[test]
    fn static_weights_are_divided_by_the_gcd_of_all_servers() {
        let farm = farm_of(
            &[(4, false), (6, false), (0, false), (10, true)],
            WeightScale::Static,
            false,
        );
        assert_eq!(effective(&farm), [2, 3, 0, 5]);
    }

    #[test]
    fn dynamic_weights_are_sixteen_times_the_weight() {
        let farm = farm_of(&[(1, false), (256, false)], WeightScale::Dynamic, false);
        assert_eq!(effective(&farm), [16, 4096]);
    }

    #[test]
    fn the_first_usable_backup_is_elected_when_no_active_is_usable() {
        let farm = farm_of(
            &[(0, false), (0, true), (3, true), (2, true)],
            WeightScale::Dynamic,
            false,
        );
        let expected = Serving {
            group: Group::ElectedBackup(2),
            total_weight: 48,
            count: 1,
        };
        assert_eq!(farm.serving(), expected);
    }

    #[test]
    fn all_backups_serve_together_when_asked_to() {
        let farm = farm_of(
            &[(0, false), (1, true), (3, true)],
            WeightScale::Dynamic,
            true,
        );
        let expected = Serving {
            group: Group::Backups,
            total_weight: 64,
            count: 2,
        };
        assert_eq!(farm.serving(), expected);
    }

    #[test]
    fn nobody_serves_when_nobody_is_usable() {
        let farm = farm_of(&[(0, false), (0, true)], WeightScale::Static, false);
        assert_eq!(farm.serving().group, Group::Nobody);
        assert_eq!(farm.candidates().count(), 0);
    }
}
