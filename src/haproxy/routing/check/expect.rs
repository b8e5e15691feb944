//! `http-check expect` and `tcp-check expect`.

use std::slice;

use super::Words;
use super::words::{Read, binary, not_supported, pattern, plain, told, value, wrong};
use crate::haproxy::Pattern;
use crate::haproxy::config::{Finding, FindingKind, Word};
use crate::health::{CheckStatus, Expect, FieldExpect, TextMatch};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Tcp,
}

const HTTP: [&str; 7] = [
    "status",
    "rstatus",
    "hdr",
    "fhdr",
    "string",
    "rstring",
    "string-lf",
];
const TCP: [&str; 4] = ["string", "rstring", "binary", "rbinary"];

/// `[OPTION VALUE]... [!] PATTERN VALUE [OPTION VALUE]...`; `comment` is the one of the line
/// before.
pub(super) fn read(
    kind: Kind,
    keyword: &Word,
    words: Words<'_>,
    comment: Option<String>,
) -> Read<Expect> {
    let mut reader = Reader {
        kind,
        words: words.iter(),
        expect: None,
        options: Vec::new(),
    };
    while let Some(word) = reader.words.next() {
        reader.word(word)?;
    }
    let Some(mut expect) = reader.expect else {
        let message = format!("expected a pattern: one of {}", kind.patterns().join(", "));
        return Err(Finding::error(FindingKind::Missing, keyword, message));
    };
    if let Some(comment) = comment {
        expect = expect.comment(comment);
    }
    for option in reader.options {
        expect = option(expect);
    }
    Ok(expect)
}

impl Kind {
    const fn patterns(self) -> &'static [&'static str] {
        match self {
            Self::Http => &HTTP,
            Self::Tcp => &TCP,
        }
    }
}

/// What an option does to an expectation.
type Change = Box<dyn FnOnce(Expect) -> Expect>;

struct Reader<'w> {
    kind: Kind,
    words: slice::Iter<'w, Word>,
    expect: Option<Expect>,
    options: Vec<Change>,
}

impl<'w> Reader<'w> {
    fn word(&mut self, word: &'w Word) -> Read<()> {
        let text = word.text();
        if let Some(rest) = text.strip_prefix('!') {
            let word = match rest {
                "" => value(word, self.words.next())?,
                _ => word,
            };
            let name = if rest.is_empty() { word.text() } else { rest };
            if !self.kind.patterns().contains(&name) {
                return Err(wrong(word, &"expected a pattern behind !"));
            }
            return self.pattern(word, name, true);
        }
        if self.kind.patterns().contains(&text) {
            return self.pattern(word, text, false);
        }
        let change = self.option(word)?;
        self.options.push(change);
        Ok(())
    }

    fn option(&mut self, name: &'w Word) -> Read<Change> {
        let mut value = || value(name, self.words.next());
        Ok(match name.text() {
            "comment" => {
                let text = value()?.text().to_owned();
                Box::new(|expect| expect.comment(text))
            }
            "on-success" => {
                let text = told(value()?)?;
                Box::new(|expect| expect.on_success(text))
            }
            "on-error" => {
                let text = told(value()?)?;
                Box::new(|expect| expect.on_error(text))
            }
            "min-recv" => least(value()?)?,
            "ok-status" | "error-status" | "tout-status" => outcome(name, value()?)?,
            "status-code" => {
                return Err(not_supported(name, "not supported: samples are not, here"));
            }
            _ => {
                let patterns = self.kind.patterns().join(", ");
                let message = format!(
                    "expected one of {patterns}, min-recv, ok-status, error-status, \
                     tout-status, on-success, on-error, comment"
                );
                return Err(wrong(name, &message));
            }
        })
    }

    fn pattern(&mut self, word: &'w Word, name: &str, negated: bool) -> Read<()> {
        if self.expect.is_some() {
            return Err(wrong(word, &"expected one pattern on a line"));
        }
        let expect = if matches!(name, "hdr" | "fhdr") {
            self.field(word, name == "fhdr")?
        } else {
            plain_pattern(name, value(word, self.words.next())?)?
        };
        self.expect = Some(if negated { expect.not() } else { expect });
        Ok(())
    }

