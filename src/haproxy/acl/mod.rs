//! Conditions: `if is_static !METH_POST or { hdr(host) -m found }`.

mod condition;
mod criterion;
mod error;
mod network;
mod pattern;
mod predefined;
mod range;
mod split;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::expression::{self, Reference};
use crate::words::{self, Word};

pub use condition::AclCondition;
use criterion::Criterion;
pub use error::{AclError, AclProblem};
pub(super) use split::SplitCondition;

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
/// `_dom`, `_end`, `_len`, `_reg` or `_sub`. Where it may have several values, like a header
/// without a number, any of them may match.
///
/// | flags | |
/// |---|---|
/// | `-i` | letters match in either case |
/// | `-m` | `str` `beg` `end` `sub` `dir` `dom` `len` `reg` `int` `ip` `bin` `bool` or `found` instead of what the type suggests |
/// | `-n` | host names are no addresses, which is always so here |
/// | `--` | no flags behind this |
///
/// Regular expressions are those of a [`Pattern`](super::Pattern). Files of patterns and unique ids are not supported.
///
/// Predefined, as in HAProxy 2.6: `TRUE` `FALSE` `HTTP` `HTTP_CONTENT` `HTTP_URL_ABS`
/// `HTTP_URL_SLASH` `HTTP_URL_STAR` `LOCALHOST` `METH_CONNECT` `METH_DELETE` `METH_GET`
/// `METH_HEAD` `METH_OPTIONS` `METH_POST` `METH_PUT` `METH_TRACE` `RDP_COOKIE`
/// `REQ_CONTENT` `WAIT_END`.
#[derive(Clone, Debug, Default)]
pub struct Acls {
    named: BTreeMap<String, Named>,
}

