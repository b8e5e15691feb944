//! When an exchange is told of: at its end, or as soon as the response begins; and those
//! that never became a request.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use stickroute::Now;
use stickroute::haproxy::{Cause, LogRecord, Phase};

use super::Exchange;
use crate::client::proxy_protocol::Fault;
use crate::client::stream::Ends;
use crate::client::under_way::Beginning;
use crate::log::{Ending, Lines, Log, Story};
use crate::service::site::Front;
use crate::statistics::account::Blame;

impl Exchange {
    /// The log is not to hear of it.
    pub(crate) fn keep_quiet(&mut self) {
        self.is_told = true;
    }

    /// Has the log told what there is to tell now, if it does not know yet.
    pub(super) fn tell(&mut self, tell: impl FnOnce(&Lines, &LogRecord<'_>) -> bool) {
        let front = Arc::clone(&self.front);
        let Log::Lines(log) = &front.log else {
            return;
        };
        if self.is_told || log.is_unheard() {
            return;
        }
        self.story.timers.total = self.taken();
        if let Some(format) = &log.unique_id
            && self.story.unique_id.is_empty()
        {
            // A rule has answered before it was given one.
            self.story.unique_id = format.text(&self.record());
        }
        let mut record = self.record();
        record.is_unfinished = log.is_early();
        self.is_told = tell(log, &record);
    }

    /// The head of the response is as the client gets it.
    pub(crate) fn begins<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status());
        let more = self.story.growth(response);
        self.tell_early(|record| record.bytes_read = record.bytes_read.saturating_add_signed(more));
    }

    /// There is a connection to a server, in mode tcp.
    pub(crate) fn connected(&mut self) {
        self.tell_early(|_| {});
    }

    /// HAProxy counts bytes of clients later, and the session among those there are.
    fn tell_early(&mut self, change: impl FnOnce(&mut LogRecord<'_>)) {
        if !matches!(&self.front.log, Log::Lines(log) if log.is_early()) {
            return;
        }
        self.tell(|log, record| {
            let mut record = *record;
            record.bytes_uploaded = 0;
            record.backend_connections += 1;
            record.server_connections += 1;
            change(&mut record);
            log.answer(&record)
        });
    }
}

/// Tells of a request that was refused before it could be read, and why.
pub(crate) fn unread(
    front: &Arc<Front>,
    (client, beginning): (Ends, Beginning),
    status: StatusCode,
    (cause, ending): (&'static str, Ending),
) {
    let mut exchange = Exchange::begin(front, client, Story::of_unread(beginning));
    exchange.request = format!("<BADREQ> ({cause})");
    exchange.is_unread = true;
    exchange.status = Some(status);
    exchange.story.ending = Some(ending);
    exchange.blame = Some(Blame::BadRequest);
}

/// Tells of a client that no PROXY header has announced.
pub(crate) fn unannounced(
    front: &Arc<Front>,
    (client, begun): (Ends, Now),
    door: &str,
    fault: Fault,
) {
    let beginning = Beginning { begun, heard: None };
    let mut exchange = Exchange::begin(front, client, Story::of_unread(beginning));
    exchange.request = format!("<BADREQ> ({})", fault.text());
    exchange.story.ending = Some((Cause::Proxy, Phase::Request));
    exchange.blame = Some(Blame::Unannounced);
    let is_empty = fault == Fault::Nothing;
    exchange.tell(|log, record| {
        let mut record = *record;
        record.status = Some(0);
        log.turn_away(&record, door, fault.text(), is_empty);
        true
    });
}
