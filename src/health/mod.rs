//! Health checks without sockets: what to send, what an answer means, how results count,
//! and when to check next.
//!
//! The caller connects, writes, reads and keeps the time. A [`HealthCounter`] is one server's
//! health as HAProxy counts it, for those who have no [`Backend`](crate::Backend); a backend
//! counts by itself.
//!
//! ```
//! use std::time::Duration;
//! use stickroute::health::{CheckStatus, HealthPolicy, HttpCheck};
//! use stickroute::{Backend, Now, OperationalState, Server};
//!
//! let policy = HealthPolicy::new().fall(2).interval(Duration::from_secs(5));
//! let backend: Backend = Backend::builder("app")
//!     .server(Server::new("app1", "10.0.0.1:8080").health(policy).checked())
//!     .build()?;
//! let check = HttpCheck::new().uri("/health")?.disable_on_404();
//!
//! // For each server, again and again: when and where to?
//! let farm = backend.farm();
//! let server = &farm.servers()[0];
//! assert_eq!(server.next_check(), Some(Duration::from_secs(5)));
//! assert_eq!(server.check_address().to_string(), "10.0.0.1:8080");
//!
//! // Send this; read until there is an answer, the end, or no more time.
//! assert_eq!(check.request(), b"OPTIONS /health HTTP/1.0\r\n\r\n");
//! let state = server.health().state();
//! let status = check.judge(b"HTTP/1.0 500 Oh\r\n\r\n", false, state);
//! let status = status.unwrap_or(CheckStatus::AnswerTimeout);
//! assert_eq!(status, CheckStatus::WrongStatus);
//!
//! // The first check of all may take a server down.
//! let changed = backend.report_check("app1", status, Now::system())?;
//! assert_eq!(changed, Some(OperationalState::Stopped));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Checks of several steps are a [`CheckSequence`], which a [`CheckRun`] plays; what sessions
//! meet between checks is counted by an [`ErrorObserver`].
//!
//! # How results count
//!
//! Health is a number from 0 to `rise + fall - 1`, and a server is up from `rise` on. A check
//! that passes adds one while the server is down, and makes all of it good when it comes up
//! or is up. One that fails takes one off while the server is up; with the last of `fall`,
//! and whenever it is down, nothing is left. A server begins with `rise`, so that its first
//! check may take it down. One that passes conditionally counts as passed, and leaves an up
//! server without new sessions. HAProxy: `rise`, `fall`, `srv_check_health`.

mod answer;
mod counter;
mod expect;
mod http;
mod observe;
mod policy;
mod report;
mod run;
mod sequence;
mod status;
mod text;

pub use counter::HealthCounter;
pub use expect::{Expect, FieldExpect, InvalidStatuses, StatusRange};
pub use http::{HttpCheck, InvalidCheck};
pub use observe::{ErrorObserver, Observed, OnErrors};
pub use policy::HealthPolicy;
pub use report::CheckReport;
pub use run::{CheckRun, CheckWish};
pub use sequence::{CheckConnect, CheckSequence};
pub use status::{CheckResult, CheckStatus};
pub use text::TextMatch;
