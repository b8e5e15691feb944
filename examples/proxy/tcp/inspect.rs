//! `tcp-request content`, `tcp-response content` and `inspect-delay`: waiting for the first
//! bytes before anything is done with them. What they mean is the library's affair
//! ([`haproxy::Inspection`](stickroute::haproxy::Inspection)).

use std::io;
use std::time::Duration;

use stickroute::haproxy::{self, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// The rules of one section on the bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// How long bytes are waited for. HAProxy: `inspect-delay`.
    pub(crate) delay: Duration,
    pub(crate) rules: haproxy::Inspection,
}

/// As many bytes are looked at; HAProxy: `tune.bufsize`.
const MOST_BYTES: usize = 16_384;

impl Inspection {
    /// Reads into `seen` until `verdict` knows, or nothing more is waited for: `None`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn wait<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        seen: &mut Vec<u8>,
        verdict: impl Fn(&[u8]) -> Option<Verdict>,
    ) -> io::Result<Option<Verdict>> {
        let deadline = Instant::now() + self.delay;
        loop {
            let known = verdict(seen);
            // Without a delay HAProxy does not look at what may have arrived already.
            if known.is_some() || self.delay.is_zero() {
                return Ok(known);
            }
            let room = MOST_BYTES.saturating_sub(seen.len()) as u64;
            let mut more = reader.take(room);
            let read = timeout_at(deadline, more.read_buf(seen)).await;
            if !matches!(read, Ok(Ok(1..))) {
                // Late, full or at its end: this is all there is.
                read.unwrap_or(Ok(0))?;
                return Ok(None);
            }
        }
    }
}
