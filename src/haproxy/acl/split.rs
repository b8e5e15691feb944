//! Conditions on a response that also ask about the connection, which is known from the
//! request.

use super::condition::{AclCondition, Term};
use super::criterion::Criterion;
use crate::fetch::{Message, Origin};
use crate::message::{Request, Response};

/// A condition in two halves: what is asked when the request is there, and the rest.
#[derive(Clone, Debug, Default)]
pub(in crate::haproxy) struct SplitCondition {
    is_unless: bool,
    groups: Vec<Vec<SplitTerm>>,
    /// What is asked of the request.
    asked: Vec<Criterion>,
}

#[derive(Clone, Debug)]
struct SplitTerm {
    is_negated: bool,
    /// Any of them.
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// Which of the answers.
    Asked(usize),
    OfResponse(Criterion),
}

/// Answers are bits of a number.
const MOST: usize = u64::BITS as usize;

impl SplitCondition {
    /// `None` if more than 64 questions are about the connection.
    pub(in crate::haproxy) fn of(condition: &AclCondition) -> Option<Self> {
        let mut asked = Vec::new();
        let mut split = |term: &Term| SplitTerm {
            is_negated: term.is_negated,
            parts: term
                .criteria
                .iter()
                .map(|it| part(it, &mut asked))
                .collect(),
        };
        let groups = condition.groups.iter();
        let groups = groups
            .map(|group| group.iter().map(&mut split).collect())
            .collect();
        (asked.len() <= MOST).then_some(Self {
            is_unless: condition.is_unless,
            groups,
            asked,
        })
    }

    /// The answers to what is asked about the connection.
    pub(in crate::haproxy) fn ask(&self, request: &dyn Request) -> u64 {
        let holds = |criterion: &Criterion| criterion.holds(Message::Request(request));
        let answers = self.asked.iter().map(holds).enumerate();
        answers.fold(0, |bits, (place, holds)| bits | u64::from(holds) << place)
    }

    /// Whether the condition holds, with those answers.
    pub(in crate::haproxy) fn holds(&self, answers: u64, response: &dyn Response) -> bool {
        let part_holds = |part: &Part| match part {
            Part::Asked(place) => answers >> place & 1 == 1,
            Part::OfResponse(criterion) => criterion.holds(Message::Response(response)),
        };
        let holds = |term: &SplitTerm| term.parts.iter().any(part_holds) != term.is_negated;
        let mut groups = self.groups.iter();
        groups.any(|group| group.iter().all(holds)) != self.is_unless
    }
}

fn part(criterion: &Criterion, asked: &mut Vec<Criterion>) -> Part {
    if criterion.origin() != Origin::Exchange {
        return Part::OfResponse(criterion.clone());
    }
    asked.push(criterion.clone());
    Part::Asked(asked.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::Acls;
    use crate::{SimpleRequest, SimpleResponse};

    fn holds(condition: &str) -> bool {
        let condition = Acls::new().condition(condition).expect(condition);
        let split = SplitCondition::of(&condition).expect("it is short");
        let request = SimpleRequest::new("GET", "/x").source("10.1.2.3".parse().unwrap());
        let answers = split.ask(&request);
        split.holds(answers, &SimpleResponse::new(200).header("X", "a"))
    }

    #[test]
    fn both_halves_count() {
        for condition in [
            "if { src 10.0.0.0/8 } { status 200 }",
            "if METH_POST or { src 10.1.2.3 } { res.hdr(x) a } or FALSE",
            "unless METH_POST",
            "if !METH_POST !{ status 404 }",
        ] {
            assert!(holds(condition), "{condition}");
        }
        for condition in [
            "if { src 10.0.0.0/8 } { status 404 }",
            "if { src 11.0.0.0/8 } { status 200 }",
            "unless METH_GET { status 200 }",
            // The rest of the request is gone.
            "if { path /x }",
        ] {
            assert!(!holds(condition), "{condition}");
        }
    }

    #[test]
    fn there_is_an_end_to_what_can_be_asked() {
        let condition = |count: usize| {
            let text = format!("if{}", " METH_GET".repeat(count));
            SplitCondition::of(&Acls::new().condition(text).unwrap())
        };
        assert_eq!(condition(64).map(|split| split.asked.len()), Some(64));
        assert!(condition(65).is_none());
    }
}
