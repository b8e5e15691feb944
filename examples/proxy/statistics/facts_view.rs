//! Numbers with their names, in a row above or below a table.

use stickroute::haproxy::{Mode, StatRow, StatSubject};

use super::html::Html;

/// A frontend in numbers.
pub(super) fn frontend(html: &mut Html, row: &StatRow, limit: Option<u32>) {
    let counts = &row.counts;
    html.raw("<dl class=facts>");
    fact(html, "Clients now", |html| {
        of_limit(html, counts.current, limit)
    });
    fact(html, "Most at a time", |html| html.number(counts.most));
    fact(html, "Connections", |html| html.number(counts.connections));
    if row.mode == Mode::Http {
        fact(html, "Requests", |html| html.number(counts.requests));
    }
    traffic(html, row);
    let refused = counts.denied_requests
        + counts.denied_responses
        + counts.denied_connections
        + counts.denied_sessions;
    fact(html, "Denied", |html| html.number(refused));
    fact(html, "Bad requests", |html| {
        html.number(counts.request_errors)
    });
    answers(html, row);
    html.raw("</dl>");
}

/// The servers of a backend together.
pub(super) fn backend(html: &mut Html, row: &StatRow) {
    let counts = &row.counts;
    let StatSubject::Backend(state) = &row.subject else {
        return;
    };
    html.raw("<dl class=facts>");
    fact(html, "Together", |html| {
        html.raw(if state.is_up {
            "<span class=\"state up\"><i aria-hidden=true>●</i> up</span>"
        } else {
            "<span class=\"state down\"><i aria-hidden=true>✕</i> down</span>"
        })
    });
    fact(html, "Usable + backups", |html| {
        html.text(state.active).raw(" + ").text(state.backups)
    });
    fact(html, "Sessions", |html| html.number(counts.sessions));
    fact(html, "Waiting", |html| html.number(state.queued.into()));
    let most = counts.most_queued.max(state.queued.into());
    fact(html, "Most waiting", |html| html.number(most));
    traffic(html, row);
    answers(html, row);
    html.raw("</dl>");
}

fn traffic(html: &mut Html, row: &StatRow) {
    fact(html, "Bytes in", |html| html.bytes(row.counts.bytes_in));
    fact(html, "Bytes out", |html| html.bytes(row.counts.bytes_out));
}

fn answers(html: &mut Html, row: &StatRow) {
    if row.mode == Mode::Tcp {
        return;
    }
    let names = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
    for (name, count) in names.into_iter().zip(row.counts.responses) {
        if count > 0 || matches!(name, "2xx" | "4xx" | "5xx") {
            fact(html, name, |html| html.number(count));
        }
    }
}

/// A number and what it is.
pub(super) fn fact(
    html: &mut Html,
    name: &'static str,
    value: impl FnOnce(&mut Html) -> &mut Html,
) {
    html.raw("<div><dt>").raw(name).raw("</dt><dd>");
    value(html).raw("</dd></div>");
}

/// A number, and how large it may become.
pub(super) fn of_limit(html: &mut Html, count: u64, limit: Option<u32>) -> &mut Html {
    html.number(count);
    if let Some(limit) = limit {
        html.raw("<span class=limit> / ")
            .number(limit.into())
            .raw("</span>");
    }
    html
}
