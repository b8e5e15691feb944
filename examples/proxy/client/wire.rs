//! The bytes of HTTP/1 clients before hyper sees them: what is no request is refused as
//! HAProxy refuses it, and the rest is handed on in one plain form, so that there is only
//! one way to read it.
//!
//! It has no sockets and no clock: bytes go in by [`Wire::feed`] and come out of
//! [`Wire::take`].

use std::mem;
use std::vec::Drain;

use crate::client::head::{self, Framing, Head};
use crate::client::syntax;

/// The longest head. HAProxy: `tune.bufsize` without `tune.maxrewrite`.
pub(crate) const LONGEST_HEAD: usize = 15_360;

/// How HTTP/2 begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest line between two chunks.
const LONGEST_LINE: usize = 4096;

/// Why a request is not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no HTTP; status 400.
    Malformed,
    /// Encoded in another way than in chunks; status 422.
    Encoded,
    /// Not whole in time; status 408.
    Late,
    /// The client has said all it has to say in the middle of a head; status 400.
    Short,
    /// The client has gone in the middle of a body.
    Cut,
}

/// What of a request hyper would do by itself, and is not to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// It came with `Expect: 100-continue`, which is the server's to answer.
    pub(crate) expects: bool,
    /// None has come before it.
    pub(crate) is_first: bool,
    /// Of HTTP/1, as the client has it.
    pub(crate) version: Option<(u8, u8)>,
    /// So many bytes of the body came together with the head.
    pub(crate) at_once: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a connection.
    Start,
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Behind a request for a tunnel, as long as that is not decided.
    Undecided,
    /// No HTTP/1 any more.
    Opaque,
}

