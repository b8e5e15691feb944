//! Bodies of responses on their way to the client.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::{Either, Full};
use hyper::body::{Body as _, Bytes, Frame, SizeHint};
use stickroute::haproxy::{Cause, Phase};

use crate::http::body::{BoxError, Patient, Silence};
use crate::log::Ending;
use crate::server::exchange::Exchange;
use crate::server::orders::{Ear, Order};
use crate::statistics::account::Blame;

/// What clients are sent.
pub(crate) type Body = Either<Streamed, Full<Bytes>>;

/// The next piece of a body, or that there is none.
type Next = Option<Result<Frame<Bytes>, BoxError>>;

/// The body of a response on its way through; its end is the end of the exchange.
#[derive(Debug)]
pub(crate) struct Streamed {
    body: Patient,
    exchange: Option<Exchange>,
    /// Why it ends before its end.
    broken: Option<BoxError>,
    /// Orders to end before the body does.
    orders: Option<Ear>,
}

/// Whether what has come is no body, beside bodies that are cut off.
fn is_malformed(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
    source.is_some_and(|source| kinds.contains(&source.kind()))
}

impl Streamed {
    /// Streams `body` and ends `exchange` with it.
    pub(crate) fn new(body: Patient, exchange: Exchange) -> Self {
        Self {
            body,
            orders: exchange.orders().map(Ear::new),
            exchange: Some(exchange),
            broken: None,
        }
    }

    /// The next frame, or the order that there be none.
    fn poll_unless_ordered(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, Order>> {
        if let Some(order) = self.orders.as_ref().and_then(Ear::heard) {
            return Poll::Ready(Err(order));
        }
        match (
            Pin::new(&mut self.body).poll_frame(context),
            &mut self.orders,
        ) {
            (Poll::Ready(frame), _) => Poll::Ready(Ok(frame)),
            (Poll::Pending, Some(ear)) => ear.poll(context).map(Err),
            (Poll::Pending, None) => Poll::Pending,
        }
    }

    fn end(&mut self, ending: Option<Ending>) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        let story = &mut exchange.story;
        story.ending = story.ending.or(ending);
        if let Some(under_way) = exchange.under_way() {
            under_way.end_when_written(exchange);
        }
    }

    /// Ends it before its end. hyper drops what it has not written yet when it hears of an
    /// error, so it gets a turn to write.
    fn break_off(&mut self, ending: Ending, error: BoxError, context: &Context<'_>) -> Poll<Next> {
        self.end(Some(ending));
        self.broken = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn blame(&mut self, blame: Blame) {
        if let Some(exchange) = &mut self.exchange {
            exchange.blame = Some(blame);
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            return self.end(None);
        }
        let under_way = self.exchange.as_ref().and_then(Exchange::under_way);
        let cause = under_way.map_or(Cause::Client, |under_way| under_way.breaker());
        self.end(Some((cause, Phase::Data)));
    }
}

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match ready!(self.poll_unless_ordered(context)) {
            Ok(frame) => frame,
            Err(order) => {
                return self.break_off((order.cause(), Phase::Data), order.into(), context);
            }
        };
        match frame {
            // Nothing follows.
            Some(Ok(frame)) if frame.is_trailers() => {
                self.end(None);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let cause = if error.is::<Silence>() {
                    Cause::ServerTimeout
                } else {
                    Cause::Server
                };
                if is_malformed(&*error) {
                    self.blame(Blame::BadResponse);
                }
                self.break_off((cause, Phase::Data), error, context)
            }
            None => {
                self.end(None);
                Poll::Ready(None)
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
