//! What takes the place of a match.

use std::fmt;

use super::Match;

/// The text that takes the place of a match.
///
/// `\0` is the match, `\1` to `\9` are its groups, which are empty if they are no part of
/// it; `\xHH` is a byte, and any other byte behind `\` is itself. The default is empty.
///
/// ```
/// use stickroute::haproxy::Replacement;
///
/// assert!(Replacement::parse(r"\2-\1").is_ok());
/// assert!(Replacement::parse(r"at the end: \").is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Group(u8),
}

impl Replacement {
    /// Reads a replacement.
    ///
    /// # Errors
    /// [`InvalidReplacement`] if a `\` is the last byte, or if `\x` is not followed by two
    /// hexadecimal digits. HAProxy makes something of other letters there; nobody means that.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, InvalidReplacement> {
        let text = text.as_ref();
        let invalid = || InvalidReplacement(String::from_utf8_lossy(text).into_owned());
        let (mut pieces, mut plain, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some(at) = memchr::memchr(b'\\', rest) {
            plain.extend(&rest[..at]);
            rest = match &rest[at + 1..] {
                [digit @ b'0'..=b'9', rest @ ..] => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Group(digit - b'0'));
                    rest
                }
                [b'x', high, low, rest @ ..] => {
                    let byte = hex(*high).zip(hex(*low));
                    let (high, low) = byte.ok_or_else(invalid)?;
                    plain.push(high << 4 | low);
                    rest
                }
                [b'x', ..] | [] => return Err(invalid()),
                [byte, rest @ ..] => {
                    plain.push(*byte);
                    rest
                }
            };
        }
        plain.extend(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    pub(super) fn filled(&self, found: &Match<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend(text),
                Piece::Group(number) => out.extend(found.group(*number)),
            }
        }
        out
    }
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// A text that is no [`Replacement`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidReplacement(String);

impl fmt::Display for InvalidReplacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found) = self;
        write!(
            f,
            "{found:?} is no replacement; expected a digit, xHH or another byte behind each \\"
        )
    }
}

impl std::error::Error for InvalidReplacement {}
