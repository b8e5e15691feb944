//! How a value is written: `%{+Q,+X}`.

/// The flags in force at one place of a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::haproxy) struct Style {
    /// `Q`: texts stand in quotes.
    pub(in crate::haproxy) quotes: bool,
    /// `X`: addresses and some numbers are written in hexadecimal digits.
    pub(in crate::haproxy) hex: bool,
    /// `E`: `"`, `\` and `]` stand behind a backslash.
    pub(in crate::haproxy) escapes: bool,
}

impl Style {
    /// Follows what is between the braces; `None` if it is nothing like `+Q,-X`.
    ///
    /// HAProxy leaves out what it does not know; here that is a mistake.
    pub(super) fn changed(mut self, flags: &[u8]) -> Option<Self> {
        let mut rest = flags;
        loop {
            rest = match rest {
                [] => return Some(self),
                [b' ' | b',', rest @ ..] => rest,
                [sign @ (b'+' | b'-'), flag, rest @ ..] => {
                    *self.flag(*flag)? = *sign == b'+';
                    rest
                }
                _ => return None,
            };
        }
    }

    fn flag(&mut self, letter: u8) -> Option<&mut bool> {
        match letter {
            b'Q' => Some(&mut self.quotes),
            b'X' => Some(&mut self.hex),
            b'E' => Some(&mut self.escapes),
            _ => None,
        }
    }

    /// Adds a text, `-` for none if `mandatory`.
    pub(in crate::haproxy) fn add(self, text: &[u8], mandatory: bool, to: &mut Vec<u8>) {
        if self.quotes {
            to.push(b'"');
        } else if text.is_empty() && mandatory {
            to.push(b'-');
        }
        self.add_bare(text, to);
        if self.quotes {
            to.push(b'"');
        }
    }

    /// Adds a text without quotes.
    pub(in crate::haproxy) fn add_bare(self, text: &[u8], to: &mut Vec<u8>) {
        for &byte in text {
            if self.escapes && matches!(byte, b'"' | b'\\' | b']') {
                to.push(b'\\');
            }
            to.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_signs() {
        let style = |flags: &str| Style::default().changed(flags.as_bytes());
        assert_eq!(style(""), Some(Style::default()));
        let both = style("+Q, +X").unwrap();
        assert!(both.quotes && both.hex && !both.escapes);
        assert_eq!(both.changed(b"-Q-X"), Some(Style::default()));
        for flags in ["Q", "+", "+Z", "+Q X", "*Q"] {
            assert_eq!(style(flags), None, "{flags}");
        }
    }
}
