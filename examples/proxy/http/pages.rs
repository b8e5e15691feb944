//! Answers that a section has for statuses: `errorfile`, `errorloc`, `http-error`.

use std::collections::BTreeMap;
use std::fs;

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, Version};
use stickroute::haproxy::{LogRecord, Proxy, Word};
use stickroute::{Moment, Request};

use crate::configuration::fault::Fault;
use crate::configuration::rule_words;
use crate::configuration::words::{Read, Section, Words, literal};
use crate::http::answer;
use crate::http::filters::{self, Reply};

/// The statuses that pages may be written for, as in HAProxy.
const STATUSES: [u16; 19] = [
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504,
];

/// The most bytes of a file. HAProxy: `tune.bufsize`.
const LONGEST_FILE: usize = 16_384;

/// The pages of one section.
#[derive(Debug, Default)]
pub(crate) struct Pages(BTreeMap<u16, Page>);

#[derive(Debug)]
enum Page {
    /// An empty file: the client gets nothing at all.
    Nothing,
    Reply(Reply),
}

impl Pages {
    /// Those of a section and of its `defaults`.
    pub(crate) fn of(proxy: &Proxy, section: Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut pages = Self::default();
        for line in &proxy.error_pages {
            if let Err(fault) = pages.add(line, section) {
                faults.push(fault);
            }
        }
        pages
    }

    fn add(&mut self, line: &[Word], section: Section<'_>) -> Read<()> {
        let Some((keyword, rest)) = line.split_first() else {
            return Ok(());
        };
        let mut words = Words {
            section,
            rest: rest.iter(),
            last: keyword,
            moment: Moment::Request,
        };
        let (status, page) = match keyword.as_str() {
            Some("http-error") => http_error(&mut words)?,
            Some("errorfile") => (status(&mut words)?, file(words.next("a file")?)?),
            Some("errorloc303") => location(&mut words, StatusCode::SEE_OTHER)?,
            _ => location(&mut words, StatusCode::FOUND)?,
        };
        words.end()?;
        self.0.insert(status.as_u16(), page);
        Ok(())
    }

    /// Whether it has a page for a status.
    pub(crate) fn has(&self, status: StatusCode) -> bool {
        self.0.contains_key(&status.as_u16())
    }

    /// Whether clients are to get nothing instead of an answer with this status.
    pub(crate) fn is_silent(&self, status: StatusCode) -> bool {
        matches!(self.0.get(&status.as_u16()), Some(Page::Nothing))
    }

    /// The answer for a request; `None` if there is nothing to say.
    pub(crate) fn answer(
        &self,
        status: StatusCode,
        record: &LogRecord<'_>,
        request: &dyn Request,
    ) -> Option<Response<Full<Bytes>>> {
        match self.0.get(&status.as_u16()) {
            None => Some(answer::page(status)),
            Some(Page::Nothing) => None,
            Some(Page::Reply(reply)) => {
                let fill = |format: &_| filters::on_request(format, record, request);
                Some(*reply.fill(fill))
            }
        }
    }
}

fn status(words: &mut Words<'_>) -> Read<StatusCode> {
    let status = words.status(200..=599)?;
    check(status, words.last)?;
    Ok(status)
}

/// HAProxy has pages for these only, its own as well as those of configurations.
pub(crate) fn check(status: StatusCode, word: &Word) -> Read<()> {
    if STATUSES.contains(&status.as_u16()) {
        return Ok(());
    }
    let message = "there is no page for this status; expected one of 200, 400, 401, 403, 404, \
         405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504";
    Err(Fault::new(word, message))
}

/// `http-error status N [content-type T] [...]`
fn http_error(words: &mut Words<'_>) -> Read<(StatusCode, Page)> {
    // That nobody can write.
    const NONE: StatusCode = StatusCode::CONTINUE;
    let keyword = words.last;
    let reply = rule_words::reply(words, NONE)?;
    let status = reply.status;
    if status == NONE {
        return Err(Fault::new(keyword, "expected status behind it"));
    }
    check(status, keyword)?;
    Ok((status, Page::Reply(reply)))
}

