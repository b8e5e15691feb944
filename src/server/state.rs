//! What a server may do: administrative and operational state, and weight.

use std::fmt;

use super::OutOfRange;

/// What the operator wants of a server.
///
/// HAProxy: `set server BACKEND/SERVER state ready|drain|maint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum AdminState {
    /// In service, as far as its health allows.
    #[default]
    Ready,
    /// No new sessions; persisted ones are still served.
    Drain,
    /// Out of service, as if it were down.
    Maintenance,
}

/// What health says of a server.
///
/// HAProxy: `set server BACKEND/SERVER health up|stopping|down`; `Starting` is the
/// state during slow start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum OperationalState {
    /// Down: serves nothing, unless `option persist` or `force-persist` insists.
    Stopped,
    /// Up since a moment ago and warming up: serves everything, but is not trusted
    /// as far as [`Running`](Self::Running) when a connection to it fails.
    Starting,
    /// Up.
    #[default]
    Running,
    /// Leaving: serves persisted sessions only.
    Stopping,
}

/// A server's share of new sessions, 0 to 256.
///
/// A server of weight 0 gets no new sessions and still serves persisted ones, just
/// like a draining one.
///
/// ```
/// use stickroute::Weight;
///
/// assert_eq!(Weight::new(256), Some(Weight::MAX));
/// assert_eq!(Weight::new(257), None);
/// assert_eq!(Weight::default().get(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct Weight(u16);

impl Weight {
    /// No new sessions.
    pub const ZERO: Self = Self(0);
    /// The largest weight, 256.
    pub const MAX: Self = Self(256);

    /// A weight, or `None` above 256.
    pub const fn new(weight: u32) -> Option<Self> {
        if weight <= Self::MAX.0 as u32 {
            Some(Self(weight as u16))
        } else {
            None
        }
    }

    /// The number, 0 to 256.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// `percent` of this weight, rounded down and at most 256; 0 is possible.
    pub(crate) const fn percent(self, percent: u32) -> Self {
        let capped = if percent > 25_600 { 25_600 } else { percent };
        let scaled = self.get() * capped / 100;
        if scaled > 256 {
            Self::MAX
        } else {
            Self(scaled as u16)
        }
    }
}

impl TryFrom<u32> for Weight {
    type Error = OutOfRange;

    fn try_from(weight: u32) -> Result<Self, OutOfRange> {
        Self::new(weight).ok_or(OutOfRange {
            found: weight,
            least: 0,
            most: Self::MAX.get(),
        })
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.get()
    }
}

impl Default for Weight {
    /// Weight 1, as in HAProxy.
    fn default() -> Self {
        Self(1)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A new weight for a running server.
///
/// HAProxy: `set weight BACKEND/SERVER 20` or `50%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightChange {
    /// This weight.
    To(Weight),
    /// So many percent of the *configured* weight, whatever the current one is;
    /// rounded down, at most 256.
    PercentOfConfigured(u32),
}

impl From<Weight> for WeightChange {
    fn from(weight: Weight) -> Self {
        Self::To(weight)
    }
}

impl WeightChange {
    pub(crate) fn applied_to(self, configured: Weight) -> Weight {
        match self {
            Self::To(weight) => weight,
            Self::PercentOfConfigured(percent) => configured.percent(percent),
        }
    }
}

/// The state of one server at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Status {
    pub(crate) admin: AdminState,
    pub(crate) operational: OperationalState,
    pub(crate) weight: Weight,
}

impl Status {
    /// What the operator wants.
    pub const fn admin(self) -> AdminState {
        self.admin
    }

    /// What health says; [`Stopped`](OperationalState::Stopped) throughout maintenance.
    pub const fn operational(self) -> OperationalState {
        self.operational
    }

    /// The current weight; the configured one unless it was changed.
    pub const fn weight(self) -> Weight {
        self.weight
    }

    /// Whether a cookie, a stick table or a `use-server` rule may name this server.
    ///
    /// Drain, weight 0 and `Stopping` are no obstacle; only a stopped server is.
    #[inline]
    pub const fn accepts_persisted(self) -> bool {
        !matches!(self.operational, OperationalState::Stopped)
    }

