//! Copies of requests' bodies, for requests that may have to be sent once more.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::http::body::{BoxError, Patient};

/// A request with a longer body is sent once. HAProxy: `tune.bufsize`, which has to hold
/// the head, too.
const LONGEST: usize = 16 * 1024;

/// What has been seen of a body.
#[derive(Clone, Debug)]
pub(crate) struct Copy(Arc<Mutex<Seen>>);

#[derive(Debug)]
enum Seen {
    Some(Vec<u8>),
    All(Bytes),
    /// It is too long, has trailers, broke off, or nobody wants it.
    Nothing,
}

/// A body on its way through that leaves a copy.
#[derive(Debug)]
pub(crate) struct Recorded {
    body: Patient,
    copy: Copy,
}

impl Recorded {
    /// Keeps a copy if one `is_wanted`.
    pub(crate) fn new(body: Patient, is_wanted: bool) -> Self {
        let seen = match (is_wanted, body.is_end_stream()) {
            (true, true) => Seen::All(Bytes::new()),
            (true, false) => Seen::Some(Vec::new()),
            (false, _) => Seen::Nothing,
        };
        let copy = Copy(Arc::new(Mutex::new(seen)));
        Self { body, copy }
    }

    pub(crate) fn copy(&self) -> Copy {
        self.copy.clone()
    }
}

impl Copy {
    /// The body once more, if all of it is there.
    pub(crate) fn whole(&self) -> Option<Full<Bytes>> {
        match &*self.lock() {
            Seen::All(bytes) => Some(Full::new(bytes.clone())),
            Seen::Some(_) | Seen::Nothing => None,
        }
    }

    fn see(&self, frame: Option<&Result<Frame<Bytes>, BoxError>>, is_last: bool) {
        let mut seen = self.lock();
        let Seen::Some(bytes) = &mut *seen else {
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
            *seen = Seen::Nothing;
        } else if is_last || frame.is_none() {
            *seen = Seen::All(mem::take(bytes).into());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // Nobody asks for more behind the last byte, if that is known to be it.
        self.copy.see(frame.as_ref(), self.body.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
