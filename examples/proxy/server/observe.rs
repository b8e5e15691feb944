//! Health by what sessions meet: errors in a row count as checks that fail.

use stickroute::{Backend, Failure, Now, ServerHandle};

use crate::server::checks::tell::Change;
use crate::server::pool::Pool;
use crate::service::site::Back;

/// Notes what a session has met at a server, `None` for a connection.
pub(crate) fn observe(
    back: &Back,
    backend: &Backend<Pool>,
    server: &ServerHandle<Pool>,
    met: Option<Failure>,
) {
    let Some(numbers) = back.numbers.servers.get(server.name()) else {
        return;
    };
    let Some((report, reaction)) = numbers.met(met) else {
        return;
    };
    let id = server.id();
    let before = backend.server(id).map_or(0, |server| server.queued());
    let changed = backend.report_errors(id, reaction, Now::system());
    let Some(server) = backend.server(id) else {
        return;
    };
    numbers.hurry.notify_one();
    if let Ok(Some(state)) = changed {
        let change = Change {
            back,
            backend,
            server: &server,
            state,
        };
        let requeued = before.saturating_sub(server.queued());
        change.tell(&report.to_string(), requeued);
    }
    if server.last_check() == report.status() {
        numbers.checked(report, None);
    }
}
