//! `option httpchk` and its `http-check` lines.

use super::words::{Read, not_supported, nothing_more, plain, refused, value, wrong};
use super::{Words, connect, expect};
use crate::haproxy::config::{Finding, Word};
use crate::health::{CheckConnect, CheckSequence, HttpCheck};

const EXPECTED: &str = "connect, send, expect, disable-on-404 or comment";

pub(super) fn read<'w>(
    first: Words<'_>,
    lines: impl Iterator<Item = Words<'w>>,
) -> Result<CheckSequence, Vec<Finding>> {
    let usual = first_line(first).map_err(|finding| vec![finding])?;
    let mut http = Http::new(usual);
    let findings: Vec<_> = lines.filter_map(|words| http.follow(words).err()).collect();
    if findings.is_empty() {
        Ok(http.sequence())
    } else {
        Err(findings)
    }
}

/// `option httpchk [[METHOD] URI [VERSION]]`.
fn first_line(arguments: Words<'_>) -> Read<HttpCheck> {
    let check = HttpCheck::new();
    match arguments {
        [] => Ok(check),
        [target] => uri(check, target.bytes(), target),
        [name, target] => uri(method(check, name)?, target.bytes(), target),
        [name, target, number, rest @ ..] => {
            nothing_more(rest.first())?;
            let check = uri(method(check, name)?, target.bytes(), target)?;
            version_and_fields(check, number)
        }
    }
}

fn method(check: HttpCheck, word: &Word) -> Read<HttpCheck> {
    check
        .method(word.text())
        .map_err(|error| wrong(word, &error))
}

fn uri(check: HttpCheck, text: &[u8], word: &Word) -> Read<HttpCheck> {
    let text = String::from_utf8_lossy(text);
    check.uri(&text).map_err(|error| wrong(word, &error))
}

fn version(check: HttpCheck, text: &[u8], word: &Word) -> Read<HttpCheck> {
    match text {
        b"HTTP/1.0" => Ok(check.http_1_0()),
        b"HTTP/1.1" => Ok(check.http_1_1()),
        _ => {
            let message = "not supported; expected HTTP/1.0 or HTTP/1.1, and fields in \
                           http-check send hdr NAME VALUE";
            Err(not_supported(word, message))
        }
    }
}

/// Fields and a body may hide behind the version, as was usual before 2.2.
fn version_and_fields(check: HttpCheck, word: &Word) -> Read<HttpCheck> {
    let text = plain(word)?;
    let end = memchr::memmem::find(&text, b"\r\n");
    let (number, mut rest) = text.split_at(end.unwrap_or(text.len()));
    let mut check = version(check, number, word)?;
    while let Some(line) = rest.strip_prefix(b"\r\n") {
        if let Some(body) = line.strip_prefix(b"\r\n") {
            return Ok(check.body(body));
        }
        let end = memchr::memmem::find(line, b"\r\n").unwrap_or(line.len());
        let (field, behind) = line.split_at(end);
        rest = behind;
        if field.is_empty() {
            continue;
        }
        let expected = || wrong(word, &"expected fields behind the version, NAME: VALUE");
        let colon = memchr::memchr(b':', field).ok_or_else(expected)?;
        let name = std::str::from_utf8(&field[..colon]).map_err(|_| expected())?;
        let added = check.header(name, field[colon + 1..].trim_ascii());
        check = added.map_err(|error| wrong(word, &error))?;
    }
    Ok(check)
}

/// A connection with a request.
struct Round {
    connect: Option<CheckConnect>,
    request: Option<HttpCheck>,
    has_expected: bool,
}

/// A check as far as its lines have been read.
struct Http {
    /// The request of `option httpchk`.
    usual: HttpCheck,
    rounds: Vec<Round>,
    disable_on_404: bool,
    /// That of the line before.
    comment: Option<String>,
}

impl Http {
    fn new(usual: HttpCheck) -> Self {
        Self {
            usual,
            rounds: Vec::new(),
            disable_on_404: false,
            comment: None,
        }
    }

