use std::sync::Arc;

use super::*;

/// A word on its own, for tests of those who read words.
pub(super) fn word(text: &str) -> Word {
    Word {
        bytes: text.as_bytes().to_vec(),
        location: Location {
            order: 0,
            line: 1,
            column: 1,
            file: Arc::from("test"),
        },
    }
}
