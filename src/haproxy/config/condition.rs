//! The conditions of `.if` and `.elif` lines.

use super::location::Word;
use super::version::Version;
use crate::words::Environment;

/// What conditions can ask about.
pub(super) struct Facts<'f> {
    pub(super) environment: Environment<'f>,
    pub(super) features: &'f [String],
}

/// Whether a condition holds; an empty one does not.
///
/// # Errors
/// What is wrong with it, and what would be accepted.
pub(super) fn holds(words: &[Word], facts: &Facts<'_>) -> Result<bool, String> {
    let words: Vec<_> = words
        .iter()
        .map(|word| String::from_utf8_lossy(&word.bytes))
        .collect();
    let text = words.join(" ");
    let mut reader = Reader {
        rest: text.trim_start(),
        facts,
        depth: 0,
    };
    if reader.rest.is_empty() {
        return Ok(false);
    }
    let holds = reader.any()?;
    match reader.rest.trim_start() {
        "" => Ok(holds),
        rest => Err(format!(
            "expected '&&', '||' or nothing before '{}'",
            cut(rest)
        )),
    }
}

/// Parentheses within parentheses.
const DEEPEST: u32 = 100;

struct Reader<'t, 'f> {
    rest: &'t str,
    facts: &'t Facts<'f>,
    depth: u32,
}

impl<'t> Reader<'t, '_> {
    /// Takes a token away if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut holds = self.all()?;
        while self.take("||") {
            holds |= self.all()?;
        }
        Ok(holds)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut holds = self.term()?;
        while self.take("&&") {
            holds &= self.term()?;
        }
        Ok(holds)
    }

    fn term(&mut self) -> Result<bool, String> {
        let mut negated = false;
        while self.take("!") {
            negated = !negated;
        }
        let holds = if self.take("(") {
            self.nested()?
        } else {
            self.predicate()?
        };
        Ok(holds != negated)
    }

    fn nested(&mut self) -> Result<bool, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("expected at most {DEEPEST} nested parentheses"));
        }
        let holds = self.any()?;
        self.depth -= 1;
        if self.take(")") {
            Ok(holds)
        } else {
            Err(format!("expected ')' before '{}'", cut(self.rest)))
        }
    }

    /// A number, or a name with arguments.
    fn predicate(&mut self) -> Result<bool, String> {
        let text = self.rest.trim_start();
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits = unsigned.len()
            - unsigned
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        if digits > 0 {
            self.rest = &unsigned[digits..];
            return Ok(unsigned[..digits].bytes().any(|digit| digit != b'0'));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = text.len() - text.trim_start_matches(is_name).len();
        let name = &text[..length];
        match text[length..].strip_prefix('(') {
            Some(arguments) => {
                self.rest = arguments;
                self.call(name)
            }
            None => Err(unknown(text)),
        }
    }

    fn call(&mut self, name: &'t str) -> Result<bool, String> {
        let count = match name {
            "streq" | "strneq" => 2,
            "defined" | "feature" | "version_atleast" | "version_before" => 1,
            _ => return Err(unknown(name)),
        };
        let arguments = self.arguments(name, count)?;
        let first = arguments.first().map_or("", String::as_str);
        let second = arguments.get(1).map_or("", String::as_str);
        match name {
            "streq" => Ok(first == second),
            "strneq" => Ok(first != second),
            "defined" => Ok((self.facts.environment)(first).is_some()),
            // HAProxy takes an empty name for a feature that is there.
            "feature" => Ok(first.is_empty() || self.facts.features.iter().any(|f| f == first)),
            "version_atleast" => Ok(Version::REFERENCE >= Version::read(first)?),
            _ => Ok(Version::REFERENCE < Version::read(first)?),
        }
    }

    /// The arguments up to the closing parenthesis. Quotes and backslashes protect.
    fn arguments(&mut self, name: &str, count: usize) -> Result<Vec<String>, String> {
        let mut arguments = vec![String::new()];
        let mut quote = None;
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            let is_last = arguments.len() == count;
            let argument = arguments.last_mut().expect("there is always one");
            match (letter, quote) {
                (_, Some(open)) if letter == open => quote = None,
                ('\\', open) if open != Some('\'') => {
                    argument.extend(letters.next().map(|(_, escaped)| escaped));
                }
                ('"' | '\'', None) => quote = Some(letter),
                (',', None) => arguments.push(String::new()),
                (')', None) if is_last => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(arguments);
                }
                (')', None) => break,
                _ => argument.push(letter),
            }
        }
        Err(format!("expected {count} argument(s) and ')' in '{name}('"))
    }
}

fn unknown(text: &str) -> String {
    format!(
        "'{}' is no condition; expected a number, defined(NAME), feature(NAME), streq(A,B), strneq(A,B), version_atleast(V) or version_before(V), with !, &&, || and parentheses",
        cut(text)
    )
}

fn cut(text: &str) -> String {
    text.chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::config::tests::word;

    fn judge(text: &str) -> Result<bool, String> {
        let environment = |name: &str| (name == "A").then(|| "va".to_owned());
        let facts = Facts {
            environment: &environment,
            features: &["THREAD".to_owned()],
        };
        holds(&[word(text)], &facts)
    }

    #[test]
    fn conditions_hold_as_in_haproxy() {
        let table = [
            ("", false),
            ("1", true),
            ("-1", true),
            ("00", false),
            ("! 1", false),
            ("!!1", true),
            ("((1))", true),
            ("!(0)", true),
            ("1 || 0 && 0", true),
            ("0 && 0 || 1", true),
            ("1&&1", true),
            ("(1) && (0)", false),
            ("defined(A)", true),
            ("defined( A )", false),
            ("defined()", false),
            ("feature(THREAD)", true),
            ("feature(thread)", false),
            ("feature()", true),
            ("streq(a b,a b)", true),
            ("streq(\"a,b\",'a,b')", true),
            ("streq( a,a)", false),
            ("strneq(a,b)", true),
            ("version_atleast(2.6)", true),
            ("version_atleast(2.6.13)", false),
            ("version_atleast(2.6.12-1)", false),
            ("version_before(2.6-dev3)", false),
            ("version_before(3)", true),
        ];
        for (text, expected) in table {
            assert_eq!(judge(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "true",
            "-",
            "!",
            "(1",
            "1 2",
            "2x",
            "defined(A",
            "defined A",
            "streq(a)",
            "streq(a,b,c)",
            "defined(A) &&",
            "strstr(a,b)",
            "version_atleast(x)",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_conditions_are_bounded() {
        assert_eq!(judge(&format!("{}1", "!".repeat(500_000))), Ok(true));
        assert!(judge(&"(".repeat(500_000)).is_err());
    }
}
