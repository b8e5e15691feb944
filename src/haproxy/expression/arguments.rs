//! Names, and arguments in parentheses.

use super::error::{ExpressionError, ExpressionProblem, problem};
use crate::pattern::PatternError;
use crate::text::leading_number;

/// Reads the text of an expression from left to right.
pub(super) struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

struct Argument {
    bytes: Vec<u8>,
    position: usize,
}

/// The arguments of one fetch or converter, taken one after the other.
pub(super) struct Arguments {
    of: String,
    list: Vec<Argument>,
    taken: usize,
    /// Behind the last argument, or behind the name if there are none.
    end: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Up to the first byte that is in no name.
    pub(super) fn name(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-".contains(byte);
        let length = rest.iter().take_while(|byte| is_name(byte)).count();
        self.at += length;
        std::str::from_utf8(&rest[..length]).unwrap_or_default()
    }

    /// Whether a comma comes, which is taken, or the end.
    pub(super) fn comma(&mut self) -> Result<bool, ExpressionError> {
        match self.peek() {
            None => Ok(false),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => {
                let found = printable(&self.text[self.at..]);
                Err(problem(self.at, ExpressionProblem::Junk { found }))
            }
        }
    }

    pub(super) fn arguments(&mut self, of: &str) -> Result<Arguments, ExpressionError> {
        let open = self.at;
        let mut list = Vec::new();
        if self.peek() == Some(b'(') {
            list.push(self.argument()?);
            while self.peek() == Some(b',') {
                list.push(self.argument()?);
            }
            if self.peek().is_none() {
                return Err(problem(open, ExpressionProblem::Unclosed));
            }
            self.at += 1;
        }
        // `x()` is `x`.
        if matches!(&list[..], [only] if only.bytes.is_empty()) {
            list.clear();
        }
        Ok(Arguments {
            of: of.to_owned(),
            list,
            taken: 0,
            end: self.at,
        })
    }

    /// What stands between the byte here, a parenthesis or a comma, and the next one.
    fn argument(&mut self) -> Result<Argument, ExpressionError> {
        self.at += 1;
        let position = self.at;
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b')' => break,
                b'\'' | b'"' => self.quoted(byte, &mut bytes)?,
                _ => bytes.push(self.byte(true)),
            }
        }
        Ok(Argument { bytes, position })
    }

    fn quoted(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), ExpressionError> {
        let open = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            if byte == quote {
                self.at += 1;
                return Ok(());
            }
            out.push(self.byte(quote == b'"'));
        }
        Err(problem(open, ExpressionProblem::Unclosed))
    }

    /// The byte here, or the one an escape stands for.
    fn byte(&mut self, reads_escapes: bool) -> u8 {
        let rest = &self.text[self.at..];
        let (byte, length) = match *rest {
            [b'\\', byte, ..] if reads_escapes => match byte {
                b' ' | b'\\' | b'"' | b'\'' => (byte, 2),
                b'n' => (b'\n', 2),
                b'r' => (b'\r', 2),
                b't' => (b'\t', 2),
                _ => (b'\\', 1),
            },
            _ => (rest[0], 1),
        };
        self.at += length;
        byte
    }
}

impl Arguments {
    /// The next argument; `None` if it is left out.
    fn next(&mut self) -> Option<&Argument> {
        self.taken += 1;
        let argument = self.list.get(self.taken - 1)?;
        (!argument.bytes.is_empty()).then_some(argument)
    }

    pub(super) fn optional(&mut self) -> Option<&[u8]> {
        self.next().map(|argument| &argument.bytes[..])
    }

    pub(super) fn required(&mut self, expected: &'static str) -> Result<&[u8], ExpressionError> {
        self.taken += 1;
        let argument = self.list.get(self.taken - 1);
        match argument.filter(|argument| !argument.bytes.is_empty()) {
            Some(argument) => Ok(&argument.bytes),
            None => Err(self.missing(expected)),
        }
    }

    fn missing(&self, expected: &'static str) -> ExpressionError {
        let missing = ExpressionProblem::MissingArgument {
            of: self.of.clone(),
            number: self.taken,
            expected,
        };
        problem(self.here(), missing)
    }

    /// The next argument made something of, or `None` if it is left out.
    pub(super) fn parse<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ExpressionError> {
        let Some(text) = self.optional() else {
            return Ok(None);
        };
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(self.unexpected(expected)),
        }
    }

    /// The next argument made something of, which may be empty.
    pub(super) fn parse_even_empty<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, ExpressionError> {
        self.taken += 1;
        match self.list.get(self.taken - 1) {
            Some(argument) => parse(&argument.bytes).ok_or_else(|| self.unexpected(expected)),
            None => Err(self.missing(expected)),
        }
    }

    pub(super) fn parse_required<T>(
        &mut self,
        expected: &'static str,
        make: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, ExpressionError> {
        let value = self.parse(expected, make)?;
        value.ok_or_else(|| self.missing(expected))
    }

    /// The argument taken last means nothing.
    fn unexpected(&self, expected: &'static str) -> ExpressionError {
        let argument = ExpressionProblem::Argument {
            of: self.of.clone(),
            number: self.taken,
            found: self.found(),
            expected,
        };
        problem(self.here(), argument)
    }

    /// The argument taken last means something to HAProxy only.
    pub(super) fn not_supported(&self) -> ExpressionError {
        let argument = ExpressionProblem::NotSupportedArgument {
            of: self.of.clone(),
            number: self.taken,
            found: self.found(),
        };
        problem(self.here(), argument)
    }

    /// The argument that is there is no pattern.
    pub(super) fn no_pattern(&self, at: usize, error: PatternError) -> ExpressionError {
        let of = self.of.clone();
        problem(at, ExpressionProblem::Pattern { of, error })
    }

    fn found(&self) -> String {
        let argument = self.list.get(self.taken.saturating_sub(1));
        argument.map_or_else(String::new, |argument| printable(&argument.bytes))
    }

    /// Name of the fetch or converter.
    pub(super) fn of(&self) -> &str {
        &self.of
    }

    /// Where the argument taken last is, or would be.
    pub(super) fn here(&self) -> usize {
        let argument = self.list.get(self.taken.saturating_sub(1));
        argument.map_or(self.end, |argument| argument.position)
    }

    pub(super) fn end(&mut self) -> Result<(), ExpressionError> {
        if self.list.len() <= self.taken {
            return Ok(());
        }
        self.taken += 1;
        let extra = ExpressionProblem::ExtraArgument {
            of: self.of.clone(),
            number: self.taken,
        };
        Err(problem(self.here(), extra))
    }
}

/// A decimal number with an optional sign, at the nearest limit if it is beyond 64 bits.
pub(in crate::haproxy) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| leading_number(text))
}

/// A decimal number from 0 that fits.
pub(super) fn unsigned<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    integer(text)?.try_into().ok()
}

fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