/// One client's side of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    state: State,
    raw: Vec<u8>,
    /// How much of it the end of a head has been looked for in.
    seen: usize,
    plain: Vec<u8>,
    told: Vec<Told>,
    refusal: Option<Refusal>,
    /// Something of a head has come, or the empty lines before it.
    has_begun: bool,
    /// Where in `plain` what was fed last begins, or the message that has begun since.
    fresh: usize,
    /// That message has begun there.
    is_fresh: bool,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            raw: Vec::new(),
            seen: 0,
            plain: Vec::new(),
            told: Vec::new(),
            refusal: None,
            has_begun: false,
            fresh: 0,
            is_fresh: false,
        }
    }

    /// Takes what the client has sent.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.fresh = self.plain.len();
        self.is_fresh = false;
        self.go_on();
    }

    /// The client sends nothing more.
    pub(crate) fn end(&mut self) {
        let cut = match self.state {
            State::Start => Some(Refusal::Short),
            State::Head => self.has_begun.then_some(Refusal::Short),
            State::Undecided | State::Opaque => None,
            _ => Some(Refusal::Cut),
        };
        self.refusal = self.refusal.or(cut);
    }

    /// The client has had its time. Between two requests that is no fault.
    pub(crate) fn expire(&mut self) {
        let is_late = match self.state {
            State::Start => true,
            State::Head => self.has_begun,
            _ => false,
        };
        self.refusal = self.refusal.or(is_late.then_some(Refusal::Late));
    }

    /// What has become of a request for a tunnel: from now on anything, or HTTP again.
    pub(crate) fn decide(&mut self, is_tunnel: bool) {
        if self.state == State::Undecided {
            self.state = if is_tunnel {
                State::Opaque
            } else {
                self.next()
            };
            self.go_on();
        }
    }

    /// Moves as much as there is room for.
    pub(crate) fn take(&mut self, room: usize) -> Drain<'_, u8> {
        let count = room.min(self.plain.len());
        self.plain.drain(..count)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// So much has not been taken yet.
    pub(crate) fn len(&self) -> usize {
        self.plain.len()
    }

    /// What is known of the requests that have come since the last time.
    pub(crate) fn told(&mut self) -> impl Iterator<Item = Told> {
        self.told.drain(..)
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    pub(crate) fn is_undecided(&self) -> bool {
        self.state == State::Undecided
    }

    /// Whether no head is waited for, nor HTTP/1 spoken.
    pub(crate) fn is_opaque(&self) -> bool {
        self.state == State::Opaque
    }

    /// Whether what was refused had not begun yet, or only with its head.
    pub(crate) fn is_before_body(&self) -> bool {
        matches!(self.state, State::Start | State::Head)
    }

    /// Whether a request has begun and its head has not ended.
    pub(crate) fn is_in_head(&self) -> bool {
        match self.state {
            State::Start => true,
            State::Head => self.has_begun,
            _ => false,
        }
    }

    /// Whether the rest of a body is waited for.
    pub(crate) fn is_in_body(&self) -> bool {
        !matches!(
            self.state,
            State::Start | State::Head | State::Undecided | State::Opaque
        )
    }

    fn go_on(&mut self) {
        while self.refusal.is_none() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(refusal) => self.refuse(refusal),
            }
        }
    }

    /// Of what has come together with a fault nothing is handed on, as far as it belongs to
    /// the same message.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
        self.plain.truncate(self.fresh);
        if self.is_fresh && !self.is_before_body() {
            self.told.pop();
            self.state = State::Head;
        }
    }

    /// A message is whole.
    fn next(&mut self) -> State {
        self.has_begun = !self.raw.is_empty();
        self.fresh = self.plain.len();
        self.is_fresh = false;
        State::Head
    }

    /// Whether there is more to do.
    fn step(&mut self) -> Result<bool, Refusal> {
        match self.state {
            State::Start => Ok(self.start()),
            State::Head => self.head(),
            State::Body(left) => Ok(self.data(left, State::Body, Self::next)),
            State::ChunkSize => self.chunk_size(),
            State::Chunk(left) => Ok(self.data(left, State::Chunk, |_| State::ChunkEnd)),
            State::ChunkEnd => self.chunk_end(),
            State::Trailers => self.trailers(),
            State::Undecided => Ok(false),
            State::Opaque => {
                self.plain.append(&mut self.raw);
                Ok(false)
            }
        }
    }

    fn start(&mut self) -> bool {
        let length = self.raw.len().min(PREFACE.len());
        self.state = if self.raw[..length] != PREFACE[..length] {
            State::Head
        } else if length == PREFACE.len() {
            State::Opaque
        } else {
            return false;
        };
        true
    }

    fn head(&mut self) -> Result<bool, Refusal> {
        self.has_begun |= !self.raw.is_empty();
        self.skip_empty_lines();
        let seen = mem::replace(&mut self.seen, self.raw.len());
        let Some(length) = syntax::end_from(&self.raw, seen) else {
            if self.raw.len() > LONGEST_HEAD {
                return Err(Refusal::Malformed);
            }
            // Each line is looked at again only when there is another.
            let (old, new) = self.raw.split_at(seen.min(self.raw.len()));
            if new.contains(&b'\n') || !old.contains(&b'\n') {
                head::may_become(&self.raw)?;
            }
            return Ok(false);
        };
        if length > LONGEST_HEAD {
            return Err(Refusal::Malformed);
        }
        let head = Head::parse(&self.raw[..length])?;
        head.write(&mut self.plain);
        self.told.push(Told {
            expects: head.expects,
            is_first: false,
            version: Some(head.told_version),
            at_once: 0,
        });
        let framing = head.framing;
        self.raw.drain(..length);
        self.seen = 0;
        self.is_fresh = true;
        self.state = match framing {
            Framing::Length(0) => self.next(),
            Framing::Length(length) => State::Body(length),
            Framing::Chunks => State::ChunkSize,
            Framing::Tunnel => State::Undecided,
        };
        Ok(true)
    }

    /// Before a request line they are as good as nothing (RFC 9112 section 2.2).
    fn skip_empty_lines(&mut self) {
        let mut count = 0;
        loop {
            match self.raw[count..] {
                [b'\n', ..] => count += 1,
                [b'\r', b'\n', ..] => count += 2,
                _ => break,
            }
        }
        if count > 0 {
            self.raw.drain(..count);
            self.seen = 0;
        }
    }

    fn data(&mut self, left: u64, same: fn(u64) -> State, next: fn(&mut Self) -> State) -> bool {
        let count = usize::try_from(left).map_or(self.raw.len(), |left| left.min(self.raw.len()));
        self.plain.extend(self.raw.drain(..count));
        if let Some(told) = self.told.last_mut().filter(|_| self.is_fresh) {
            told.at_once += count;
        }
        let left = left - count as u64;
        self.state = if left == 0 { next(self) } else { same(left) };
        left == 0
    }

    /// A line without its end; `None` if it is not whole yet.
    fn line(&mut self, longest: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(end) = self.raw.iter().position(|byte| *byte == b'\n') else {
            if self.raw.len() > longest {
                return Err(Refusal::Malformed);
            }
            return Ok(None);
        };
        if end > longest {
            return Err(Refusal::Malformed);
        }
        let mut line: Vec<u8> = self.raw.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn chunk_size(&mut self) -> Result<bool, Refusal> {
        let Some(line) = self.line(LONGEST_LINE)? else {
            return Ok(false);
        };
        let size = syntax::chunk_size(&line).ok_or(Refusal::Malformed)?;
        self.plain.extend(format!("{size:x}\r\n").bytes());
        self.state = match size {
            0 => State::Trailers,
            size => State::Chunk(size),
        };
        Ok(true)
    }

    fn chunk_end(&mut self) -> Result<bool, Refusal> {
        let length = match self.raw[..] {
            [] | [b'\r'] => return Ok(false),
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return Err(Refusal::Malformed),
        };
        self.raw.drain(..length);
        self.plain.extend(b"\r\n");
        self.state = State::ChunkSize;
        Ok(true)
    }

    /// Fields behind the last chunk go no further.
    fn trailers(&mut self) -> Result<bool, Refusal> {
        let Some(line) = self.line(LONGEST_HEAD)? else {
            return Ok(false);
        };
        match line[..] {
            [] => {
                self.plain.extend(b"\r\n");
                self.state = self.next();
            }
            // A line that goes on.
            [b' ' | b'\t', ..] => {}
            _ => {
                let colon = line.iter().position(|byte| *byte == b':');
                let name = colon.map(|colon| &line[..colon]);
                if !name.is_some_and(syntax::is_token) {
                    return Err(Refusal::Malformed);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
