//! Answers that rules and error pages give.

use std::slice;

use super::args::{argument, missing};
use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::pages;
use crate::haproxy::is_token;

/// An answer the proxy gives by itself. HAProxy: what is behind `http-request deny`,
/// `http-request return` and `http-error`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpReply {
    /// The word it is about: `deny`, `return` or `http-error`.
    pub keyword: Word,
    /// The status of the answer, 200 to 599; default 200, that of `deny` on requests 403 and
    /// on responses 502. A whole answer of a file has its own. HAProxy: `status`,
    /// `deny_status`.
    pub status: u16,
    /// What it says.
    pub content: ReplyContent,
    /// Names of header fields, and formats of their values; empty beside files with whole
    /// answers. HAProxy: `hdr NAME FORMAT`.
    pub headers: Vec<(Word, Word)>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyContent {
    /// Nothing.
    Empty,
    /// The page that the section has for the status, or the proxy has. HAProxy:
    /// `default-errorfiles`, and `deny` with nothing behind it.
    ErrorPage,
    /// The page for the status of an `http-errors` section, by its name; nothing if that has
    /// none. HAProxy: `errorfiles NAME`.
    ErrorPageOf(Word),
    /// A file with a whole answer; an empty file is no answer at all. HAProxy:
    /// `errorfile FILE`.
    WholeFile(Word),
    /// A body of this type. HAProxy: `content-type T` and one of `string`, `lf-string`,
    /// `file` and `lf-file`.
    Body {
        /// Where it comes from.
        source: ReplyBody,
        /// The text, or the path of the file.
        word: Word,
        /// Its type; `None` stands only beside a file, which must be empty then.
        content_type: Option<Word>,
    },
}

/// Where a body comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyBody {
    /// `string`: a text as it is.
    Text,
    /// `lf-string`: a format.
    Format,
    /// `file`: a file as it is.
    File,
    /// `lf-file`: a file that is a format.
    FormatFile,
}

impl HttpReply {
    /// The `http-errors` section it takes its page from.
    pub(super) fn section(&self) -> Option<&Word> {
        match &self.content {
            ReplyContent::ErrorPageOf(name) => Some(name),
            _ => None,
        }
    }
}

/// An answer, and what is odd about it.
pub(super) struct Read<'w> {
    pub(super) reply: HttpReply,
    /// Where its status is, if it is written.
    pub(super) status: Option<&'w Word>,
    pub(super) findings: Vec<Finding>,
}

/// Reads what is behind `action`.
pub(super) fn read<'w>(
    action: &'w Word,
    words: &'w [Word],
    status: u16,
) -> Result<Read<'w>, Finding> {
    let mut reading = Reading {
        rest: words.iter(),
        last: action,
        status: None,
        is_denial: action.is("deny"),
        headers: Vec::new(),
        content_type: None,
        content: None,
    };
    while let Some(word) = reading.rest.next() {
        reading.last = word;
        reading.follow(word)?;
    }
    reading.finish(action, status)
}

