//! What a check found.

/// What a check found out, in HAProxy's terms: `check_status` of its statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckStatus {
    /// Nothing yet. HAProxy: `INI`.
    #[default]
    Initial,
    /// The port accepts connections, and nothing more was asked. HAProxy: `L4OK`.
    Connected,
    /// No connection in time. HAProxy: `L4TOUT`.
    ConnectTimeout,
    /// No connection: refused, or no way there. HAProxy: `L4CON`.
    ConnectError,
    /// As [`Connected`](Self::Connected), where a configuration wants it told so. HAProxy:
    /// `L6OK`.
    Layer6Passed,
    /// As [`ConnectTimeout`](Self::ConnectTimeout), likewise. HAProxy: `L6TOUT`.
    Layer6Timeout,
    /// As [`ConnectError`](Self::ConnectError), likewise. HAProxy: `L6RSP`.
    Layer6Invalid,
    /// The answer is as expected. HAProxy: `L7OK`.
    Answered,
    /// The server is to get no new sessions. HAProxy: `L7OKC`, see
    /// [`HttpCheck::disable_on_404`](super::HttpCheck::disable_on_404).
    Leaving,
    /// No answer in time. HAProxy: `L7TOUT`.
    AnswerTimeout,
    /// The answer is not what the protocol demands, or is not whole, or has not the expected
    /// text in it. HAProxy: `L7RSP`.
    InvalidAnswer,
    /// The status of the answer is not the expected one. HAProxy: `L7STS`.
    WrongStatus,
    /// No check, but what sessions have met. HAProxy: `HANA`, see
    /// [`ErrorObserver`](super::ErrorObserver).
    Analyzed,
}

/// How a check counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckResult {
    /// The server can do its work.
    Passed,
    /// It can, and asks for no new sessions.
    Conditional,
    /// It cannot.
    Failed,
}

impl CheckStatus {
    /// How it counts, `None` for [`Initial`](Self::Initial), which does not.
    pub const fn result(self) -> Option<CheckResult> {
        Some(match self {
            Self::Initial => return None,
            Self::Connected | Self::Layer6Passed | Self::Answered => CheckResult::Passed,
            Self::Leaving => CheckResult::Conditional,
            _ => CheckResult::Failed,
        })
    }

    /// The name in HAProxy's statistics, `L7OK` for example.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "INI",
            Self::Connected => "L4OK",
            Self::ConnectTimeout => "L4TOUT",
            Self::ConnectError => "L4CON",
            Self::Layer6Passed => "L6OK",
            Self::Layer6Timeout => "L6TOUT",
            Self::Layer6Invalid => "L6RSP",
            Self::Answered => "L7OK",
            Self::Leaving => "L7OKC",
            Self::AnswerTimeout => "L7TOUT",
            Self::InvalidAnswer => "L7RSP",
            Self::WrongStatus => "L7STS",
            Self::Analyzed => "HANA",
        }
    }

    /// What HAProxy calls it in its log: `Layer7 wrong status` for example.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Initial => "Initializing",
            Self::Connected => "Layer4 check passed",
            Self::ConnectTimeout => "Layer4 timeout",
            Self::ConnectError => "Layer4 connection problem",
            Self::Layer6Passed => "Layer6 check passed",
            Self::Layer6Timeout => "Layer6 timeout",
            Self::Layer6Invalid => "Layer6 invalid response",
            Self::Answered => "Layer7 check passed",
            Self::Leaving => "Layer7 check conditionally passed",
            Self::AnswerTimeout => "Layer7 timeout",
            Self::InvalidAnswer => "Layer7 invalid response",
            Self::WrongStatus => "Layer7 wrong status",
            Self::Analyzed => "Health analyze",
        }
    }

    /// The one of a `srv_check_status`; those of checks that are not made here are
    /// [`Initial`](Self::Initial).
    #[cfg(feature = "haproxy")]
    pub(crate) fn of_column(column: u8) -> Self {
        const ALL: [CheckStatus; 8] = [
            CheckStatus::Connected,
            CheckStatus::ConnectTimeout,
            CheckStatus::ConnectError,
            CheckStatus::Answered,
            CheckStatus::Leaving,
            CheckStatus::AnswerTimeout,
            CheckStatus::InvalidAnswer,
            CheckStatus::WrongStatus,
        ];
        let mut known = ALL.into_iter();
        let found = known.find(|status| status.columns().0 == column);
        found.unwrap_or(Self::Initial)
    }

    /// `srv_check_status` and `srv_check_result` of `show servers state`.
    #[cfg(feature = "haproxy")]
    pub(crate) const fn columns(self) -> (u8, u8) {
        let status = match self {
            Self::Initial => 1,
            Self::Analyzed => 4,
            Self::Connected => 6,
            Self::ConnectTimeout => 7,
            Self::ConnectError => 8,
            Self::Layer6Passed => 9,
            Self::Layer6Timeout => 10,
            Self::Layer6Invalid => 11,
            Self::AnswerTimeout => 12,
            Self::InvalidAnswer => 13,
            Self::Answered => 15,
            Self::Leaving => 16,
            Self::WrongStatus => 17,
        };
        let result = match self.result() {
            None => 0,
            Some(CheckResult::Failed) => 2,
            Some(CheckResult::Passed) => 3,
            Some(CheckResult::Conditional) => 4,
        };
        (status, result)
    }
}

impl std::fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name().fmt(f)
    }
}
