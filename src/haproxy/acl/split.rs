//! Conditions on a response that also ask about the connection, which is known from the
//! request.

use std::sync::Arc;

use super::condition::{AclCondition, Term};
use super::criterion::Criterion;
use crate::fetch::{Message, Origin};
use crate::message::{Request, Response};

/// A condition in two halves: what is asked when the request is there, and the rest. The
/// tests themselves are shared with the condition: many rules may ask the same long ACL.
#[derive(Clone, Debug, Default)]
pub(in crate::haproxy) struct SplitCondition {
    is_unless: bool,
    groups: Vec<Vec<SplitTerm>>,
}

#[derive(Clone, Debug)]
struct SplitTerm {
    is_negated: bool,
    /// Any of them.
    criteria: Arc<Vec<Criterion>>,
    /// Which of the answers tells whether a test on the connection holds; `None` if there
    /// is no such test.
    asked: Option<u32>,
}

impl SplitCondition {
    /// `None` if more than 64 terms are about the connection: answers are bits of a number.
    pub(in crate::haproxy) fn of(condition: &AclCondition) -> Option<Self> {
        let mut asked = 0..u64::BITS;
        let groups = condition.groups.iter();
        let groups = groups.map(|group| {
            let terms = group.iter();
            terms.map(|term| SplitTerm::of(term, &mut asked)).collect()
        });
        Some(Self {
            is_unless: condition.is_unless,
            groups: groups.collect::<Option<_>>()?,
        })
    }

    /// The answers to what is asked about the connection.
    pub(in crate::haproxy) fn ask(&self, request: &dyn Request) -> u64 {
        let terms = self.groups.iter().flatten();
        let holding = terms.filter_map(|term| {
            let place = term.asked?;
            let mut asked = term.criteria.iter().filter(|it| is_asked(it));
            let holds = asked.any(|it| it.holds(Message::Request(request)));
            Some(u64::from(holds) << place)
        });
        holding.fold(0, |answers, answer| answers | answer)
    }

    /// Whether the condition holds, with those answers.
    pub(in crate::haproxy) fn holds(&self, answers: u64, response: &dyn Response) -> bool {
        let holds = |term: &SplitTerm| term.holds(answers, response);
        let mut groups = self.groups.iter();
        groups.any(|group| group.iter().all(holds)) != self.is_unless
    }
}

impl SplitTerm {
    /// `None` if there is no place left for its answer.
    fn of(term: &Term, places: &mut impl Iterator<Item = u32>) -> Option<Self> {
        let asked = if term.criteria.iter().any(is_asked) {
            Some(places.next()?)
        } else {
            None
        };
        Some(Self {
            is_negated: term.is_negated,
            criteria: Arc::clone(&term.criteria),
            asked,
        })
    }

    fn holds(&self, answers: u64, response: &dyn Response) -> bool {
        let was_so = self.asked.is_some_and(|place| answers >> place & 1 == 1);
        let mut others = self.criteria.iter().filter(|it| !is_asked(it));
        let holds = was_so || others.any(|it| it.holds(Message::Response(response)));
        holds != self.is_negated
    }
}

/// Whether it is asked of the request.
fn is_asked(criterion: &Criterion) -> bool {
    criterion.origin() == Origin::Exchange
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
        assert!(condition(64).is_some());
        assert!(condition(65).is_none());
    }

    #[test]
    fn an_acl_of_many_tests_is_one_question_and_shared() {
        let mut acls = Acls::new();
        for _ in 0..100 {
            acls.declare("near src 192.0.2.0/24").unwrap();
        }
        acls.declare("near src 10.0.0.0/8").unwrap();
        acls.declare("near status 404").unwrap();
        let condition = acls.condition("if near !METH_POST").unwrap();
        let split = SplitCondition::of(&condition).expect("there are two questions");
        let criteria = &condition.groups[0][0].criteria;
        assert!(Arc::ptr_eq(criteria, &split.groups[0][0].criteria));

        let of = |source: &str| SimpleRequest::new("GET", "/").source(source.parse().unwrap());
        let [near, far] = ["10.1.2.3", "11.1.2.3"].map(|source| split.ask(&of(source)));
        let [ok, missing] = [200, 404].map(SimpleResponse::new);
        assert!(split.holds(near, &ok) && split.holds(far, &missing));
        assert!(!split.holds(far, &ok));
    }
}
