//! One check under way.

use super::expect::Verdict;
use super::sequence::{Kind, Step};
use super::{CheckConnect, CheckReport, CheckSequence, CheckStatus, Expect};
use crate::server::OperationalState;

/// The most bytes of an answer that are looked at. HAProxy: `tune.bufsize`.
const MOST: usize = 16_384;

/// A check of one server, as far as it has come: says what to do next.
///
/// ```
/// use stickroute::OperationalState::Running;
/// use stickroute::health::{CheckSequence, CheckStatus, CheckWish, Expect};
///
/// let sequence = CheckSequence::tcp().send("PING\r\n").expect(Expect::text("+PONG"));
/// let mut run = sequence.start(Running);
/// assert!(matches!(run.next(), CheckWish::Connect(_)));
/// assert!(matches!(run.next(), CheckWish::Send(bytes) if bytes == b"PING\r\n"));
/// assert!(matches!(run.next(), CheckWish::Read));
/// run.received(b"+PONG\r\n");
/// let CheckWish::Done(report) = run.next() else { panic!() };
/// assert_eq!(report.status(), CheckStatus::Answered);
/// ```
#[derive(Clone, Debug)]
pub struct CheckRun<'s> {
    sequence: &'s CheckSequence,
    state: OperationalState,
    /// The step to make next.
    at: usize,
    is_connected: bool,
    /// The request of this step is on its way.
    is_sent: bool,
    received: Vec<u8>,
    ended: bool,
    /// What the check is if it ends here.
    passed: CheckReport,
}

/// What is to be done for a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckWish<'s> {
    /// Close the connection there is, and open another one. If that fails, tell
    /// [`CheckRun::not_connected`].
    Connect(&'s CheckConnect),
    /// Send this.
    Send(Vec<u8>),
    /// Read on, and tell [`CheckRun::received`] or [`CheckRun::ended`].
    Read,
    /// It has come to its end.
    Done(CheckReport),
}

/// The connection that is made without a step.
static USUAL: CheckConnect = CheckConnect::new();

/// What is told of a check in HAProxy's words that has passed.
const TCP_CHECK: &str = "(tcp-check)";

impl CheckSequence {
    /// Begins a check of a server that is in this state; see
    /// [`HealthCounter::state`](super::HealthCounter::state).
    pub fn start(&self, state: OperationalState) -> CheckRun<'_> {
        let is_bare = self.kind != Kind::Tcp || self.steps.is_empty();
        let info = if is_bare { "" } else { TCP_CHECK };
        CheckRun {
            sequence: self,
            state,
            at: 0,
            is_connected: false,
            is_sent: false,
            received: Vec::new(),
            ended: false,
            passed: CheckReport::new(CheckStatus::Connected).info_is(info),
        }
    }
}

impl<'s> CheckRun<'s> {
    /// What to do now; the last thing was done.
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "the last answer is given again"
    )]
    pub fn next(&mut self) -> CheckWish<'s> {
        loop {
            let step = self.sequence.steps.get(self.at);
            let connects = matches!(step, Some(Step::Connect(_) | Step::Comment(_)));
            if !self.is_connected && !connects {
                return self.connect(&USUAL);
            }
            let Some(step) = step else {
                return CheckWish::Done(self.passed.clone());
            };
            if let Some(wish) = self.follow(step) {
                return wish;
            }
        }
    }

    /// Makes one step, if that is nothing for the caller.
    fn follow(&mut self, step: &'s Step) -> Option<CheckWish<'s>> {
        match step {
            Step::Comment(_) => self.at += 1,
            Step::Connect(connect) => {
                self.at += 1;
                return Some(self.connect(connect));
            }
            Step::Send(bytes) => {
                self.at += 1;
                self.passed = CheckReport::new(CheckStatus::Answered).info_is(TCP_CHECK);
                return Some(self.send(bytes.clone()));
            }
            Step::Expect(expect) => {
                let verdict = expect.judge_bytes(&self.received, self.ended, self.at + 1);
                return self.judged(verdict, || expect.passed(TCP_CHECK));
            }
            Step::Request(request) if !self.is_sent => {
                self.is_sent = true;
                return Some(self.send(request.request()));
            }
            Step::Request(request) => {
                let (verdict, passed) = request.verdict(&self.received, self.ended, self.state);
                return self.judged(verdict, || passed);
            }
        }
        None
    }

    fn judged(
        &mut self,
        verdict: Verdict,
        passed: impl FnOnce() -> CheckReport,
    ) -> Option<CheckWish<'s>> {
        match verdict {
            Verdict::Wait => Some(CheckWish::Read),
            Verdict::Fail(report) => Some(CheckWish::Done(report)),
            Verdict::Pass => {
                self.passed = passed();
                self.at += 1;
                None
            }
        }
    }

    fn connect(&mut self, to: &'s CheckConnect) -> CheckWish<'s> {
        self.is_connected = true;
        self.is_sent = false;
        self.ended = false;
        self.received.clear();
        CheckWish::Connect(to)
    }

    fn send(&mut self, bytes: Vec<u8>) -> CheckWish<'s> {
        self.received.clear();
        CheckWish::Send(bytes)
    }

    /// More has come; of a long answer the first 16 KiB count.
    pub fn received(&mut self, bytes: &[u8]) {
        let room = MOST - self.received.len();
        self.received.extend(&bytes[..bytes.len().min(room)]);
        self.ended |= self.received.len() == MOST;
    }

    /// No more can come, in order or not.
    pub fn ended(&mut self) {
        self.ended = true;
    }

    /// How a check ends that cannot connect, for this reason: `Connection refused`.
    pub fn not_connected(&self, why: &str) -> CheckReport {
        let place = self.place_of_connection();
        CheckReport::new(CheckStatus::ConnectError).info_is(format!("{why}{place}"))
    }

    /// How a check ends for which there is no more time, while it connects or later.
    pub fn timed_out(&self, connecting: bool) -> CheckReport {
        if connecting {
            let place = self.place_of_connection();
            return CheckReport::new(CheckStatus::ConnectTimeout).info_is(place);
        }
        let step = self.sequence.steps.get(self.at);
        let expect = match step {
            Some(Step::Expect(expect)) => Some(expect.clone()),
            Some(Step::Request(request)) => request.expectations().first().cloned(),
            _ => None,
        };
        let status = expect.as_ref().map(Expect::times_out);
        let report = CheckReport::new(status.unwrap_or(CheckStatus::AnswerTimeout));
        match (step, expect) {
            (Some(Step::Expect(_)), Some(expect)) => {
                let comment = comment(expect.comment.as_ref());
                let (number, title) = (self.at + 1, expect.title());
                report.info_is(format!(" at step {number} of tcp-check ({title}){comment}"))
            }
            _ => report,
        }
    }

    /// Which of the connections it is, where that is told.
    fn place_of_connection(&self) -> String {
        if self.sequence.kind != Kind::Tcp {
            return String::new();
        }
        let last = self.at.checked_sub(1);
        let step = last.and_then(|last| self.sequence.steps.get(last));
        let Some(Step::Connect(connect)) = step else {
            return " at initial connection step of tcp-check".to_owned();
        };
        let port = connect.port.map(|port| format!(" port {port}"));
        let comment = comment(connect.comment.as_ref());
        let (number, port) = (self.at, port.unwrap_or_default());
        format!(" at step {number} of tcp-check (connect{port}){comment}")
    }
}

fn comment(text: Option<&String>) -> String {
    text.map_or_else(String::new, |text| format!(" comment: '{text}'"))
}

#[cfg(test)]
mod tests;
