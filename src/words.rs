//! The words of a configuration line, with HAProxy's quoting.
//!
//! Blanks separate words, `#` begins a comment. Outside single quotes a backslash
//! protects a space, a quote, `#` and itself, and `\n`, `\r`, `\t` and `\xHH` stand for
//! other bytes; before anything else it is an ordinary byte. Quotes may begin and end
//! anywhere in a word. Between double quotes HAProxy puts in environment variables; the
//! library reads no environment, so either the caller brings a lookup, or a `$` there
//! has to be escaped.

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
    /// A `$` between double quotes without a lookup, or without the name of a variable.
    Variable,
    /// Variables made the line longer than [`LONGEST`].
    TooLong,
}

/// The most bytes that all variables of a line may stand for together.
pub(crate) const LONGEST: usize = 1 << 20;

/// Answers the value of a variable, `None` if it is not set.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// A [`Fault`], and where it is in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordError {
    pub(crate) fault: Fault,
    pub(crate) position: usize,
}

/// Splits a line into its words.
pub(crate) fn split(line: &[u8]) -> Result<Vec<Word>, WordError> {
    split_in(line, None)
}

/// Splits a line into its words, with the variables of an environment.
pub(crate) fn split_in(
    line: &[u8],
    environment: Option<Environment<'_>>,
) -> Result<Vec<Word>, WordError> {
    let mut reader = Reader {
        line,
        at: 0,
        environment,
        room: LONGEST,
        words: Vec::new(),
    };
    while reader.word()? {}
    Ok(reader.words)
}

struct Reader<'l> {
    line: &'l [u8],
    at: usize,
    environment: Option<Environment<'l>>,
    /// How much longer variables may make the line.
    room: usize,
    words: Vec<Word>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    /// Reads one word, or several if a variable holds them; false at the end.
    fn word(&mut self) -> Result<bool, WordError> {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        let position = self.at;
        if matches!(self.peek(), None | Some(b'#')) {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => break,
                byte if is_space(byte) => break,
                b'\'' => self.single_quoted(&mut bytes)?,
                b'"' => self.double_quoted(position, &mut bytes)?,
                _ => bytes.push(self.byte(b" \\#\"'")?),
            }
        }
        self.words.push(Word { bytes, position });
        Ok(true)
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

    fn double_quoted(&mut self, begin: usize, out: &mut Vec<u8>) -> Result<(), WordError> {
        let open = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'$' => self.variable(begin, out)?,
                _ => out.push(self.byte(b" \\#\"'$")?),
            }
        }
        Err(fault(Fault::UnterminatedQuote, open))
    }

    /// Puts in what `$NAME`, `${NAME}`, `${NAME-default}` or `${NAME[*]}` stands for.
    fn variable(&mut self, begin: usize, out: &mut Vec<u8>) -> Result<(), WordError> {
        let open = self.at;
        let rest = &self.line[open + 1..];
        let variable = Variable::read(rest).zip(self.environment);
        let (variable, environment) = variable.ok_or(fault(Fault::Variable, open))?;
        self.at += 1 + variable.length;
        let found = environment(variable.name).map(String::into_bytes);
        let value = found.unwrap_or_else(|| variable.default.to_vec());
        self.room = match self.room.checked_sub(value.len()) {
            Some(room) => room,
            None => return Err(fault(Fault::TooLong, open)),
        };
        if !variable.splits {
            out.extend(value);
            return Ok(());
        }
        let words = value.split(|&byte| is_space(byte));
        for (index, piece) in words.filter(|piece| !piece.is_empty()).enumerate() {
            if index > 0 {
                let bytes = std::mem::take(out);
                let position = begin;
                self.words.push(Word { bytes, position });
            }
            out.extend(piece);
        }
        Ok(())
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

/// What stands behind a `$`.
struct Variable<'l> {
    name: &'l str,
    default: &'l [u8],
    /// `[*]`: every blank in the value begins another word.
    splits: bool,
    length: usize,
}

impl<'l> Variable<'l> {
    fn read(rest: &'l [u8]) -> Option<Self> {
        let braced = rest.first() == Some(&b'{');
        let begin = usize::from(braced);
        let hidden = usize::from(rest.get(begin) == Some(&b'.'));
        let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let length = hidden + rest[begin + hidden..].iter().take_while(is_name).count();
        let name = std::str::from_utf8(&rest[begin..begin + length]).ok()?;
        let first = name.as_bytes().get(hidden)?;
        if first.is_ascii_digit() {
            return None;
        }
        let mut at = begin + length;
        let splits = braced && rest[at..].starts_with(b"[*]");
        at += if splits { 3 } else { 0 };
        let mut default = &b""[..];
        if braced {
            let close = at + rest[at..].iter().position(|&byte| byte == b'}')?;
            default = match &rest[at..close] {
                [] => b"",
                [b'-', default @ ..] => default,
                _ => return None,
            };
            at = close + 1;
        }
        Some(Self {
            name,
            default,
            splits,
            length: at,
        })
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
    fn variables_are_put_in_between_double_quotes() {
        let environment = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "L" => Some("b  c".to_owned()),
            "BIG" => Some("x".repeat(LONGEST)),
            _ => None,
        };
        let words = |line: &str| {
            let words = split_in(line.as_bytes(), Some(&environment))?;
            let text = |word: &Word| String::from_utf8_lossy(&word.bytes).into_owned();
            Ok::<_, WordError>(words.iter().map(text).collect::<Vec<_>>())
        };
        let table: [(&str, &[&str]); 8] = [
            (r#""$A" $A ${A} '$A'"#, &["a", "$A", "${A}", "$A"]),
            (r#""${A}x$A-y""#, &["axa-y"]),
            (r#""${A-z}${Z-x y}${Z-}""#, &["ax y"]),
            (r#""$Z" "${Z}""#, &["", ""]),
            (r#""$L" "${L}""#, &["b  c", "b  c"]),
            (r#"x"<${L[*]}>"y z"#, &["x<b", "c>y", "z"]),
            (r#""${Z[*]}""#, &[""]),
            (r#""\$A""#, &["$A"]),
        ];
        for (line, expected) in table {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for line in [
            r#""$""#,
            r#""${}""#,
            r#""$1""#,
            r#""${A:-x}""#,
            r#""${A b}""#,
            r#""${A-""#,
        ] {
            assert_eq!(words(line).unwrap_err().fault, Fault::Variable, "{line}");
        }
        let error = words(r#""$BIG$A""#).unwrap_err();
        assert_eq!(error.fault, Fault::TooLong);
    }

    #[test]
    fn positions_are_those_of_the_first_byte() {
        let words = split(b"  a  'b' c").unwrap();
        let positions: Vec<_> = words.iter().map(|word| word.position).collect();
        assert_eq!(positions, [2, 5, 9]);
    }
}
