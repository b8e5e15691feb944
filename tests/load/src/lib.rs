//! What the programs share: the time, and who was dead when.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, as the events are written with.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// A server that was dead, or dead in the eyes of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    pub server: String,
    pub from: u64,
    /// `None` is still.
    pub to: Option<u64>,
}

/// Reads the events: lines of a time, `down` or `up`, and the name of a server.
///
/// # Errors
/// The file cannot be read.
pub fn absences(events: &Path) -> io::Result<Vec<Absence>> {
    let mut found: Vec<Absence> = Vec::new();
    for line in fs::read_to_string(events)?.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        // The last line may be being written.
        let &[time, what, server] = &words[..] else {
            continue;
        };
        let Ok(time) = time.parse() else { continue };
        let last = found.iter_mut().rev().find(|one| one.server == server);
        match (what, last) {
            ("down", _) => found.push(Absence {
                server: server.to_owned(),
                from: time,
                to: None,
            }),
            ("up", Some(absence)) => absence.to = Some(time),
            _ => {}
        }
    }
    Ok(found)
}

/// Whether a server was absent at any moment between the two.
#[must_use]
pub fn was_absent(absences: &[Absence], server: &str, from: u64, to: u64) -> bool {
    let mut own = absences.iter().filter(|absence| absence.server == server);
    own.any(|absence| absence.from <= to && absence.to.is_none_or(|end| end >= from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absences_are_judged_by_their_ends() {
        let absence = |from, to| Absence {
            server: "s1".into(),
            from,
            to,
        };
        let absences = [absence(10, Some(20)), absence(50, None)];
        for (from, to, expected) in [
            (1, 9, false),
            (1, 10, true),
            (12, 13, true),
            (20, 30, true),
            (21, 49, false),
            (60, 70, true),
        ] {
            let found = was_absent(&absences, "s1", from, to);
            assert_eq!(found, expected, "{from} to {to}");
        }
        assert!(!was_absent(&absences, "s2", 12, 13));
    }
}
