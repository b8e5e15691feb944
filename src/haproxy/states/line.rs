//! One line: one server.

use std::str::FromStr;
use std::time::Duration;

use super::ServerStatesProblem;
use crate::Weight;
use crate::health::CheckStatus;
use crate::server::OperationalState;

/// What a line says about its server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    pub(super) operational: OperationalState,
    /// Maintenance by order of the operator, or of the configuration.
    pub(super) maintenance: bool,
    /// Maintenance in the configuration of that time, ended by the operator or not.
    pub(super) configured_maintenance: bool,
    pub(super) drain: bool,
    pub(super) weight: Weight,
    pub(super) configured_weight: Weight,
    /// How long before the text was made the state had changed last.
    pub(super) since: Duration,
    pub(super) last_check: CheckStatus,
    pub(super) checks: Checks,
    /// 0 if it has none.
    pub(super) port: u16,
}

/// Whether a server is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    AsConfigured,
    /// They were configured, and the operator did not want them.
    Unwanted,
}

/// The columns that matter, as HAProxy numbers and names them.
const BACKEND: usize = 1;
const SERVER: usize = 3;
const OPERATIONAL: (usize, &str) = (5, "srv_op_state");
const ADMINISTRATIVE: (usize, &str) = (6, "srv_admin_state");
const WEIGHT: (usize, &str) = (7, "srv_uweight");
const CONFIGURED_WEIGHT: (usize, &str) = (8, "srv_iweight");
const SINCE: (usize, &str) = (9, "srv_time_since_last_change");
const CHECK_STATUS: (usize, &str) = (10, "srv_check_status");
const CHECK_RESULT: (usize, &str) = (11, "srv_check_result");
const CHECK_HEALTH: (usize, &str) = (12, "srv_check_health");
const CHECK_STATE: (usize, &str) = (13, "srv_check_state");
const AGENT_STATE: (usize, &str) = (14, "srv_agent_state");
const PORT: (usize, &str) = (18, "srv_port");

/// Those that HAProxy 2.6 insists on.
const COLUMNS: usize = 20;

/// Bits of the administrative state.
const MAINTENANCE: u8 = 1;
const CONFIGURED: u8 = 4;
const DRAIN: u8 = 8;
const ALL: u8 = 127;

/// Bits of the state of checks.
const HAS_CHECKS: u8 = 2;
const MAKES_CHECKS: u8 = 4;

/// Names of backend and server, and what the line says.
pub(super) fn parse(line: &str) -> Result<(&str, &str, Saved), ServerStatesProblem> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    if columns.len() < COLUMNS {
        let found = columns.len();
        return Err(ServerStatesProblem::Columns { found });
    }
    let saved = saved(&Columns(&columns))?;
    Ok((columns[BACKEND], columns[SERVER], saved))
}

fn saved(columns: &Columns<'_>) -> Result<Saved, ServerStatesProblem> {
    let admin = columns.read(ADMINISTRATIVE, ADMINISTRATIVE_STATE, |&bits: &u8| {
        bits <= ALL && bits & (MAINTENANCE | DRAIN) != MAINTENANCE | DRAIN
    })?;
    // It can be negative, when the clock was set back.
    let since: i64 = columns.number(SINCE, "a number of seconds")?;
    let check: u8 = columns.read(CHECK_STATE, "0 to 31", |&state| state <= 31)?;
    let status = columns.read(CHECK_STATUS, "0 to 20", |&status| status <= 20)?;
    // They say nothing that is not said by others, or are about agents.
    let _: u8 = columns.read(CHECK_RESULT, "0 to 4", |&result| result <= 4)?;
    let _: i64 = columns.number(CHECK_HEALTH, "a number of checks")?;
    let _: u8 = columns.read(AGENT_STATE, "0 to 31", |&state| state <= 31)?;
    Ok(Saved {
        last_check: CheckStatus::of_column(status),
        checks: match check & (HAS_CHECKS | MAKES_CHECKS) {
            HAS_CHECKS => Checks::Unwanted,
            _ => Checks::AsConfigured,
        },
        operational: columns.operational()?,
        maintenance: admin & MAINTENANCE != 0,
        configured_maintenance: admin & CONFIGURED != 0,
        drain: admin & DRAIN != 0,
        weight: columns.weight(WEIGHT)?,
        configured_weight: columns.weight(CONFIGURED_WEIGHT)?,
        since: Duration::from_secs(since.max(0).unsigned_abs()),
        port: columns.number(PORT, "0 to 65535")?,
    })
}

const ADMINISTRATIVE_STATE: &str = "0 to 127 without both maintenance, 1, and drain, 8";

/// The words of a line, known to be enough.
struct Columns<'l>(&'l [&'l str]);

impl Columns<'_> {
    fn operational(&self) -> Result<OperationalState, ServerStatesProblem> {
        let state: u8 = self.read(OPERATIONAL, "0 to 3", |&state| state <= 3)?;
        Ok(match state {
            0 => OperationalState::Stopped,
            1 => OperationalState::Starting,
            2 => OperationalState::Running,
            _ => OperationalState::Stopping,
        })
    }

    fn weight(&self, column: (usize, &'static str)) -> Result<Weight, ServerStatesProblem> {
        let expected = "0 to 256";
        let weight = self.number(column, expected)?;
        Weight::new(weight).ok_or_else(|| self.wrong(column, expected))
    }

    fn number<N: FromStr>(
        &self,
        column: (usize, &'static str),
        expected: &'static str,
    ) -> Result<N, ServerStatesProblem> {
        self.read(column, expected, |_| true)
    }

    fn read<N: FromStr>(
        &self,
        column: (usize, &'static str),
        expected: &'static str,
        is_valid: impl FnOnce(&N) -> bool,
    ) -> Result<N, ServerStatesProblem> {
        let number = self.0[column.0].parse().ok().filter(is_valid);
        number.ok_or_else(|| self.wrong(column, expected))
    }

    fn wrong(
        &self,
        (index, column): (usize, &'static str),
        expected: &'static str,
    ) -> ServerStatesProblem {
        ServerStatesProblem::Value {
            column,
            found: self.0[index].to_owned(),
            expected,
        }
    }
}
