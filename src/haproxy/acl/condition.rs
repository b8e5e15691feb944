//! Groups of ACLs.

use std::sync::Arc;

use super::criterion::{self, Criterion};
use super::error::{missing, unexpected};
use super::{AclError, Acls};
use crate::Condition;
use crate::fetch::{FindTable, Message, Moment, Origin};
use crate::haproxy::expression::Reference;
use crate::message::{Request, Response};
use crate::words::Word;

/// A condition read by [`Acls::condition`].
///
/// It converts into a [`Condition`], which is a question about requests. The default
/// holds for nothing.
#[derive(Clone, Debug, Default)]
pub struct AclCondition {
    pub(super) is_unless: bool,
    /// Any of the groups, of which all terms.
    pub(super) groups: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) is_negated: bool,
    /// Any of them.
    pub(super) criteria: Arc<Vec<Criterion>>,
}

impl AclCondition {
    /// Whether it holds for a request. What needs a response is not found there.
    pub fn on_request(&self, request: &dyn Request) -> bool {
        self.holds(Message::Request(request))
    }

    /// Whether it holds for a response. What needs more than the response is not found
    /// there, so ask [`is_available`](Self::is_available) first.
    pub fn on_response(&self, response: &dyn Response) -> bool {
        self.holds(Message::Response(response))
    }

    /// Whether it holds for a request whose [`payload`](Request::payload) is still arriving;
    /// `None` is not known yet, so ask again when there are more bytes, or
    /// [`on_request`](Self::on_request) when there will be none. HAProxy: how rules of
    /// `tcp-request content` are asked until `inspect-delay` is over.
    ///
    /// It is HAProxy's logic of three values. A test that matches is true at once, even if
    /// more bytes will undo it (`req.len lt 9`); one that does not is false if no byte can
    /// change it (`src`, a `req.payload(0,4)` that is all there), and otherwise unknown, as
    /// `WAIT_END` always is. `!` and `unless` leave the unknown unknown. A group ends at its
    /// first term that is not true, so `FALSE WAIT_END` is false and `WAIT_END FALSE` unknown.
    /// What needs the head of an HTTP request is unknown where there is no
    /// [`method`](Request::method).
    ///
    /// ```
    /// use stickroute::{SimpleRequest, haproxy};
    ///
    /// let mut acls = haproxy::Acls::new();
    /// acls.declare("is_ssh req.payload(0,4) -m str SSH-")?;
    /// let other = acls.condition("if !is_ssh")?;
    /// let after = |payload: &str| {
    ///     other.on_partial_request(&SimpleRequest::new("", "").payload(payload))
    /// };
    /// assert_eq!(after("SS"), None);
    /// assert_eq!(after("SSH-"), Some(false));
    /// assert_eq!(after("GET /"), Some(true));
    /// # Ok::<(), haproxy::AclError>(())
    /// ```
    pub fn on_partial_request(&self, request: &dyn Request) -> Option<bool> {
        self.holds_so_far(Message::Request(request))
    }

    /// As [`on_partial_request`](Self::on_partial_request), of a response whose
    /// [`payload`](Response::payload) is still arriving; its head is there. HAProxy: how
    /// rules of `tcp-response content` are asked.
    pub fn on_partial_response(&self, response: &dyn Response) -> Option<bool> {
        self.holds_so_far(Message::Response(response))
    }

    /// Whether everything it looks at is in the message of that moment.
    pub fn is_available(&self, moment: Moment) -> bool {
        self.criteria()
            .all(|criterion| criterion.is_in_message_of(moment))
    }

    /// Whether it asks about something that is found there. What looks at nothing but the
    /// connection, for example, is the same for every byte that follows.
    pub fn looks_at(&self, origin: Origin) -> bool {
        self.criteria()
            .any(|criterion| criterion.origin() == origin)
    }

    /// Puts tables in the place of their names.
    pub(in crate::haproxy) fn bind(&mut self, find: &FindTable<'_>) {
        for term in self.groups.iter_mut().flatten() {
            if term.criteria.iter().any(Criterion::reads_tables) {
                for criterion in Arc::make_mut(&mut term.criteria) {
                    criterion.bind(find);
                }
            }
        }
    }

    fn criteria(&self) -> impl Iterator<Item = &Criterion> {
        let terms = self.groups.iter().flatten();
        terms.flat_map(|term| &*term.criteria)
    }