    /// Follows an `http-check` line.
    fn follow(&mut self, words: Words<'_>) -> Read<()> {
        let (keyword, arguments) = (&words[1], &words[2..]);
        let comment = self.comment.take();
        match keyword.text() {
            "comment" => {
                let word = value(keyword, arguments.first())?;
                self.comment = Some(word.text().to_owned());
                nothing_more(arguments.get(1))
            }
            "disable-on-404" => {
                self.disable_on_404 = true;
                nothing_more(arguments.first())
            }
            "connect" => self.connect(keyword, arguments),
            "send" => self.send(keyword, arguments),
            "expect" => self.expect(keyword, arguments, comment),
            _ => Err(refused(keyword, EXPECTED)),
        }
    }

    fn connect(&mut self, keyword: &Word, words: Words<'_>) -> Read<()> {
        match self.rounds.last() {
            Some(Round { connect: None, .. }) => {
                let message = "expected as the first step, too, where it is a step at all";
                return Err(wrong(keyword, &message));
            }
            Some(Round {
                has_expected: false,
                ..
            }) => return Err(behind(keyword, "expect")),
            _ => {}
        }
        self.rounds.push(Round {
            connect: Some(connect::read(words)?),
            request: None,
            has_expected: false,
        });
        Ok(())
    }

    fn send(&mut self, keyword: &Word, words: Words<'_>) -> Read<()> {
        let first = if self.rounds.len() < 2 {
            self.usual.clone()
        } else {
            HttpCheck::new()
        };
        let round = self.last_round();
        if round.request.is_some() {
            return Err(behind(keyword, "connect"));
        }
        round.request = Some(sent(first, words)?);
        Ok(())
    }

    fn expect(&mut self, keyword: &Word, words: Words<'_>, comment: Option<String>) -> Read<()> {
        let usual = self.usual.clone();
        let round = self.last_round();
        let request = match round.request.take() {
            Some(request) => request,
            None if round.connect.is_none() => usual,
            None => return Err(behind(keyword, "send")),
        };
        round.has_expected = true;
        let (request, done) = match expect::read(expect::Kind::Http, keyword, words, comment) {
            Ok(expect) => (request.expect(expect), Ok(())),
            Err(finding) => (request, Err(finding)),
        };
        round.request = Some(request);
        done
    }

    fn last_round(&mut self) -> &mut Round {
        if self.rounds.is_empty() {
            self.rounds.push(Round {
                connect: None,
                request: None,
                has_expected: false,
            });
        }
        let last = self.rounds.len() - 1;
        &mut self.rounds[last]
    }

    fn sequence(mut self) -> CheckSequence {
        self.last_round();
        let mut usual = Some(self.usual);
        let mut sequence = CheckSequence::http();
        for round in self.rounds {
            if let Some(connect) = round.connect {
                sequence = sequence.connect(connect);
            }
            let usual = usual.take().unwrap_or_default();
            let request = round.request.unwrap_or(usual);
            sequence = sequence.request(if self.disable_on_404 {
                request.disable_on_404()
            } else {
                request
            });
        }
        sequence
    }
}

fn behind(keyword: &Word, what: &str) -> Finding {
    let message = format!("expected a line http-check {what} before it");
    wrong(keyword, &message)
}

/// `send [meth M] [uri U] [ver V] [hdr N V]... [body B] [comment C]`.
fn sent(mut check: HttpCheck, words: Words<'_>) -> Read<HttpCheck> {
    if words.iter().any(|word| word.is("hdr")) {
        check = check.without_headers();
    }
    let mut words = words.iter();
    while let Some(name) = words.next() {
        let mut value = || value(name, words.next());
        check = match name.text() {
            "comment" => {
                value()?;
                check
            }
            "meth" => method(check, value()?)?,
            "uri" => {
                let word = value()?;
                uri(check, word.bytes(), word)?
            }
            "uri-lf" => {
                let word = value()?;
                uri(check, &plain(word)?, word)?
            }
            "ver" => {
                let word = value()?;
                version(check, word.bytes(), word)?
            }
            "body" => check.body(value()?.bytes()),
            "body-lf" => check.body(plain(value()?)?),
            "hdr" => {
                let (field, word) = (value()?, value()?);
                let added = check.header(field.text(), plain(word)?);
                added.map_err(|error| wrong(field, &error))?
            }
            _ => {
                let message = "expected meth, uri, uri-lf, ver, hdr, body, body-lf or comment";
                return Err(wrong(name, &message));
            }
        };
    }
    Ok(check)
}
