//! What a check has found out, with its particulars.

use std::fmt;

use super::CheckStatus;

/// The outcome of one check.
///
/// It is shown as HAProxy tells it: `Layer7 wrong status, code: 500, info: "Oh"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    status: CheckStatus,
    code: u32,
    info: String,
}

impl CheckReport {
    /// An outcome without particulars.
    pub fn new(status: CheckStatus) -> Self {
        Self {
            status,
            code: 0,
            info: String::new(),
        }
    }

    #[must_use]
    pub(super) fn code_is(mut self, code: u32) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub(super) fn info_is(mut self, info: impl Into<String>) -> Self {
        self.info = info.into();
        self
    }

    /// What it is.
    pub fn status(&self) -> CheckStatus {
        self.status
    }

    /// The status of the answer, 0 if it has none of its own; `None` where it does not
    /// matter. HAProxy: `check_code`.
    pub fn code(&self) -> Option<u32> {
        let has_code = matches!(
            self.status,
            CheckStatus::Answered | CheckStatus::Leaving | CheckStatus::WrongStatus
        );
        has_code.then_some(self.code)
    }

    /// What there is to say about it; mostly empty. HAProxy: `last_chk`.
    pub fn info(&self) -> &str {
        &self.info
    }
}

impl From<CheckStatus> for CheckReport {
    fn from(status: CheckStatus) -> Self {
        Self::new(status)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.description())?;
        if let Some(code) = self.code() {
            write!(f, ", code: {code}")?;
        }
        if !self.info.is_empty() {
            write!(f, ", info: \"{}\"", self.info)?;
        }
        Ok(())
    }
}
