//! Texts with samples in them: `be-%[hdr(host),lower]`.

use std::fmt;

use crate::fetch::{Expression, FindTable, Moment};
use crate::haproxy::ExpressionError;
use crate::haproxy::expression::{self, Reference};
use crate::message::{Request, Response};
use crate::sample::Sample;

/// A text with the values of sample expressions in it, as HAProxy's formats have them.
///
/// `%[EXPRESSION]` stands for the value, and for nothing where there is none; `%%` is a
/// percent sign. The variables of log formats, like `%ci`, are refused.
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
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Vec<u8>),
    Sample(Expression),
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place. A sample of a stick table is: see
    /// [`Routing::format`](super::Routing::format).
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, FormatError> {
        let (format, references) = Self::read(text.as_ref())?;
        let start = references.first().map_or(0, |reference| reference.start);
        let refused = expression::no_tables(references);
        refused.map_err(|found| of_expression(start, found))?;
        Ok(format)
    }

    /// Reads a format with the tables that `find` knows.
    pub(super) fn with_tables(text: &[u8], find: &FindTable<'_>) -> Result<Self, FormatError> {
        let (mut format, references) = Self::read(text)?;
        let unknown = references
            .iter()
            .find(|reference| find(reference.table.as_deref()).is_none());
        if let Some(Reference {
            start,
            position,
            table,
            ..
        }) = unknown
        {
            let name = table.as_deref().unwrap_or("of this section");
            let found = expression::unknown_table(*position, name);
            return Err(of_expression(*start, found));
        }
        for part in &mut format.parts {
            if let Part::Sample(expression) = part {
                expression.bind(find);
            }
        }
        Ok(format)
    }

    /// A format, and the tables named in it.
    fn read(text: &[u8]) -> Result<(Self, Vec<Reference>), FormatError> {
        let mut references = Vec::new();
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(offset) = memchr::memchr(b'%', &text[at..]) {
            let percent = at + offset;
            add_text(&mut parts, &text[at..percent]);
            at = match text.get(percent + 1) {
                Some(b'%') => {
                    add_text(&mut parts, b"%");
                    percent + 2
                }
                Some(b'[') => {
                    let (expression, end) = sample(text, percent + 2, &mut references)?;
                    parts.push(Part::Sample(expression));
                    end + 1
                }
                _ => return Err(error(percent, FormatProblem::Variable)),
            };
        }
        add_text(&mut parts, &text[at..]);
        Ok((Self { parts }, references))
    }

    /// The text for a request.
    pub fn on_request(&self, request: &dyn Request) -> Vec<u8> {
        self.fill(|expression, text| add_sample(expression.on_request(request), text))
    }

    /// The text for a response; what needs the request is not found there.
    pub fn on_response(&self, response: &dyn Response) -> Vec<u8> {
        self.fill(|expression, text| add_sample(expression.on_response(response), text))
    }

    /// Whether all its samples may have a value at that moment.
    pub fn is_available(&self, moment: Moment) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(_) => true,
            Part::Sample(expression) => expression.is_available(moment),
        })
    }

    fn fill(&self, mut add: impl FnMut(&Expression, &mut Vec<u8>)) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.extend_from_slice(part),
                Part::Sample(expression) => add(expression, &mut text),
            }
        }
        text
    }
}

fn add_sample(sample: Option<Sample<'_>>, text: &mut Vec<u8>) {
    if let Some(sample) = sample {
        sample.with_text(|value| text.extend_from_slice(value));
    }
}

fn add_text(parts: &mut Vec<Part>, text: &[u8]) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.extend_from_slice(text),
        _ => parts.push(Part::Text(text.to_vec())),
    }
}

/// The expression that begins at `start`, and where its `]` is.
fn sample(
    text: &[u8],
    start: usize,
    references: &mut Vec<Reference>,
) -> Result<(Expression, usize), FormatError> {
    let end = closing(&text[start..]).ok_or(error(start - 2, FormatProblem::Unclosed))?;
    let mut found = Vec::new();
    let read = expression::read(&text[start..start + end], None, &mut found);
    let read = read.map_err(|found| of_expression(start, found))?;
    references.extend(found.into_iter().map(|found| Reference { start, ..found }));
    Ok((read, start + end))
}

/// The first `]` that is neither quoted nor within parentheses.
fn closing(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    text.iter().position(|&byte| {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') => depth = depth.saturating_sub(1),
            (None, b']') => return depth == 0,
            _ => {}
        }
        false
    })
}

/// A format that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    position: usize,
    problem: FormatProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FormatProblem {
    Variable,
    Unclosed,
    Expression(ExpressionError),
}

fn error(position: usize, problem: FormatProblem) -> FormatError {
    FormatError { position, problem }
}

fn of_expression(start: usize, found: ExpressionError) -> FormatError {
    let position = start + found.position();
    error(position, FormatProblem::Expression(found))
}

impl FormatError {
    /// Where it is: so many bytes from the start of the text.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: ", self.position + 1)?;
        match &self.problem {
            FormatProblem::Variable => f.write_str(
                "% begins nothing that is supported; expected %[EXPRESSION], or %% for a percent sign",
            ),
            FormatProblem::Unclosed => f.write_str("nothing closes %["),
            FormatProblem::Expression(error) => error.problem().fmt(f),
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            FormatProblem::Expression(error) => Some(error),
            _ => None,
        }
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
    fn a_bracket_in_an_argument_does_not_end_the_expression() {
        assert_eq!(filled("%[path,field(2,])]"), "b");
        assert_eq!(filled("%[path,field(2,']')]]"), "b]");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (format, expected) in [
            ("a%ci", "character 2: % begins nothing"),
            ("100%", "character 4: % begins nothing"),
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
