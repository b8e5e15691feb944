//! From PCRE's syntax to that of the crate `regex`.
//!
//! Both have much in common, and some texts that mean one thing here and another there:
//! `a++`, `\<`, `\v`, `[a&&b]`, `[[a]`, `(?R)`, `$`. So every construct is read and written
//! anew, and what is not known here is refused.

use super::PatternError;
use super::class;
use super::replacement::hex;

/// A pattern in the syntax of the crate.
pub(super) struct Translated {
    pub(super) text: String,
    /// Numbers of the groups of the pattern, in order.
    pub(super) groups: Vec<usize>,
    /// Numbers of the groups that catch a line end behind a `$`.
    pub(super) ends: Vec<usize>,
}

/// Reads a pattern from left to right.
pub(super) struct Syntax<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    pub(super) out: String,
    groups: Vec<usize>,
    ends: Vec<usize>,
}

pub(super) type Done = Result<(), PatternError>;

pub(super) fn translate(text: &[u8]) -> Result<Translated, PatternError> {
    let mut syntax = Syntax {
        text,
        at: 0,
        out: String::new(),
        groups: Vec::new(),
        ends: Vec::new(),
    };
    while let Some(byte) = syntax.next() {
        syntax.construct(byte)?;
    }
    Ok(Translated {
        text: syntax.out,
        groups: syntax.groups,
        ends: syntax.ends,
    })
}

