//! `tcp-request content`, `tcp-response content` and `inspect-delay`: looking at the
//! first bytes before anything is done with them.
//!
//! The verdicts are HAProxy's. It sometimes knows earlier than this that a condition can
//! never hold any more, of a first byte that begins no TLS for example; here the delay is
//! waited out then.

use std::io;
use std::time::Duration;

use stickroute::haproxy::AclCondition;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// The rules of one section on the bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// How long bytes are waited for. HAProxy: `inspect-delay`.
    pub(crate) delay: Duration,
    pub(crate) rules: Vec<ContentRule>,
}

#[derive(Debug)]
pub(crate) struct ContentRule {
    pub(crate) verdict: Verdict,
    /// `None` is always.
    pub(crate) condition: Option<AclCondition>,
    pub(crate) moment: Moment,
}

/// When it is known whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At once: it is not about the bytes.
    Now,
    /// As soon as it does; that it does not is known at the end.
    Early,
    /// At the end: it denies something, so that it may hold now and not when more has
    /// arrived, or it asks for the end itself.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Reject,
}

/// As many bytes are looked at; HAProxy: `tune.bufsize`.
const MOST_BYTES: usize = 16_384;

impl Inspection {
    /// Reads into `seen` until a rule decides or nothing more is waited for.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn decide<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        seen: &mut Vec<u8>,
        holds: impl Fn(&AclCondition, &[u8]) -> bool,
    ) -> io::Result<Verdict> {
        if self.rules.is_empty() {
            return Ok(Verdict::Accept);
        }
        let deadline = Instant::now() + self.delay;
        loop {
            if let Some(verdict) = self.early(|condition| holds(condition, seen)) {
                return Ok(verdict);
            }
            let room = MOST_BYTES.saturating_sub(seen.len()) as u64;
            let mut more = reader.take(room);
            let read = timeout_at(deadline, more.read_buf(seen)).await;
            if !matches!(read, Ok(Ok(1..))) {
                // Late, full or at its end: this is all there is.
                read.unwrap_or(Ok(0))?;
                return Ok(self.verdict(|condition| holds(condition, seen)));
            }
        }
    }

    /// The first rule that holds, if it is known that those before it never will.
    fn early(&self, holds: impl Fn(&AclCondition) -> bool) -> Option<Verdict> {
        for rule in &self.rules {
            let holds = rule.condition.as_ref().is_none_or(&holds);
            match rule.moment {
                Moment::Now | Moment::Early if holds => return Some(rule.verdict),
                Moment::Now => {}
                Moment::Early | Moment::Late => return None,
            }
        }
        None
    }

    /// The first rule that holds; none is as good as one that accepts.
    pub(crate) fn verdict(&self, holds: impl Fn(&AclCondition) -> bool) -> Verdict {
        let mut rules = self.rules.iter();
        let found = rules.find(|rule| rule.condition.as_ref().is_none_or(&holds));
        found.map_or(Verdict::Accept, |rule| rule.verdict)
    }
}
