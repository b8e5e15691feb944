//! A format, taken apart.

use super::error::{FormatError, FormatProblem, error, of_expression};
use super::style::Style;
use crate::fetch::{Expression, FindTable};
use crate::haproxy::expression::{self, Reference};
use crate::haproxy::log::Variable;

/// One piece of a format.
#[derive(Clone, Debug)]
pub(in crate::haproxy) enum Piece {
    Text(Vec<u8>),
    /// `%[EXPRESSION]`
    Sample(Style, Expression),
    /// `%name`
    Variable(Style, Variable),
}

/// The pieces of a format, and what has to be known about them.
#[derive(Debug)]
pub(in crate::haproxy) struct Pieces {
    pub(in crate::haproxy) list: Vec<Piece>,
    references: Vec<Reference>,
    /// Where the first variable is.
    pub(in crate::haproxy) first_variable: Option<usize>,
    /// Where samples are, in their order.
    pub(in crate::haproxy) samples: Vec<usize>,
}

impl Pieces {
    pub(in crate::haproxy) fn read(text: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader {
            text,
            at: 0,
            style: Style::default(),
            pieces: Self {
                list: Vec::new(),
                references: Vec::new(),
                first_variable: None,
                samples: Vec::new(),
            },
        };
        while let Some(offset) = memchr::memchr(b'%', &text[reader.at..]) {
            let percent = reader.at + offset;
            reader.add_text(&text[reader.at..percent]);
            reader.at = percent + 1;
            reader.item(percent)?;
        }
        reader.add_text(&text[reader.at..]);
        Ok(reader.pieces)
    }

    /// That no sample reads a table.
    pub(in crate::haproxy) fn without_tables(self) -> Result<Self, FormatError> {
        let start = self
            .references
            .first()
            .map_or(0, |reference| reference.start);
        let refused = expression::no_tables(self.references);
        refused.map_err(|found| of_expression(start, found))?;
        Ok(Self {
            references: Vec::new(),
            ..self
        })
    }

    /// Gives samples the tables that `find` knows.
    pub(in crate::haproxy) fn with_tables(
        mut self,
        find: &FindTable<'_>,
    ) -> Result<Self, FormatError> {
        let mut references = self.references.iter();
        let unknown = references.find(|reference| find(reference.table.as_deref()).is_none());
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
        for piece in &mut self.list {
            if let Piece::Sample(_, expression) = piece {
                expression.bind(find);
            }
        }
        Ok(self)
    }
}

struct Reader<'t> {
    text: &'t [u8],
    /// What is read next.
    at: usize,
    /// What `%{...}o` has set.
    style: Style,
    pieces: Pieces,
}

impl Reader<'_> {
    fn add_text(&mut self, text: &[u8]) {
        match self.pieces.list.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.extend_from_slice(text),
            _ => self.pieces.list.push(Piece::Text(text.to_vec())),
        }
    }

    /// What is behind a percent sign.
    fn item(&mut self, percent: usize) -> Result<(), FormatError> {
        if self.text.get(self.at) == Some(&b'%') {
            self.at += 1;
            self.add_text(b"%");
            return Ok(());
        }
        let style = self.flags(percent)?;
        match self.text.get(self.at) {
            Some(b'[') => self.sample(percent, style),
            Some(byte) if byte.is_ascii_alphabetic() => self.variable(percent, style),
            _ => Err(error(percent, FormatProblem::Nothing)),
        }
    }

    fn flags(&mut self, percent: usize) -> Result<Style, FormatError> {
        if self.text.get(self.at) != Some(&b'{') {
            return Ok(self.style);
        }
        let flags = &self.text[self.at + 1..];
        let refused = error(percent, FormatProblem::Flags);
        let Some(length) = memchr::memchr(b'}', flags) else {
            return Err(refused);
        };
        self.at += length + 2;
        self.style.changed(&flags[..length]).ok_or(refused)
    }

    fn sample(&mut self, percent: usize, style: Style) -> Result<(), FormatError> {
        let start = self.at + 1;
        let rest = &self.text[start..];
        let length = closing(rest).ok_or(error(percent, FormatProblem::Unclosed))?;
        let mut found = Vec::new();
        let read = expression::read(&rest[..length], None, &mut found);
        let read = read.map_err(|found| of_expression(start, found))?;
        let found = found.into_iter();
        let found = found.map(|found| Reference { start, ..found });
        self.pieces.references.extend(found);
        self.pieces.list.push(Piece::Sample(style, read));
        self.pieces.samples.push(percent);
        self.at = start + length + 1;
        Ok(())
    }

    fn variable(&mut self, percent: usize, style: Style) -> Result<(), FormatError> {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
        let name = &rest[..length.unwrap_or(rest.len())];
        self.at += name.len();
        if name == b"o" {
            self.style = style;
            return Ok(());
        }
        let unknown = || FormatProblem::Variable(String::from_utf8_lossy(name).into_owned());
        let variable = Variable::of(name).ok_or_else(|| error(percent, unknown()))?;
        self.pieces.first_variable.get_or_insert(percent);
        self.pieces.list.push(Piece::Variable(style, variable));
        Ok(())
    }
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
