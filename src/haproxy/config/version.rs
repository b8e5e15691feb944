//! Versions of HAProxy, for `version_atleast` and `version_before`.

/// A version such as `2.6`, `2.6.12`, `2.7-dev3` or `2.6.12-40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    stage: Stage,
    commits: u32,
}

/// Development comes before every release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Development(u32),
    Release(u32),
}

impl Version {
    /// The version whose configurations are read: HAProxy 2.6.12.
    pub(super) const REFERENCE: Self = Self {
        major: 2,
        minor: 6,
        stage: Stage::Release(12),
        commits: 0,
    };

    /// Reads a version; a number left out is 0.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!(
                "'{}' is no version; expected for example 2.6, 2.6.12 or 2.7-dev3",
                text.escape_default()
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (release, suffix) = text.split_once('-').unwrap_or((text, ""));
        let mut numbers = release.split('.').map(str::parse);
        let major = numbers.next()?.ok()?;
        let mut optional = || numbers.next().unwrap_or(Ok(0)).ok();
        let (minor, patch) = (optional()?, optional()?);
        if numbers.next().is_some() {
            return None;
        }
        let number = |text: &str| match text {
            "" => Some(0),
            digits => digits.parse().ok(),
        };
        let (stage, commits) = match suffix.strip_prefix("dev") {
            Some(development) => {
                let (round, commits) = development.split_once('-').unwrap_or((development, ""));
                (Stage::Development(number(round)?), number(commits)?)
            }
            None => (Stage::Release(patch), number(suffix)?),
        };
        Some(Self {
            major,
            minor,
            stage,
            commits,
        })
    }
}