    /// Whether the server gets sessions that no persistence decides.
    #[inline]
    pub const fn accepts_new(self) -> bool {
        self.weight.0 > 0
            && matches!(self.admin, AdminState::Ready)
            && matches!(
                self.operational,
                OperationalState::Starting | OperationalState::Running
            )
    }

    /// The state after the operator's order.
    ///
    /// Entering maintenance stops the server. Leaving it, to ready *or to drain*,
    /// starts it again as up, whatever its health was before; leaving drain keeps
    /// the health.
    pub(crate) fn with_admin(self, admin: AdminState) -> Self {
        let operational = match (self.admin, admin) {
            (_, AdminState::Maintenance) => OperationalState::Stopped,
            (AdminState::Maintenance, _) => OperationalState::Running,
            _ => self.operational,
        };
        Self {
            admin,
            operational,
            ..self
        }
    }

    /// The state after a report about health, which counts for nothing during
    /// maintenance.
    pub(crate) fn with_operational(self, operational: OperationalState) -> Self {
        if self.admin == AdminState::Maintenance {
            return self;
        }
        Self {
            operational,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AdminState::{Drain, Maintenance, Ready};
    use OperationalState::{Running, Starting, Stopped, Stopping};

    fn status(admin: AdminState, operational: OperationalState, weight: u32) -> Status {
        Status {
            admin,
            operational,
            weight: Weight::new(weight).unwrap(),
        }
    }

    #[test]
    fn every_cell_of_the_table_of_states() {
        // admin, health, weight, new sessions, persisted sessions
        let table = [
            (Ready, Running, 1, true, true),
            (Ready, Starting, 1, true, true),
            (Ready, Stopping, 1, false, true),
            (Ready, Stopped, 1, false, false),
            (Drain, Running, 1, false, true),
            (Drain, Starting, 1, false, true),
            (Drain, Stopping, 1, false, true),
            (Drain, Stopped, 1, false, false),
            (Maintenance, Stopped, 1, false, false),
            (Ready, Running, 0, false, true),
            (Ready, Starting, 0, false, true),
            (Ready, Stopping, 0, false, true),
            (Ready, Stopped, 0, false, false),
            (Drain, Running, 0, false, true),
            (Drain, Starting, 0, false, true),
            (Drain, Stopping, 0, false, true),
            (Drain, Stopped, 0, false, false),
            (Maintenance, Stopped, 0, false, false),
        ];
        for (admin, health, weight, new, persisted) in table {
            let status = status(admin, health, weight);
            assert_eq!(status.accepts_new(), new, "{status:?}");
            assert_eq!(status.accepts_persisted(), persisted, "{status:?}");
        }
    }

    #[test]
    fn leaving_maintenance_starts_the_server_whatever_its_health_was() {
        for after in [Ready, Drain] {
            let back = status(Ready, Stopped, 1)
                .with_admin(Maintenance)
                .with_admin(after);
            assert_eq!(back, status(after, Running, 1));
        }
    }

    #[test]
    fn leaving_drain_keeps_the_health() {
        for health in [Stopped, Starting, Running, Stopping] {
            let back = status(Ready, health, 1).with_admin(Drain).with_admin(Ready);
            assert_eq!(back, status(Ready, health, 1));
        }
    }

    #[test]
    fn health_counts_for_nothing_during_maintenance() {
        let down = status(Ready, Running, 1).with_admin(Maintenance);
        for health in [Stopped, Starting, Running, Stopping] {
            assert_eq!(down.with_operational(health), down);
        }
    }

    #[test]
    fn percentages_are_of_the_configured_weight_and_round_down() {
        let two = Weight::new(2).unwrap();
        assert_eq!(two.percent(33), Weight::ZERO);
        assert_eq!(two.percent(50).get(), 1);
        assert_eq!(two.percent(u32::MAX), Weight::MAX);
        assert_eq!(Weight::MAX.percent(100), Weight::MAX);
    }
}