    fn holds(&self, message: Message<'_>) -> bool {
        let holds = |group: &Vec<Term>| group.iter().all(|term| term.holds(message));
        self.groups.iter().any(holds) != self.is_unless
    }

    fn holds_so_far(&self, message: Message<'_>) -> Option<bool> {
        let group = |terms: &Vec<Term>| {
            let mut terms = terms.iter().map(|term| term.holds_so_far(message));
            let stop = terms.find(|holds| *holds != Some(true));
            stop.unwrap_or(Some(true))
        };
        let holds = any(self.groups.iter().map(group))?;
        Some(holds != self.is_unless)
    }
}

/// Whether one of them is so; not known as long as one may become so and none is.
fn any(mut answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let found = answers.try_fold(Some(false), |known, answer| match answer {
        Some(true) => Err(()),
        Some(false) => Ok(known),
        None => Ok(None),
    });
    found.unwrap_or(Some(true))
}

impl Term {
    fn holds(&self, message: Message<'_>) -> bool {
        let mut criteria = self.criteria.iter();
        criteria.any(|criterion| criterion.holds(message)) != self.is_negated
    }

    fn holds_so_far(&self, message: Message<'_>) -> Option<bool> {
        let criteria = self.criteria.iter();
        let holds = any(criteria.map(|criterion| criterion.holds_so_far(message)))?;
        Some(holds != self.is_negated)
    }
}

impl From<AclCondition> for Condition {
    fn from(condition: AclCondition) -> Self {
        Self::when(move |request| condition.on_request(request))
    }
}

const TERM: &str = "the name of an ACL, { or !";

pub(super) fn read(
    acls: &Acls,
    words: &[Word],
    end: usize,
    place: u64,
    references: &mut Vec<Reference>,
) -> Result<AclCondition, AclError> {
    let Some((keyword, rest)) = words.split_first() else {
        return Err(missing(end, "if or unless"));
    };
    let is_unless = match &keyword.bytes[..] {
        b"if" => false,
        b"unless" => true,
        other => return Err(unexpected(keyword.position, other, "if or unless")),
    };
    let groups = Groups {
        acls,
        words: rest,
        end,
        place,
        references,
    }
    .read()?;
    Ok(AclCondition { is_unless, groups })
}

struct Groups<'a> {
    acls: &'a Acls,
    words: &'a [Word],
    end: usize,
    place: u64,
    references: &'a mut Vec<Reference>,
}

impl<'a> Groups<'a> {
    fn next(&mut self) -> Option<&'a Word> {
        let (word, rest) = self.words.split_first()?;
        self.words = rest;
        Some(word)
    }

    fn read(mut self) -> Result<Vec<Vec<Term>>, AclError> {
        let mut groups = Vec::new();
        let mut group = Vec::new();
        while let Some(word) = self.next() {
            if !matches!(&word.bytes[..], b"or" | b"||") {
                group.push(self.term(word)?);
            } else if group.is_empty() {
                return Err(unexpected(word.position, &word.bytes, TERM));
            } else {
                groups.push(std::mem::take(&mut group));
            }
        }
        if group.is_empty() {
            return Err(missing(self.end, TERM));
        }
        groups.push(group);
        Ok(groups)
    }

    /// The `!` of a negation may stand alone or before the name.
    fn term(&mut self, first: &'a Word) -> Result<Term, AclError> {
        let mut is_negated = false;
        let mut word = first;
        let marks = loop {
            let marks = word.bytes.iter().take_while(|&&byte| byte == b'!').count();
            is_negated ^= marks % 2 == 1;
            if marks < word.bytes.len() {
                break marks;
            }
            word = self.next().ok_or(missing(self.end, TERM))?;
        };
        let word = Word {
            bytes: word.bytes[marks..].to_vec(),
            position: word.position + marks,
        };
        let criteria = match &word.bytes[..] {
            b"{" => Arc::new(vec![self.anonymous(word.position)?]),
            b"or" | b"||" => return Err(unexpected(word.position, &word.bytes, TERM)),
            _ => self.acls.find(&word, self.place)?,
        };
        Ok(Term {
            is_negated,
            criteria,
        })
    }

    fn anonymous(&mut self, open: usize) -> Result<Criterion, AclError> {
        let Some(length) = self.words.iter().position(|word| word.bytes == b"}") else {
            return Err(unexpected(open, b"{", "a } behind it"));
        };
        let (inside, rest) = self.words.split_at(length);
        self.words = &rest[1..];
        criterion::read(inside, rest[0].position, self.references)
    }
}