impl Syntax<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    /// Takes a text that comes next.
    pub(super) fn skip(&mut self, text: &[u8]) -> bool {
        let comes = self.rest().starts_with(text);
        self.at += if comes { text.len() } else { 0 };
        comes
    }

    /// What stands between a place and here cannot be done.
    pub(super) fn refuse(&self, from: usize, what: &'static str) -> PatternError {
        PatternError::not_supported(from, &self.text[from..self.at], what)
    }

    pub(super) fn literal(&mut self, byte: u8) {
        self.out.push_str(&written(byte));
    }

    fn construct(&mut self, byte: u8) -> Done {
        match byte {
            b'\\' => return self.escape(),
            b'[' => return class::read(self),
            b'(' => return self.open(),
            b'$' => self.end_of_text(),
            b'^' | b'.' | b'|' | b')' => self.out.push(char::from(byte)),
            b'*' | b'+' | b'?' => {
                self.out.push(char::from(byte));
                return self.behind_repetition();
            }
            b'{' => return self.brace(),
            byte => self.literal(byte),
        }
        Ok(())
    }

    /// A `$` also stands before a line end that is the last byte; which is caught in a group,
    /// as it is no part of the match.
    fn end_of_text(&mut self) {
        self.out.push_str(r"(?:(\n)?\z)");
        self.ends.push(self.groups.len() + self.ends.len() + 1);
    }

    /// Behind `*`, `+`, `?` and `{n,m}`: few instead of many, or, which cannot be done, all or
    /// nothing.
    fn behind_repetition(&mut self) -> Done {
        match self.peek() {
            Some(b'?') => {
                self.at += 1;
                self.out.push('?');
            }
            Some(b'+') => {
                self.at += 1;
                return Err(self.refuse(self.at - 2, "possessive repetitions are"));
            }
            _ => {}
        }
        Ok(())
    }

    /// A number of repetitions, or else the brace itself.
    fn brace(&mut self) -> Done {
        let rest = self.rest();
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = digits(rest);
        let is_number = length > 0;
        if rest.get(length) == Some(&b',') {
            length += 1;
            length += digits(&rest[length..]);
        }
        if !is_number || rest.get(length) != Some(&b'}') {
            self.literal(b'{');
            return Ok(());
        }
        self.out.push('{');
        for byte in &self.text[self.at..=self.at + length] {
            self.out.push(char::from(*byte));
        }
        self.at += length + 1;
        self.behind_repetition()
    }

    fn open(&mut self) -> Done {
        let from = self.at - 1;
        if self.peek() == Some(b'*') {
            self.at += 1;
            return Err(self.refuse(from, "verbs are"));
        }
        if !self.skip(b"?") {
            self.group();
            return Ok(());
        }
        let refused: [(&[u8], &str); 11] = [
            (b"=", "look-around is"),
            (b"!", "look-around is"),
            (b"<=", "look-around is"),
            (b"<!", "look-around is"),
            (b">", "an atomic group is"),
            (b"|", "numbering groups anew is"),
            (b"(", "a condition is"),
            (b"P=", "a back-reference in the pattern is"),
            (b"P>", "recursion is"),
            (b"R", "recursion is"),
            (b"&", "recursion is"),
        ];
        for (mark, what) in refused {
            if self.skip(mark) {
                return Err(self.refuse(from, what));
            }
        }
        if self.skip(b"#") {
            return self.comment(from);
        }
        for (mark, end) in [(&b"P<"[..], b'>'), (b"<", b'>'), (b"'", b'\'')] {
            if self.skip(mark) {
                return self.name(from, end);
            }
        }
        self.flags(from)
    }

    /// A group that a replacement can name.
    fn group(&mut self) {
        self.out.push('(');
        self.groups.push(self.groups.len() + self.ends.len() + 1);
    }

    fn comment(&mut self, from: usize) -> Done {
        match memchr::memchr(b')', self.rest()) {
            Some(length) => {
                self.at += length + 1;
                Ok(())
            }
            None => Err(self.unclosed(from)),
        }
    }

    /// Names are of no use here, but for counting the group.
    fn name(&mut self, from: usize, end: u8) -> Done {
        let Some(length) = memchr::memchr(end, self.rest()) else {
            return Err(self.unclosed(from));
        };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let name = &self.rest()[..length];
        if name.is_empty() || name[0].is_ascii_digit() || !name.iter().all(is_name) {
            let expected = "a name of letters, digits and _";
            return Err(PatternError::unexpected(self.at, name, expected));
        }
        self.at += length + 1;
        self.group();
        Ok(())
    }

    fn unclosed(&self, from: usize) -> PatternError {
        PatternError::unexpected(from, &self.text[from..], "something that closes it")
    }

    /// `(?i)`, `(?i-s:`, `(?:`.
    fn flags(&mut self, from: usize) -> Done {
        self.out.push_str("(?");
        while let Some(byte) = self.next() {
            match byte {
                b'i' | b's' | b'-' => self.out.push(char::from(byte)),
                b')' if self.out.ends_with('?') => {
                    self.out.push_str(":)");
                    return Ok(());
                }
                b':' | b')' => {
                    self.out.push(char::from(byte));
                    return Ok(());
                }
                _ => return Err(self.refuse(from, "this group, or a flag other than i and s, is")),
            }
        }
        Err(self.unclosed(from))
    }

    /// What follows a `\` outside of brackets.
    fn escape(&mut self) -> Done {
        let from = self.at - 1;
        let Some(byte) = self.next() else {
            return Err(PatternError::unexpected(from, b"\\", "a byte behind it"));
        };
        match byte {
            b'd' | b'D' | b's' | b'S' | b'w' | b'W' | b'b' | b'B' | b'A' | b'z' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            b'Z' => self.end_of_text(),
            b'1'..=b'9' | b'g' | b'k' => {
                return Err(self.refuse(from, "a back-reference in the pattern is"));
            }
            byte => {
                let byte = self.escaped(from, byte)?;
                self.literal(byte);
            }
        }
        Ok(())
    }

    /// The byte that an escape stands for, in brackets and outside.
    pub(super) fn escaped(&mut self, from: usize, byte: u8) -> Result<u8, PatternError> {
        Ok(match byte {
            b'a' => 0x07,
            b'e' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => return self.hexadecimal(from),
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                return Err(self.refuse(from, "this escape is"));
            }
            byte => byte,
        })
    }

    /// `\xH`, `\xHH` and `\x{H...}`, one byte.
    fn hexadecimal(&mut self, from: usize) -> Result<u8, PatternError> {
        let is_braced = self.skip(b"{");
        let most = if is_braced { usize::MAX } else { 2 };
        let mut number: u32 = 0;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(hex) else {
                break;
            };
            self.at += 1;
            number = number.saturating_mul(16).saturating_add(digit.into());
        }
        if is_braced && !self.skip(b"}") {
            return Err(self.unclosed(from));
        }
        u8::try_from(number).map_err(|_| self.refuse(from, "a character beyond one byte is"))
    }
}

/// A byte that means itself.
pub(super) fn written(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() {
        char::from(byte).to_string()
    } else {
        format!("\\x{byte:02X}")
    }
}