fn location(words: &mut Words<'_>, how: StatusCode) -> Read<(StatusCode, Page)> {
    let status = status(words)?;
    let fields = [
        (header::CACHE_CONTROL, literal(b"no-cache")),
        (header::LOCATION, words.literal()?),
    ];
    let reply = Reply {
        headers: fields.into(),
        ..Reply::empty(how)
    };
    Ok((status, Page::Reply(reply)))
}

/// The content of a file of a configuration.
pub(crate) fn content(word: &Word) -> Read<Vec<u8>> {
    let path = word.to_string();
    let content = fs::read(&path).map_err(|error| Fault::new(word, error.to_string()))?;
    if content.len() > LONGEST_FILE {
        let message = format!("the file is too long; expected at most {LONGEST_FILE} bytes");
        return Err(Fault::new(word, message));
    }
    Ok(content)
}

fn file(word: &Word) -> Read<Page> {
    let content = content(word)?;
    if content.is_empty() {
        return Ok(Page::Nothing);
    }
    let refuse = |problem: &str| Fault::new(word, format!("no HTTP response: {problem}"));
    parse(&content).map(Page::Reply).map_err(refuse)
}

/// A file with a whole response.
pub(crate) fn whole(word: &Word) -> Read<Reply> {
    match file(word)? {
        Page::Reply(reply) => Ok(reply),
        Page::Nothing => Err(Fault::new(word, "the file is empty")),
    }
}

/// A status line, fields and a body.
fn parse(content: &[u8]) -> Result<Reply, &'static str> {
    let end =
        crate::client::syntax::end(content).ok_or("there is no empty line behind its head")?;
    let (head, body) = content.split_at(end);
    let head = std::str::from_utf8(head).map_err(|_| "its head is no text")?;
    let mut lines = head.lines();
    let mut reply = Reply::empty(status_line(lines.next().unwrap_or_default())?);
    // Such a file ends the connection.
    if head.starts_with("HTTP/1.0") {
        reply.version = Version::HTTP_10;
    }
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or("a field has no colon")?;
        let name: HeaderName = name.parse().map_err(|_| "a field has no valid name")?;
        let value = value.trim();
        HeaderValue::from_str(value).map_err(|_| "a field has no valid value")?;
        match name {
            header::CONTENT_LENGTH if value != body.len().to_string() => {
                return Err("its length is not that of its content-length");
            }
            header::CONTENT_LENGTH | header::CONNECTION => {}
            header::TRANSFER_ENCODING => return Err("it has a transfer-encoding"),
            name => reply.headers.push((name, literal(value.as_bytes()))),
        }
    }
    reply.text = Some(literal(body));
    Ok(reply)
}

fn status_line(line: &str) -> Result<StatusCode, &'static str> {
    let mut words = line.split(' ');
    let is_known = matches!(words.next(), Some("HTTP/1.0" | "HTTP/1.1"));
    let status = words.next().and_then(|word| word.parse().ok());
    let status = status.filter(|_| is_known);
    status.ok_or("it does not begin with HTTP/1.0 or HTTP/1.1 and a status")
}

#[cfg(test)]
mod tests {
    use stickroute::SimpleRequest;

    use super::*;

    #[test]
    fn files_are_whole_responses() {
        let reply = parse(b"HTTP/1.0 503 Gone\r\nX-A: 50%\r\nContent-Length: 3\n\r\na%b").unwrap();
        assert_eq!(reply.status, 503);
        let request = SimpleRequest::new("GET", "/");
        let record = LogRecord::default();
        let answer = reply.fill(|format| filters::on_request(format, &record, &request));
        assert_eq!(answer.headers()["x-a"], "50%");
        assert_eq!(answer.headers()["connection"], "close");
        for wrong in [
            "HTTP/1.1 503 Gone\r\n",
            "503 Gone\r\n\r\n",
            "HTTP/1.1 Gone\r\n\r\n",
            "HTTP/1.1 503\r\nno field\r\n\r\n",
            "HTTP/1.1 503\r\nContent-Length: 2\r\n\r\na",
            "HTTP/1.1 503\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
