//! What makes a [`CookiePolicy`] unusable.

use std::fmt;

use super::policy::CookiePolicy;

/// Something in a [`CookiePolicy`] that keeps it from being used.
///
/// Texts show bytes that are not printable ASCII as escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieProblem {
    /// The name is no token (RFC 6265 section 4.1.1), or begins with the `$` that
    /// marks an attribute in a request: no client's cookie could ever match.
    Name {
        /// The name found.
        found: String,
    },
    /// A domain is empty or has a character other than letters, digits, `.`, `-`, `_`.
    Domain {
        /// The domain found.
        found: String,
    },
    /// An attribute is empty or has a control character or `;`, which would begin
    /// another one.
    Attr {
        /// The attribute found.
        found: String,
    },
    /// `maxidle` is longer than [`CookiePolicy::MAX_AGE`].
    MaxIdle {
        /// The seconds found.
        seconds: u64,
    },
    /// `maxlife` is longer than [`CookiePolicy::MAX_AGE`].
    MaxLife {
        /// The seconds found.
        seconds: u64,
    },
}

impl fmt::Display for CookieProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = CookiePolicy::MAX_AGE.as_secs();
        match self {
            Self::Name { found } => write!(
                f,
                "cookie name \"{found}\": expected letters, digits and any of !#$%&'*+-.^_`|~, not beginning with $"
            ),
            Self::Domain { found } => write!(
                f,
                "cookie domain \"{found}\": expected letters, digits and any of .-_"
            ),
            Self::Attr { found } => write!(
                f,
                "cookie attribute \"{found}\": expected a text without control characters and ;"
            ),
            Self::MaxIdle { seconds } => {
                write!(
                    f,
                    "cookie maxidle of {seconds} s: at most {most} s are allowed"
                )
            }
            Self::MaxLife { seconds } => {
                write!(
                    f,
                    "cookie maxlife of {seconds} s: at most {most} s are allowed"
                )
            }
        }
    }
}

impl std::error::Error for CookieProblem {}

pub(super) fn of(policy: &CookiePolicy) -> Vec<CookieProblem> {
    let seconds = |limit: Option<std::time::Duration>| limit.map_or(0, |limit| limit.as_secs());
    let (maxidle, maxlife) = (seconds(policy.maxidle()), seconds(policy.maxlife()));
    let most = CookiePolicy::MAX_AGE.as_secs();
    let found = |bytes: &[u8]| bytes.escape_ascii().to_string();

    let mut problems = Vec::new();
    if !is_name(policy.name()) {
        problems.push(CookieProblem::Name {
            found: found(policy.name()),
        });
    }
    let bad_domains = policy.domains().filter(|domain| !is_domain(domain));
    problems.extend(bad_domains.map(|domain| CookieProblem::Domain {
        found: found(domain),
    }));
    let bad_attrs = policy.attrs().filter(|attr| !is_attr(attr));
    problems.extend(bad_attrs.map(|attr| CookieProblem::Attr { found: found(attr) }));
    if maxidle > most {
        problems.push(CookieProblem::MaxIdle { seconds: maxidle });
    }
    if maxlife > most {
        problems.push(CookieProblem::MaxLife { seconds: maxlife });
    }
    problems
}

fn is_name(name: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name[0] != b'$' && name.iter().all(token)
}

pub(super) fn is_domain(domain: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !domain.is_empty() && domain.iter().all(allowed)
}

pub(super) fn is_attr(attr: &[u8]) -> bool {
    let allowed = |byte: &u8| !byte.is_ascii_control() && *byte != b';';
    !attr.is_empty() && attr.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_never_match_are_refused() {
        for name in ["", "S D", "S=D", "S;D", "\"S\"", "$S", "é", "a\r\n"] {
            let problems = CookiePolicy::from(CookiePolicy::passive(name)).problems();
            assert!(
                matches!(&problems[..], [CookieProblem::Name { .. }]),
                "{name:?}"
            );
        }
        let odd = CookiePolicy::from(CookiePolicy::passive("!#$%&'*+-.^_`|~"));
        assert!(odd.problems().is_empty());
    }

    #[test]
    fn every_problem_is_told_with_what_was_found() {
        let policy: CookiePolicy = CookiePolicy::insert("SRV")
            .domain("a/b")
            .domain("")
            .attr("x;y")
            .attr("x\ny")
            .into();
        let texts: Vec<_> = policy.problems().iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 4);
        for (text, found) in texts.iter().zip(["a/b", "\"\"", "x;y", r"x\ny"]) {
            assert!(text.contains(found), "{text}");
        }
    }
}
