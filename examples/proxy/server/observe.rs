//! Health by what sessions meet: errors in a row count as checks that fail.

use stickroute::{Backend, Failure, Now, ServerHandle};

use crate::server::changes::Before;
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
    let before = backend.server(id).as_ref().map(Before::of);
    let changed = backend.report_errors(id, reaction, Now::system());
    numbers.hurry.notify_one();
    if let (Ok(Some(_)), Some(before)) = (changed, before) {
        before.tell(back, &backend.farm(), &format!(", reason: {report}"));
    }
    let Some(server) = backend.server(id) else {
        return;
    };
    if server.last_check() == report.status() {
        numbers.checked(report, None);
    }
}
