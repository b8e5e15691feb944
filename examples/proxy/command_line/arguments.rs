//! Arguments of the command line, one after the other.

use std::str::FromStr;

/// Arguments not read yet.
#[derive(Debug)]
pub(crate) struct Arguments<'a>(pub(crate) &'a [String]);

impl<'a> Arguments<'a> {
    pub(crate) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// The next argument if it is of the kind; otherwise it is left alone.
    pub(crate) fn next_if(&mut self, is_meant: impl Fn(&str) -> bool) -> Option<&'a str> {
        self.0.first().filter(|text| is_meant(text))?;
        self.next()
    }

    pub(crate) fn text(&mut self, option: &str) -> Result<String, String> {
        let text = self.next().map(str::to_owned);
        text.ok_or_else(|| format!("{option} expects a text behind it"))
    }

    pub(crate) fn read<T: FromStr>(&mut self, option: &str, expected: &str) -> Result<T, String> {
        let text = self.text(option)?;
        text.parse()
            .map_err(|_| format!("{option} {text:?}: expected {expected}"))
    }

    /// The next argument if it is a number; otherwise it is left alone.
    pub(crate) fn number(&mut self) -> Option<i32> {
        let number = self.0.first()?.parse().ok()?;
        self.next();
        Some(number)
    }
}
