//! An end to what a small text can be blown up to by inheritance.

use super::finding::{Finding, FindingKind};
use super::location::Word;

/// Bytes that all copies of inherited settings may take, with the sections and servers
/// they are copied to.
const LIMIT: usize = 1 << 29;

/// What a section or server takes without anything inherited.
const EACH: usize = 1_024;

/// What is left of the limit.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    is_told: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: LIMIT,
            is_told: false,
        }
    }
}

impl Budget {
    /// Pays for one section or server that inherits so many bytes.
    ///
    /// # Errors
    /// The limit is reached; as a warning for all but the first that is told so, since
    /// one error says it all.
    pub(super) fn spend(&mut self, inherited: usize, word: &Word) -> Result<(), Finding> {
        match self.left.checked_sub(EACH.saturating_add(inherited)) {
            Some(left) => {
                self.left = left;
                return Ok(());
            }
            None => self.left = 0,
        }
        let message = "too many sections and servers that inherit too much; expected less than 512 MB of settings";
        let first = !std::mem::replace(&mut self.is_told, true);
        Err(if first {
            Finding::error(FindingKind::Line, word, message)
        } else {
            Finding::warning(FindingKind::Line, word, message)
        })
    }
}