struct Reading<'w> {
    rest: slice::Iter<'w, Word>,
    last: &'w Word,
    status: Option<(&'w Word, u16)>,
    /// It is a denial, and nothing has been said that is not about its page.
    is_denial: bool,
    headers: Vec<(Word, Word)>,
    content_type: Option<&'w Word>,
    /// With the keyword.
    content: Option<(&'w Word, ReplyContent)>,
}

impl<'w> Reading<'w> {
    fn follow(&mut self, keyword: &'w Word) -> Result<(), Finding> {
        let body = |source, word: &Word| ReplyContent::Body {
            source,
            word: word.clone(),
            content_type: None,
        };
        match keyword.text() {
            "status" => {
                self.status = Some(self.status()?);
                self.is_denial = false;
            }
            "deny_status" => self.status = Some(self.status()?),
            "content-type" => self.content_type = Some(self.next("a type")?),
            "hdr" => {
                let name = self.next("the name of a header")?;
                if !is_token(name.text()) {
                    return Err(argument(name, "expected the name of a header"));
                }
                let format = self.next("a text")?;
                self.headers.push((name.clone(), format.clone()));
            }
            "string" => self.content(keyword, |word| body(ReplyBody::Text, word))?,
            "lf-string" => self.content(keyword, |word| body(ReplyBody::Format, word))?,
            "file" => self.content(keyword, |word| body(ReplyBody::File, word))?,
            "lf-file" => self.content(keyword, |word| body(ReplyBody::FormatFile, word))?,
            "errorfile" => self.content(keyword, |word| ReplyContent::WholeFile(word.clone()))?,
            "errorfiles" => {
                self.content(keyword, |word| ReplyContent::ErrorPageOf(word.clone()))?;
            }
            "default-errorfiles" => self.settle(keyword, ReplyContent::ErrorPage)?,
            _ => {
                let message = "expected one of status, content-type, string, lf-string, file, \
                     lf-file, errorfile, errorfiles, default-errorfiles, hdr";
                return Err(argument(keyword, message));
            }
        }
        Ok(())
    }

    fn next(&mut self, expected: &str) -> Result<&'w Word, Finding> {
        let found = self.rest.next().filter(|word| !word.bytes().is_empty());
        let word = found.ok_or_else(|| missing(self.last, &format!("{expected} behind it")))?;
        self.last = word;
        Ok(word)
    }

    fn status(&mut self) -> Result<(&'w Word, u16), Finding> {
        let word = self.next("a status")?;
        let status = super::args::number(word, 200, 599);
        let status = status.ok_or_else(|| argument(word, "expected a status from 200 to 599"))?;
        Ok((word, status as u16))
    }

    fn content(
        &mut self,
        keyword: &'w Word,
        make: impl FnOnce(&Word) -> ReplyContent,
    ) -> Result<(), Finding> {
        let expected = match keyword.text() {
            "string" | "lf-string" => "a text",
            "errorfiles" => "the name of an http-errors section",
            _ => "the path of a file",
        };
        let content = make(self.next(expected)?);
        self.settle(keyword, content)
    }

    fn settle(&mut self, keyword: &'w Word, content: ReplyContent) -> Result<(), Finding> {
        if let Some((first, _)) = &self.content {
            let message = format!("{first} is there already; expected one of them");
            return Err(Finding::error(FindingKind::Conflict, keyword, message));
        }
        self.content = Some((keyword, content));
        Ok(())
    }

    fn finish(self, action: &'w Word, default: u16) -> Result<Read<'w>, Finding> {
        let is_bare = self.is_denial && self.headers.is_empty();
        let (keyword, mut content) = match self.content {
            Some((keyword, content)) => (keyword, content),
            None if is_bare => (action, ReplyContent::ErrorPage),
            None => (action, ReplyContent::Empty),
        };
        let place = self.status.map(|(word, _)| word);
        let (word, status) = self.status.unwrap_or((keyword, default));
        let mut headers = self.headers;
        let mut findings = Vec::new();
        match &mut content {
            ReplyContent::Body {
                source,
                content_type,
                ..
            } => {
                *content_type = self.content_type.cloned();
                if content_type.is_none() && *source != ReplyBody::File {
                    return Err(missing(keyword, "content-type and a type beside it"));
                }
            }
            other => {
                if matches!(
                    other,
                    ReplyContent::ErrorPage | ReplyContent::ErrorPageOf(_)
                ) {
                    pages::check_status(word, status)?;
                }
                findings.extend(
                    self.content_type
                        .map(|word| no_effect(word, "there is no body")),
                );
                if let (false, Some((name, _))) = (*other == ReplyContent::Empty, headers.first()) {
                    findings.push(no_effect(name, "the answer is whole"));
                    headers.clear();
                }
            }
        }
        let reply = HttpReply {
            keyword: action.clone(),
            status,
            content,
            headers,
        };
        Ok(Read {
            reply,
            status: place,
            findings,
        })
    }
}

fn no_effect(word: &Word, why: &str) -> Finding {
    Finding::warning(FindingKind::NoEffect, word, format!("has no effect: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::Configuration;

    fn read(line: &str) -> Result<(HttpReply, Vec<String>), String> {
        let text = format!(
            "http-errors e\n errorfile 503 /503\nfrontend web\n mode http\n bind :80\n \
             timeout client 1s\n {line}\n"
        );
        let read = Configuration::parse("t", text).map_err(|error| error.to_string())?;
        let findings = read.findings().iter().map(ToString::to_string);
        let reply = read.proxies[0].rules[0].reply.clone().expect("it has one");
        Ok((reply, findings.collect()))
    }

    fn content(line: &str) -> ReplyContent {
        let (reply, findings) = read(line).unwrap();
        assert!(findings.is_empty(), "{line}: {findings:?}");
        reply.content
    }

    #[test]
    fn a_denial_without_more_is_the_page_of_its_status() {
        for (line, status) in [
            ("http-request deny", 403),
            ("http-response deny", 502),
            ("http-request deny deny_status 429", 429),
            ("http-request deny default-errorfiles", 403),
            ("http-request return default-errorfiles", 200),
        ] {
            let (reply, _) = read(line).unwrap();
            assert_eq!(
                (reply.status, reply.content),
                (status, ReplyContent::ErrorPage)
            );
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_status_or_a_header_makes_it_an_answer_of_its_own() {
        for line in [
            "http-request deny status 403",
            "http-request deny hdr X-A b",
            "http-request return",
            "http-request return hdr X-A b",
        ] {
            assert_eq!(content(line), ReplyContent::Empty, "{line}");
        }
    }

    #[test]
    fn bodies_have_a_type_and_pages_a_place() {
        for (name, expected) in [
            ("string", ReplyBody::Text),
            ("lf-string", ReplyBody::Format),
            ("file", ReplyBody::File),
            ("lf-file", ReplyBody::FormatFile),
        ] {
            let line = format!("http-request return content-type a/b {name} %ci if TRUE");
            let ReplyContent::Body {
                source,
                content_type,
                ..
            } = content(&line)
            else {
                panic!("{line}");
            };
            assert_eq!(source, expected);
            assert_eq!(content_type.unwrap().text(), "a/b");
        }
        let whole = content("http-request return status 299 errorfile /x");
        assert!(matches!(whole, ReplyContent::WholeFile(word) if word.is("/x")));
        let page = content("http-request deny status 503 errorfiles e");
        assert!(matches!(page, ReplyContent::ErrorPageOf(word) if word.is("e")));
    }

    #[test]
    fn what_has_no_effect_is_told() {
        for (line, expected) in [
            ("http-request return content-type a", "'a': has no effect"),
            (
                "http-request return errorfile /x hdr X-A b",
                "'X-A': has no effect",
            ),
            (
                "http-request deny default-errorfiles hdr X-A b",
                "'X-A': has no effect",
            ),
            (
                "http-request return status 504 errorfiles e",
                "'e': there is no page for 504",
            ),
        ] {
            let (_, findings) = read(line).unwrap();
            assert_eq!(findings.len(), 1, "{line}");
            assert!(findings[0].contains(expected), "{line}: {findings:?}");
        }
    }

    // Those that HAProxy 2.6.12 refuses, too.
    #[test]
    fn what_is_wrong_is_told() {
        for (line, expected) in [
            ("return status 199", "'199': expected a status from 200"),
            (
                "return status 299 default-errorfiles",
                "'299': there is no page",
            ),
            ("return status 302 errorfiles e", "'302': there is no page"),
            ("deny deny_status 299", "'299': there is no page"),
            ("return string a", "'string': expected content-type"),
            ("return lf-file /x", "'lf-file': expected content-type"),
            (
                "return content-type a string b file c",
                "'file': string is there already",
            ),
            ("return content-type a string", "'string': expected a text"),
            ("return foo", "'foo': expected one of status"),
            ("return hdr a(b c", "'a(b': expected the name"),
            (
                "return errorfiles none",
                "'none': there is no http-errors section",
            ),
        ] {
            let error = read(&format!("http-request {line}")).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
