//! Texts with samples in them: `be-%[hdr(host),lower]`.

mod error;
mod pieces;
mod style;

pub use error::FormatError;
pub(super) use error::{FormatProblem, error};
pub(super) use pieces::{Piece, Pieces};
pub(super) use style::Style;

use crate::fetch::{Expression, FindTable, Moment};
use crate::message::{Request, Response};
use crate::sample::Sample;

/// A text with the values of sample expressions in it, as HAProxy's formats have them.
///
/// `%[EXPRESSION]` stands for the value, and for nothing where there is none;
/// `%{+Q}[EXPRESSION]` puts it in quotes, `%{+E}[EXPRESSION]` escapes `"`, `\` and `]`;
/// `%%` is a percent sign. The variables of log formats, like `%ci`, are refused: a
/// [`LogFormat`](super::LogFormat) has them.
///
/// ```
/// use stickroute::{SimpleRequest, haproxy::Format};
///
/// let format = Format::parse("be-%[hdr(host),host_only]-%[path,field(2,/)]")?;
/// let request = SimpleRequest::new("GET", "/eu/x").header("Host", "shop:80");
/// assert_eq!(format.on_request(&request), b"be-shop-eu");
/// # Ok::<(), stickroute::haproxy::FormatError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Format {
    /// No variables.
    pieces: Vec<Piece>,
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place. A sample of a stick table is: see
    /// [`Routing::format`](super::Routing::format).
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, FormatError> {
        Self::of(Pieces::read(text.as_ref())?.without_tables()?)
    }

    /// Reads a format with the tables that `find` knows.
    pub(super) fn with_tables(text: &[u8], find: &FindTable<'_>) -> Result<Self, FormatError> {
        Self::of(Pieces::read(text)?.with_tables(find)?)
    }

    fn of(pieces: Pieces) -> Result<Self, FormatError> {
        match pieces.first_variable {
            Some(position) => Err(error(position, FormatProblem::NoVariables)),
            None => Ok(Self {
                pieces: pieces.list,
            }),
        }
    }

    /// The text for a request.
    pub fn on_request(&self, request: &dyn Request) -> Vec<u8> {
        self.fill(|expression, add| add(expression.on_request(request)))
    }

    /// The text for a response; what needs the request is not found there.
    pub fn on_response(&self, response: &dyn Response) -> Vec<u8> {
        self.fill(|expression, add| add(expression.on_response(response)))
    }

    /// Whether all its samples may have a value at that moment.
    pub fn is_available(&self, moment: Moment) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Sample(_, expression) => expression.is_available(moment),
            Piece::Text(_) | Piece::Variable(..) => true,
        })
    }

    fn fill(&self, ask: impl Fn(&Expression, &mut dyn FnMut(Option<Sample<'_>>))) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(part) => text.extend_from_slice(part),
                Piece::Sample(style, expression) => ask(expression, &mut |sample| {
                    let mut add = |value: &[u8]| style.add(value, false, &mut text);
                    match sample {
                        Some(sample) => sample.with_text(add),
                        None => add(b""),
                    }
                }),
                Piece::Variable(..) => {}
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimpleRequest;

    fn filled(format: &str) -> String {
        let request = SimpleRequest::new("GET", "/a]b")
            .source("192.0.2.1".parse().unwrap())
            .header("X", "1, 2");
        let text = Format::parse(format).expect(format).on_request(&request);
        text.escape_ascii().to_string()
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn values_are_texts_and_missing_ones_are_empty() {
        let format = "a%[hdr(x)]b%%c%[int(5)]%[src] %[hdr(none)]|%[bin(6100ff)]|%[bool(1)]";
        assert_eq!(filled(format), "a2b%c5192.0.2.1 |a|1");
        assert_eq!(filled("plain"), "plain");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn flags_put_values_in_quotes_and_escape_them() {
        assert_eq!(filled("%{+E}[path]%{+Q,+E}o%[path]"), r#"/a\\]b\"/a\\]b\""#);
        assert_eq!(filled("%{+Q}[hdr(none)]"), r#"\"\""#);
    }

    #[test]
    fn a_bracket_in_an_argument_does_not_end_the_expression() {
        assert_eq!(filled("%[path,field(2,])]"), "b");
        assert_eq!(filled("%[path,field(2,']')]]"), "b]");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (format, expected) in [
            ("a%ci", "character 2: the variables of log formats"),
            ("100%", "character 4: % begins nothing"),
            ("% s", "character 1: % begins nothing"),
            ("%zz", "character 1: there is no variable %zz"),
            ("%{+Z}[path]", "character 1: expected flags"),
            ("%{+Q[path]", "character 1: expected flags"),
            ("%[path", "character 1: nothing closes %["),
            (
                "ab%[src_conn_cnt(t)]",
                "character 18: \"src_conn_cnt\" reads a stick table",
            ),
            ("ab%[pth]", "character 5: there is no fetch \"pth\""),
        ] {
            let error = Format::parse(format).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{format}: {error}");
        }
    }
}
