//! Conditions: `if is_static !METH_POST or { hdr(host) -m found }`.

mod condition;
mod criterion;
mod error;
mod network;
mod pattern;
mod predefined;
mod range;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::words::{self, Word};

pub use condition::AclCondition;
use criterion::Criterion;
pub use error::{AclError, AclProblem};

/// The named ACLs of a proxy, and the reader of conditions made of them.
///
/// ```
/// use stickroute::{Condition, SimpleRequest, haproxy};
///
/// let mut acls = haproxy::Acls::new();
/// acls.declare("is_static path_beg /img/ /css/")?;
/// acls.declare("is_static path_end -i .png .jpg")?;
/// let condition: Condition = acls.condition("if is_static !METH_POST")?.into();
/// assert!(condition.holds(&SimpleRequest::new("GET", "/logo.PNG")));
/// assert!(!condition.holds(&SimpleRequest::new("GET", "/cart")));
/// # Ok::<(), haproxy::AclError>(())
/// ```
///
/// A criterion is a sample expression (see [`expression`](super::expression)) or one of
/// `base`, `cook`, `hdr`, `path`, `scook`, `shdr`, `url` and `urlp` with `_beg`, `_dir`,
/// `_dom`, `_end`, `_len` or `_sub`. Where it may have several values, like a header
/// without a number, any of them may match.
///
/// | flags | |
/// |---|---|
/// | `-i` | letters match in either case |
/// | `-m` | `str` `beg` `end` `sub` `dir` `dom` `len` `int` `ip` `bin` `bool` or `found` instead of what the type suggests |
/// | `-n` | host names are no addresses, which is always so here |
/// | `--` | no flags behind this |
///
/// Regular expressions, files of patterns and unique ids are not supported.
///
/// Predefined, as in HAProxy 2.6: `TRUE` `FALSE` `HTTP` `HTTP_CONTENT` `HTTP_URL_ABS`
/// `HTTP_URL_SLASH` `HTTP_URL_STAR` `LOCALHOST` `METH_CONNECT` `METH_DELETE` `METH_GET`
/// `METH_HEAD` `METH_OPTIONS` `METH_POST` `METH_PUT` `METH_TRACE` `RDP_COOKIE`
/// `REQ_CONTENT` `WAIT_END`.
#[derive(Clone, Debug, Default)]
pub struct Acls {
    named: BTreeMap<String, Vec<Arc<Criterion>>>,
}

impl Acls {
    /// No names but the predefined ones.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a test to an ACL: a name, a criterion, flags and patterns. An ACL holds when
    /// any of its tests does. HAProxy: what follows the keyword `acl`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place. Nothing was added then.
    pub fn declare(&mut self, text: impl AsRef<[u8]>) -> Result<(), AclError> {
        let text = text.as_ref();
        let words = split(text)?;
        let Some((name, rest)) = words.split_first() else {
            return Err(error::missing(text.len(), "the name of an ACL"));
        };
        let criterion = criterion::read(rest, text.len())?;
        let name = name_of(name)?;
        self.named
            .entry(name)
            .or_default()
            .push(Arc::new(criterion));
        Ok(())
    }

    /// Reads a condition: `if` or `unless`, then ACLs by name or between braces, in
    /// groups of which all must hold, separated by `or` or `||`. `!` negates an ACL.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn condition(&self, text: impl AsRef<[u8]>) -> Result<AclCondition, AclError> {
        let text = text.as_ref();
        condition::read(self, &split(text)?, text.len())
    }

    fn find(&self, name: &Word) -> Result<Vec<Arc<Criterion>>, AclError> {
        let text = String::from_utf8_lossy(&name.bytes);
        if let Some(criteria) = self.named.get(&*text) {
            return Ok(criteria.clone());
        }
        match predefined::find(&text) {
            Some(predefined) => Ok(vec![Arc::new(predefined)]),
            None if predefined::is_known(&text) => Err(error::at(
                name.position,
                AclProblem::NotSupported { found: text.into() },
            )),
            None => Err(error::at(
                name.position,
                AclProblem::UnknownAcl { found: text.into() },
            )),
        }
    }
}

fn split(text: &[u8]) -> Result<Vec<Word>, AclError> {
    let words = words::split(text).map_err(|fault| {
        let expected = "closed quotes, \\xHH, and no $ between double quotes";
        error::unexpected(fault.position, &text[fault.position..], expected)
    })?;
    match words.iter().find(|word| word.bytes.is_empty()) {
        // HAProxy takes an empty word for the end of the line.
        Some(empty) => Err(error::unexpected(empty.position, b"", "a word")),
        None => Ok(words),
    }
}

fn name_of(word: &Word) -> Result<String, AclError> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    match std::str::from_utf8(&word.bytes) {
        Ok(name) if name.bytes().all(|byte| is_name(&byte)) => Ok(name.to_owned()),
        _ => {
            let expected = "a name of letters, digits, -, _, . and :";
            Err(error::unexpected(word.position, &word.bytes, expected))
        }
    }
}