/// The tests that share a name.
#[derive(Clone, Debug, Default)]
struct Named {
    /// Where in a configuration the first of them is: conditions before it do not know
    /// the name.
    since: u64,
    criteria: Arc<Vec<Criterion>>,
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
        let mut references = Vec::new();
        let (words, end) = (split(text)?, text.len());
        let (name, criterion) = declaration(&words, end, &mut references)?;
        no_tables(references)?;
        self.add(name, criterion, 0);
        Ok(())
    }

    /// As [`declare`](Self::declare), with the words of a line that ends at `end`;
    /// `place` grows from line to line. Tables are added to `references`.
    pub(super) fn declare_words(
        &mut self,
        words: &[Word],
        end: usize,
        place: u64,
        references: &mut Vec<Reference>,
    ) -> Result<(), AclError> {
        let (name, criterion) = declaration(words, end, references)?;
        self.add(name, criterion, place);
        Ok(())
    }

    /// Makes a name known whose test cannot be read: of a configuration that is refused.
    pub(super) fn declare_broken(&mut self, name: &[u8], place: u64) {
        let name = String::from_utf8_lossy(name).into_owned();
        let named = self.named.entry(name);
        named.or_insert_with(|| Named {
            since: place,
            criteria: Arc::default(),
        });
    }

    fn add(&mut self, name: String, criterion: Criterion, place: u64) {
        let named = self.named.entry(name);
        let named = named.or_insert_with(|| Named {
            since: place,
            criteria: Arc::default(),
        });
        Arc::make_mut(&mut named.criteria).push(criterion);
    }

    /// Reads a condition: `if` or `unless`, then ACLs by name or between braces, in
    /// groups of which all must hold, separated by `or` or `||`. `!` negates an ACL.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn condition(&self, text: impl AsRef<[u8]>) -> Result<AclCondition, AclError> {
        let text = text.as_ref();
        let mut references = Vec::new();
        let (words, end) = (split(text)?, text.len());
        let condition = self.condition_words(&words, end, u64::MAX, &mut references)?;
        no_tables(references).map(|()| condition)
    }

    /// As [`condition`](Self::condition), with the words of a line at `place`. Tables are
    /// added to `references`.
    pub(super) fn condition_words(
        &self,
        words: &[Word],
        end: usize,
        place: u64,
        references: &mut Vec<Reference>,
    ) -> Result<AclCondition, AclError> {
        no_empty_word(words)?;
        condition::read(self, words, end, place, references)
    }

    fn find(&self, name: &Word, place: u64) -> Result<Arc<Vec<Criterion>>, AclError> {
        let text = String::from_utf8_lossy(&name.bytes);
        let named = self.named.get(&*text);
        if let Some(named) = named.filter(|named| named.since <= place) {
            return Ok(Arc::clone(&named.criteria));
        }
        match predefined::find(&text) {
            Some(predefined) => Ok(Arc::new(vec![predefined])),
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

/// The name of an ACL, and one test.
fn declaration(
    words: &[Word],
    end: usize,
    references: &mut Vec<Reference>,
) -> Result<(String, Criterion), AclError> {
    no_empty_word(words)?;
    let Some((name, rest)) = words.split_first() else {
        return Err(error::missing(end, "the name of an ACL"));
    };
    let criterion = criterion::read(rest, end, references)?;
    Ok((name_of(name)?, criterion))
}

fn no_tables(references: Vec<Reference>) -> Result<(), AclError> {
    let start = references.first().map_or(0, |reference| reference.start);
    expression::no_tables(references).map_err(|error| {
        let position = start + error.position();
        error::at(position, AclProblem::Expression(error))
    })
}

fn split(text: &[u8]) -> Result<Vec<Word>, AclError> {
    words::split(text).map_err(|fault| {
        let expected = "closed quotes, \\xHH, and no $ between double quotes";
        error::unexpected(fault.position, &text[fault.position..], expected)
    })
}

/// HAProxy takes an empty word for the end of the line.
fn no_empty_word(words: &[Word]) -> Result<(), AclError> {
    match words.iter().find(|word| word.bytes.is_empty()) {
        Some(empty) => Err(error::unexpected(empty.position, b"", "a word")),
        None => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Moment;
    use crate::{Condition, SimpleRequest, SimpleResponse};

    fn request() -> SimpleRequest {
        SimpleRequest::new("GET", "/a/b?s=1&s=2")
            .source("10.1.2.3".parse().unwrap())
            .header("X", "a, b")
            .header("Cookie", "s=1; s=2")
    }

    fn holds(condition: &str) -> bool {
        let condition = Acls::new().condition(condition).expect(condition);
        condition.on_request(&request())
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn any_value_may_match_unless_one_is_named() {
        for condition in [
            "if { hdr(x) a }",
            "if { hdr(x) b }",
            "if { hdr(x,-1) b }",
            "if { urlp(s) 2 } { req.cook(s) 1 } { req.cook(s) 2 }",
            "if { hdr(x) -m found } !{ hdr(y) -m found }",
            "if { hdr_cnt(x) gt 1 lt 9 }",
            "if { path_end -i B } !{ path_end B }",
            "if { path_beg,lower /a/b }",
            "if { path_beg -m end b }",
            "if { src 10.0.0.0/8 ::1 }",
            "if { method -m beg G } METH_GET",
            "if { path_reg ^/a } { path_reg -i ^/A } !{ path_reg ^/A }",
            "if { hdr_reg(x) ^b$ } !{ hdr_reg(x,1) ^b$ } { hdr_reg(x) z ^b$ }",
            "if { hdr(x) -m reg ^a$ } { hdr_beg(x) -m reg ^b$ } { hdr_reg(x) -m beg b }",
            "if { path_reg,upper /A/B } { src -m reg ^10[.] } { method -m reg ^G }",
            "if { hdr_cnt(x) -m reg ^[0-9]+$ } { url_reg 2$ } { urlp_reg(s) ^2 }",
            "if { cook_reg(s) ^1 } { base_reg ^/a } { hdr_reg(x) -i -- ^A }",
        ] {
            assert!(holds(condition), "{condition}");
        }
        for condition in [
            "if { hdr(x,-1) a }",
            "if { method get }",
            "if { method -i get }",
            "if { hdr(y) -m len 0 }",
        ] {
            assert!(!holds(condition), "{condition}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn groups_are_alternatives_and_their_terms_are_not() {
        for condition in [
            "if TRUE FALSE or TRUE",
            "if TRUE || TRUE FALSE",
            "if !! TRUE",
            "if ! FALSE !FALSE",
            "unless FALSE",
            "unless TRUE FALSE",
            "if ! { path /x }",
        ] {
            assert!(holds(condition), "{condition}");
        }
        for condition in ["if ! TRUE", "unless TRUE", "if TRUE !TRUE or FALSE"] {
            assert!(!holds(condition), "{condition}");
        }
    }

    #[test]
    fn predefined_names_hold_as_in_haproxy() {
        for (name, expected) in [
            ("HTTP_URL_ABS", false),
            ("HTTP_URL_SLASH", true),
            ("HTTP", true),
            ("LOCALHOST", false),
            ("WAIT_END", true),
            ("METH_HEAD", false),
            ("HTTP_CONTENT", false),
        ] {
            assert_eq!(holds(&format!("if {name}")), expected, "{name}");
        }
        let absolute = Acls::new().condition("if HTTP_URL_ABS").unwrap();
        assert!(absolute.on_request(&SimpleRequest::new("GET", "http://h/")));
    }

    #[test]
    fn a_declared_name_hides_a_predefined_one() {
        let mut acls = Acls::new();
        acls.declare("TRUE path /x").unwrap();
        assert!(!acls.condition("if TRUE").unwrap().on_request(&request()));
        acls.declare("TRUE path -m found").unwrap();
        assert!(acls.condition("if TRUE").unwrap().on_request(&request()));
    }

    #[test]
    fn marks_of_negation_count_in_pairs_however_many_there_are() {
        let marks = |count| "!".repeat(count);
        assert!(holds("if !! ! !FALSE") == holds("if FALSE"));
        assert!(holds("if !!! FALSE"));
        assert!(holds(&format!("if {}TRUE", marks(1 << 20))));
        assert!(!holds(&format!(
            "if {} {{ always_true }}",
            marks((1 << 20) + 1)
        )));
        let unknown = Acls::new().condition("if !!! !nosuch").unwrap_err();
        assert_eq!(unknown.position(), 8);
    }

    #[test]
    fn a_condition_tells_which_message_it_needs() {
        let condition = Acls::new()
            .condition("if { status 200 } { res.hdr(x) a }")
            .unwrap();
        assert!(condition.is_available(Moment::Response));
        assert!(!condition.is_available(Moment::Request));
        let response = SimpleResponse::new(200).header("X", "a,b");
        assert!(condition.on_response(&response));
        assert!(!Condition::from(condition).holds(&request()));
        let source = Acls::new().condition("if { src 10.1.2.3 }").unwrap();
        assert!(!source.is_available(Moment::Response));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let table = [
            ("", "character 1: the line ends; expected if or unless"),
            (
                "when TRUE",
                "character 1: found \"when\"; expected if or unless",
            ),
            (
                "if",
                "character 3: the line ends; expected the name of an ACL",
            ),
            (
                "if TRUE or",
                "character 11: the line ends; expected the name",
            ),
            ("if or TRUE", "character 4: found \"or\"; expected the name"),
            ("if !", "character 5: the line ends"),
            ("if nosuch", "character 4: there is no ACL \"nosuch\""),
            (
                "if HTTP_1.1",
                "character 4: \"HTTP_1.1\" is not supported yet",
            ),
            (
                "if { path /a",
                "character 4: found \"{\"; expected a } behind it",
            ),
            ("if { }", "character 6: the line ends; expected a criterion"),
            ("if {path /a}", "character 4: there is no ACL \"{path\""),
            (
                "if { path }",
                "character 11: the line ends; expected a pattern",
            ),
        ];
        check_errors(&table);
    }

    #[test]
    fn what_is_wrong_in_a_criterion_is_told_with_its_place() {
        let table = [
            (
                "if { pth /a }",
                "character 6: in the criterion, character 1: there is no fetch",
            ),
            (
                "if { src_conn_cur gt 1 }",
                "character 6: in the criterion, character 1: \"src_conn_cur\" reads a stick table",
            ),
            (
                "if TRUE { src,in_table(t) }",
                "character 24: in the criterion, character 14: \"in_table\" reads a stick",
            ),
            (
                "if { path,lowr /a }",
                "character 11: in the criterion, character 6",
            ),
            (
                "if { path_reg ^/ (a }",
                "character 18: in the pattern, character 1: no regular expression",
            ),
            (
                "if { path -m reg ^/(?=a) }",
                "character 20: in the pattern, character 3: \"(?=\": look-around",
            ),
            (
                "if { payload_reg(0,3) a }",
                "character 6: in the criterion, character 1: there is no fetch",
            ),
            (
                "if { path -f x }",
                "character 11: \"-f\" is not supported yet",
            ),
            (
                "if { path -m foo x }",
                "character 14: found \"foo\"; expected str",
            ),
            (
                "if { path -m }",
                "character 14: the line ends; expected str",
            ),
            ("if { path -x }", "character 11: found \"-x\"; expected -i"),
            (
                "if { hdr_cnt(x) foo }",
                "character 17: found \"foo\"; expected a whole number",
            ),
            (
                "if { src host }",
                "character 10: found \"host\"; expected an address",
            ),
            (
                "if { path -m bin 2f6 }",
                "character 18: found \"2f6\"; expected pairs",
            ),
            ("if { base32+src 1 }", "character 6: binary needs -m"),
            (
                "if { base32+src -m int 1 }",
                "character 6: binary cannot become an integer",
            ),
            (
                "if { ssl_fc 1 }",
                "character 13: found \"1\"; expected nothing",
            ),
            (
                "if { path_dir / }",
                "character 15: found \"/\"; expected something",
            ),
            (
                "if { path \"\" }",
                "character 11: found \"\"; expected a word",
            ),
            (
                "if { path \"a }",
                "character 11: found \"\\\"a }\"; expected closed quotes",
            ),
        ];
        check_errors(&table);
    }

    fn check_errors(table: &[(&str, &str)]) {
        for (condition, expected) in table {
            let error = Acls::new().condition(condition).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{condition}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_declaration_is_told_with_its_place() {
        let mut acls = Acls::new();
        for (acl, expected) in [
            (
                "",
                "character 1: the line ends; expected the name of an ACL",
            ),
            ("a{b path /", "character 1: found \"a{b\"; expected a name"),
            ("a", "character 2: the line ends; expected a criterion"),
            (
                "a src,in_table(t)",
                "character 16: in the criterion, character 14: \"in_table\" reads",
            ),
        ] {
            let error = acls.declare(acl).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{acl}: {error}");
        }
    }
}
