//! Rules that put something else in the place of what a regular expression matches.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use stickroute::haproxy::{LogFormat, Pattern, Replacement};

use crate::http::target::{self, TargetPart};

/// HAProxy: `replace-header`, `replace-value`, `replace-path` and so on.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) what: Rewritten,
    pub(crate) pattern: Pattern,
    /// What is made of it is read as a [`Replacement`], samples of clients included.
    pub(crate) replacement: LogFormat,
}

/// What is looked at.
#[derive(Debug)]
pub(crate) enum Rewritten {
    /// Every field of a name, as a whole.
    Lines(HeaderName),
    /// Each of their elements between commas.
    Elements(HeaderName),
    Target(TargetPart),
}

/// Something matches, and cannot be replaced.
pub(crate) struct Failed;

impl Rewrite {
    /// Rewrites a request; `text` is what the format has given.
    pub(crate) fn request(&self, parts: &mut Parts, text: &[u8]) -> Result<(), Failed> {
        let Rewritten::Target(part) = self.what else {
            return self.fields(&mut parts.headers, text);
        };
        let old = match part {
            TargetPart::Whole => Some(parts.uri.to_string()),
            part => parts
                .uri
                .path_and_query()
                .map(|it| here(it, part).to_owned()),
        };
        let old = old.unwrap_or_default();
        let new = attempt(text, |to| self.pattern.rewrite(old.as_bytes(), to))?;
        match new {
            Some(new) => target::set(parts, part, &new).ok_or(Failed),
            None => Ok(()),
        }
    }

    /// Rewrites the fields of a message. A value that no field can have stays as it was.
    pub(crate) fn fields(&self, headers: &mut HeaderMap, text: &[u8]) -> Result<(), Failed> {
        let (name, by_elements) = match &self.what {
            Rewritten::Lines(name) => (name, false),
            Rewritten::Elements(name) => (name, true),
            Rewritten::Target(_) => return Ok(()),
        };
        let Ok(fields) = headers.try_entry(name) else {
            return Ok(());
        };
        let hyper::header::Entry::Occupied(mut fields) = fields else {
            return Ok(());
        };
        for field in fields.iter_mut() {
            let new = attempt(text, |to| {
                if by_elements {
                    self.pattern.rewrite_elements(field.as_bytes(), to)
                } else {
                    self.pattern.rewrite(field.as_bytes(), to)
                }
            })?;
            let new = new.and_then(|new| HeaderValue::try_from(new).ok());
            if let Some(new) = new {
                *field = new;
            }
        }
        Ok(())
    }
}

/// A text that cannot be followed does no harm where nothing matches.
fn attempt(
    text: &[u8],
    rewrite: impl Fn(&Replacement) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Failed> {
    match Replacement::parse(text) {
        Ok(to) => Ok(rewrite(&to)),
        Err(_) if rewrite(&Replacement::default()).is_some() => Err(Failed),
        Err(_) => Ok(None),
    }
}

fn here(target: &PathAndQuery, part: TargetPart) -> &str {
    match part {
        TargetPart::Path => target.path(),
        _ => target.as_str(),
    }
}
