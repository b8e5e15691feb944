//! Copies of requests' bodies, for requests that may have to be sent once more.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::timeout;

use crate::http::body::{BoxError, Patient};

/// A request with a longer body is sent once. HAProxy: `tune.bufsize`, which has to hold
/// the head, too.
const LONGEST: usize = 16 * 1024;

/// Whether a body is not too long for a copy.
pub(crate) fn is_short(body: &impl Body) -> bool {
    let length = body.size_hint().exact();
    length.is_some_and(|length| length <= LONGEST as u64)
}

/// How long the rest of a body is waited for that has to be sent once more. It has most
/// likely come already, and nobody has asked for it.
const REST: Duration = Duration::from_millis(200);

/// A body on its way through, of which a copy is kept. Its clones are the same body: what
/// one who has given up has left of it, another can still have.
#[derive(Clone, Debug)]
pub(crate) struct Recorded(Arc<Mutex<Recording>>);

#[derive(Debug)]
struct Recording {
    body: Patient,
    seen: Seen,
}

/// What has been seen of a body.
#[derive(Debug)]
enum Seen {
    Some(Vec<u8>),
    All(Bytes),
    /// It is too long, has trailers, broke off, or nobody wants it.
    Nothing,
}

impl Recorded {
    /// Keeps a copy if one `is_wanted`.
    pub(crate) fn new(body: Patient, is_wanted: bool) -> Self {
        let seen = match (is_wanted, body.is_end_stream()) {
            (true, true) => Seen::All(Bytes::new()),
            (true, false) => Seen::Some(Vec::new()),
            (false, _) => Seen::Nothing,
        };
        Self(Arc::new(Mutex::new(Recording { body, seen })))
    }

    /// The body once more, if all of it is there.
    pub(crate) async fn whole(&self) -> Option<Full<Bytes>> {
        let whole = poll_fn(|context| self.lock().poll_whole(context));
        timeout(REST, whole).await.ok()?.map(Full::new)
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &self.seen {
                Seen::All(bytes) => return Poll::Ready(Some(bytes.clone())),
                Seen::Nothing => return Poll::Ready(None),
                Seen::Some(_) => drop(ready!(self.poll_frame(context))),
            }
        }
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // Nobody asks for more behind the last byte, if that is known to be it.
        self.see(frame.as_ref(), self.body.is_end_stream());
        Poll::Ready(frame)
    }

    fn see(&mut self, frame: Option<&Result<Frame<Bytes>, BoxError>>, is_last: bool) {
        let Seen::Some(bytes) = &mut self.seen else {
            return;
        };
        let is_known = match frame {
            None => true,
            Some(frame) => match frame.as_ref().ok().and_then(Frame::data_ref) {
                Some(data) if bytes.len() + data.len() <= LONGEST => {
                    bytes.extend_from_slice(data);
                    true
                }
                _ => false,
            },
        };
        if !is_known {
            self.seen = Seen::Nothing;
        } else if is_last || frame.is_none() {
            self.seen = Seen::All(mem::take(bytes).into());
        }
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.lock().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}
