//! A server as it was before a restart.

use std::time::Duration;

use super::Update;
use crate::error::UpdateError;
use crate::health::CheckStatus;
use crate::server::{AdminState, OperationalState, ServerId, WarmUp, Weight};

/// The state of one server before a restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    pub(crate) admin: AdminState,
    /// What health said of it, maintenance or not.
    pub(crate) reported: OperationalState,
    pub(crate) operational: OperationalState,
    pub(crate) weight: Weight,
    pub(crate) last_check: CheckStatus,
    /// The operator did not want any more checks.
    pub(crate) checks_are_off: bool,
    /// When the state changed last.
    pub(crate) changed: Duration,
}

impl<P: Send + Sync + 'static> Update<'_, P> {
    /// Puts a server back into an earlier state. Any weight will do: that a static
    /// algorithm takes few is about changes while it runs.
    pub(crate) fn restore(&mut self, server: ServerId, past: Past) -> Result<(), UpdateError> {
        let server = self.find(server.into())?;
        let status = &mut server.status;
        (status.admin, status.operational) = (past.admin, past.operational);
        status.weight = past.weight;
        let is_starting = past.operational == OperationalState::Starting;
        let slow_start = server.member.spec.slow_start.filter(|_| is_starting);
        server.warm_up = slow_start.map(|it| WarmUp::new(it, Some(past.changed)));
        server.history.after_restart(past, *status);
        Ok(())
    }
}
