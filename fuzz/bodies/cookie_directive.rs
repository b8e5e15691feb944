//! The text behind HAProxy's keyword `cookie`.

use stickroute::CookiePolicy;
use stickroute::cookie::{CookieMode, CookieProblem, Dates, Insertion, Stamp, insertion};

pub(crate) fn check(text: &[u8]) {
    match CookiePolicy::from_directive(text) {
        Ok(directive) => check_policy(&directive.policy),
        Err(error) => {
            assert!(!error.findings().is_empty());
            assert!(
                error
                    .findings()
                    .iter()
                    .all(|finding| finding.position() <= text.len())
            );
            assert!(!error.to_string().contains(char::is_control));
        }
    }
}

/// The text refuses all that would be a problem but a name no client can send.
fn check_policy(policy: &CookiePolicy) {
    assert!(!policy.name().is_empty());
    assert!(policy.mode() != CookieMode::Rewrite || !policy.is_indirect());
    let problems = policy.problems();
    assert!(
        problems
            .iter()
            .all(|problem| matches!(problem, CookieProblem::Name { .. }))
    );
    if problems.is_empty() {
        let at = Insertion {
            id: None,
            dates: Dates::NONE,
            now: Stamp::NONE,
            direct: false,
        };
        let (header, _) = insertion(policy, &at);
        assert!(!header.iter().any(u8::is_ascii_control));
    }
    assert_eq!(
        policy.clone().overriding(policy).domains().count(),
        policy.domains().count()
    );
}