    /// `name [-m HOW] NAME [value [-m HOW] VALUE]`.
    fn field(&mut self, word: &'w Word, whole: bool) -> Read<Expect> {
        let name = value(word, self.words.next())?;
        if !(name.is("name") || name.is("name-lf")) {
            return Err(wrong(name, &"expected name and the name of a field"));
        }
        let mut field = FieldExpect::new(self.text(name)?);
        if let Some(word) = self.words.clone().next()
            && (word.is("value") || word.is("value-lf"))
        {
            self.words.next();
            field = field.value(self.text(word)?);
        }
        Ok(Expect::field(if whole { field.whole() } else { field }))
    }

    /// `[-m HOW] TEXT`; behind a word with `-lf` a format without samples.
    fn text(&mut self, name: &'w Word) -> Read<TextMatch> {
        const WAYS: &str = "expected one of str, beg, end, sub, reg";
        let mut word = value(name, self.words.next())?;
        let mut how = None;
        if word.is("-m") {
            let way = value(word, self.words.next())?;
            how = Some(way);
            word = value(way, self.words.next())?;
        }
        let text = if name.text().ends_with("-lf") {
            plain(word)?
        } else {
            word.bytes().to_vec()
        };
        Ok(match how.map_or("str", Word::text) {
            "str" => TextMatch::exact(text),
            "beg" => TextMatch::prefix(text),
            "end" => TextMatch::suffix(text),
            "sub" => TextMatch::part(text),
            "reg" => {
                let pattern = Pattern::new(text).map_err(|error| wrong(word, &error))?;
                TextMatch::pattern(pattern)
            }
            _ => return Err(wrong(how.unwrap_or(word), &WAYS)),
        })
    }
}

fn plain_pattern(name: &str, word: &Word) -> Read<Expect> {
    Ok(match name {
        "status" => Expect::status(word.text()).map_err(|error| wrong(word, &error))?,
        "rstatus" => Expect::status_pattern(pattern(word)?),
        "rstring" => Expect::pattern(pattern(word)?),
        "binary" => Expect::bytes(binary(word)?),
        "rbinary" => Expect::bytes_pattern(pattern(word)?),
        "string-lf" => Expect::text(plain(word)?),
        _ => Expect::text(word.bytes()),
    })
}

/// A negative number is none.
fn least(word: &Word) -> Read<Change> {
    let number: Option<i32> = word.text().parse().ok();
    let number = number.ok_or_else(|| wrong(word, &"expected a number of bytes"))?;
    Ok(match usize::try_from(number) {
        Ok(number) => Box::new(move |expect| expect.least(number)),
        Err(_) => Box::new(|expect| expect),
    })
}

/// What a check is that ends here in one of three ways.
fn outcome(name: &Word, word: &Word) -> Read<Change> {
    use CheckStatus::{
        AnswerTimeout, Answered, ConnectError, ConnectTimeout, Connected, InvalidAnswer,
        Layer6Invalid, Layer6Passed, Layer6Timeout, Leaving, WrongStatus,
    };
    Ok(match name.text() {
        "ok-status" => {
            let status = status(word, &[Connected, Layer6Passed, Answered, Leaving])?;
            Box::new(move |expect| expect.passes_as(status))
        }
        "error-status" => {
            let all = [
                ConnectError,
                Layer6Invalid,
                InvalidAnswer,
                WrongStatus,
                Leaving,
            ];
            let status = status(word, &all)?;
            Box::new(move |expect| expect.fails_as(status))
        }
        _ => {
            let status = status(word, &[ConnectTimeout, Layer6Timeout, AnswerTimeout])?;
            Box::new(move |expect| expect.times_out_as(status))
        }
    })
}

fn status(word: &Word, of: &[CheckStatus]) -> Read<CheckStatus> {
    let found = of.iter().find(|status| word.is(status.name()));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = of.iter().map(|status| status.name()).collect();
        wrong(word, &format!("expected one of {}", names.join(", ")))
    })
}
