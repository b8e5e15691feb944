//! The words of a configuration line, with HAProxy's quoting.
//!
//! Blanks separate words, `#` begins a comment. Outside single quotes a backslash
//! protects a space, a quote, `#` and itself, and `\n`, `\r`, `\t` and `\xHH` stand for
//! other bytes; before anything else it is an ordinary byte. Quotes may begin and end
//! anywhere in a word. Between double quotes HAProxy puts in environment variables,
//! which this library does not read: a `$` there has to be escaped.

/// A word, and where it begins in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) bytes: Vec<u8>,
    pub(crate) position: usize,
}

/// Why a line has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A quote that nothing closes.
    UnterminatedQuote,
    /// `\x` without two hexadecimal digits.
    BadHexadecimal,
    /// A zero byte.
    Nul,
    /// A `$` between double quotes.
    Variable,
}

/// A [`Fault`], and where it is in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordError {
    pub(crate) fault: Fault,
    pub(crate) position: usize,
}

/// Splits a line into its words.
pub(crate) fn split(line: &[u8]) -> Result<Vec<Word>, WordError> {
    let mut reader = Reader { line, at: 0 };
    let mut words = Vec::new();
    while let Some(word) = reader.word()? {
        words.push(word);
    }
    Ok(words)
}

struct Reader<'l> {
    line: &'l [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn word(&mut self) -> Result<Option<Word>, WordError> {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        let position = self.at;
        if matches!(self.peek(), None | Some(b'#')) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => break,
                byte if is_space(byte) => break,
                b'\'' => self.single_quoted(&mut bytes)?,
                b'"' => self.double_quoted(&mut bytes)?,
                _ => bytes.push(self.byte(b" \\#\"'")?),
            }
        }
        Ok(Some(Word { bytes, position }))
    }

    fn single_quoted(&mut self, out: &mut Vec<u8>) -> Result<(), WordError> {
        let open = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            if byte == b'\'' {
                self.at += 1;
                return Ok(());
            }
            out.push(self.byte(b"")?);
        }
        Err(fault(Fault::UnterminatedQuote, open))
    }

    fn double_quoted(&mut self, out: &mut Vec<u8>) -> Result<(), WordError> {
        let open = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'$' => return Err(fault(Fault::Variable, self.at)),
                _ => out.push(self.byte(b" \\#\"'$")?),
            }
        }
        Err(fault(Fault::UnterminatedQuote, open))
    }

    /// The next byte, or the one an escape stands for. `escapable` bytes stand for
    /// themselves behind a backslash; if there are none, backslashes mean nothing.
    fn byte(&mut self, escapable: &[u8]) -> Result<u8, WordError> {
        let start = self.at;
        let rest = &self.line[start..];
        let (byte, length) = match *rest {
            [b'\\', byte, ..] if escapable.contains(&byte) => (byte, 2),
            [b'\\', b'n', ..] if !escapable.is_empty() => (b'\n', 2),
            [b'\\', b'r', ..] if !escapable.is_empty() => (b'\r', 2),
            [b'\\', b't', ..] if !escapable.is_empty() => (b'\t', 2),
            [b'\\', b'x', ..] if !escapable.is_empty() => {
                let byte = hexadecimal(&rest[2..]);
                (byte.ok_or(fault(Fault::BadHexadecimal, start))?, 4)
            }
            _ => (rest[0], 1),
        };
        if byte == 0 {
            return Err(fault(Fault::Nul, start));
        }
        self.at += length;
        Ok(byte)
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((digit(0)? << 4 | digit(1)?) as u8)
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

fn fault(fault: Fault, position: usize) -> WordError {
    WordError { fault, position }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let words = split(line.as_bytes()).unwrap();
        words
            .iter()
            .map(|word| word.bytes.escape_ascii().to_string())
            .collect()
    }

    #[test]
    fn quoting_is_that_of_haproxy() {
        let table: [(&str, &[&str]); 16] = [
            ("", &[]),
            (" a\tb  # c", &["a", "b"]),
            ("a#b", &["a"]),
            (r"a\ b a\#b a\\b", &["a b", "a#b", r"a\\b"]),
            (r#"a\"b a\'b"#, &[r#"a\"b"#, r"a\'b"]),
            (
                r"a\nb a\rb a\tb a\x41b",
                &[r"a\nb", r"a\rb", r"a\tb", "aAb"],
            ),
            (r"a\qb a\$b a$b a\", &[r"a\\qb", r"a\\$b", "a$b", r"a\\"]),
            ("a\\\tb", &[r"a\\", "b"]),
            (r#""a b" "a#b" "a'b""#, &["a b", "a#b", r"a\'b"]),
            (r#""a\"b" "a\ b" "a\$b""#, &[r#"a\"b"#, "a b", "a$b"]),
            (r#""a\nb" "a\x41b" "a\qb""#, &[r"a\nb", "aAb", r"a\\qb"]),
            (r"'a b' 'a\b' 'a\nb'", &["a b", r"a\\b", r"a\\nb"]),
            (r#"'a"b' 'a$b' 'a#b'"#, &[r#"a\"b"#, "a$b", "a#b"]),
            (r#"a"b c"d a'b c'd"#, &["ab cd", "ab cd"]),
            (r#"""x '' x''y""z"#, &["x", "", "xyz"]),
            (r"'a\' b", &[r"a\\", "b"]),
        ];
        for (line, expected) in table {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let table = [
            (r#"a "b c"#, Fault::UnterminatedQuote, 2),
            ("a b'", Fault::UnterminatedQuote, 3),
            (r"a \x4", Fault::BadHexadecimal, 2),
            (r#"a "\xZZ""#, Fault::BadHexadecimal, 3),
            (r"a\x00", Fault::Nul, 1),
            ("a\0", Fault::Nul, 1),
            (r#""a$B""#, Fault::Variable, 2),
        ];
        for (line, fault, position) in table {
            let expected = WordError { fault, position };
            assert_eq!(split(line.as_bytes()), Err(expected), "{line}");
        }
    }

    #[test]
    fn positions_are_those_of_the_first_byte() {
        let words = split(b"  a  'b' c").unwrap();
        let positions: Vec<_> = words.iter().map(|word| word.position).collect();
        assert_eq!(positions, [2, 5, 9]);
    }
}
