//! `shutdown sessions server B/S`.

use std::fmt;

use super::{DONE, Outcome, Runtime, refused};
use crate::FarmServer;

/// How the runtime commands reach the sessions of a proxy.
///
/// Hand it to [`Runtime::sessions`](super::Runtime::sessions).
pub trait Sessions: fmt::Debug + Sync {
    /// Ends all sessions that are under way on this server of the backend of this name, as
    /// HAProxy does for an operator; those that wait for a slot there are none yet. HAProxy:
    /// `shutdown sessions server`, `K` in the log.
    fn end(&self, backend: &str, server: &FarmServer);
}

const OUT_OF_REACH: &str = "Sessions cannot be ended here.";

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    pub(super) fn end_sessions(&self, words: &[&[u8]]) -> Outcome {
        let Some(sessions) = self.sessions else {
            return refused(OUT_OF_REACH);
        };
        let target = self.target(words)?;
        sessions.end(target.backend.name(), &target.server);
        DONE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::haproxy::{Level, ProxyId};
    use crate::{Backend, Now, Server};

    #[derive(Debug, Default)]
    struct Ended(Mutex<Vec<String>>);

    impl Sessions for Ended {
        fn end(&self, backend: &str, server: &FarmServer) {
            let name = format!("{backend}/{}", server.name());
            self.0.lock().unwrap().push(name);
        }
    }

    fn backend() -> Backend {
        let server = Server::new("a", "127.0.0.1:1");
        Backend::builder("b").server(server).build().unwrap()
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn sessions_of_servers_there_are_end_and_nothing_else_does() {
        let (backend, ended) = (backend(), Ended::default());
        let now = Now::system();
        let runtime = Runtime::new(now)
            .backend(ProxyId::Counted(2), &backend)
            .sessions(&ended);
        let told = [
            ("b/a", "\n"),
            ("#2/#1", "\n"),
            ("b/z", "No such server.\n\n"),
            ("z/a", "No such backend.\n\n"),
            ("b", "Require 'backend/server'.\n\n"),
            ("", "Require 'backend/server'.\n\n"),
        ];
        for (target, expected) in told {
            let line = format!("shutdown sessions server {target}");
            assert_eq!(runtime.answer(line.as_bytes(), now).text(), expected);
        }
        assert_eq!(*ended.0.lock().unwrap(), ["b/a", "b/a"]);
        let answer = runtime
            .level(Level::Operator)
            .answer(b"shutdown sessions server b/a", now);
        assert_eq!(answer.text(), "Permission denied\n\n");
        assert_eq!(ended.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn who_cannot_end_sessions_says_so() {
        let (backend, now) = (backend(), Now::system());
        let runtime = Runtime::new(now).backend(ProxyId::Counted(2), &backend);
        let answer = runtime.answer(b"shutdown sessions server b/a", now);
        assert_eq!(answer.text(), format!("{OUT_OF_REACH}\n\n"));
    }
}
