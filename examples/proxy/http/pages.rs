//! Answers that a section has for statuses: `errorfile`, `errorfiles`,
//! `errorloc`, `http-error`.

use std::collections::BTreeMap;

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, Version};
use stickroute::haproxy::{ErrorFile, ErrorPage, LogRecord, Proxy, Word};
use stickroute::{Moment, Request};

use crate::configuration::fault::Fault;
use crate::configuration::replies::{self, Found};
use crate::configuration::words::{Read, Section, literal};
use crate::http::answer;
use crate::http::filters::{self, Reply};

/// The pages of one section.
#[derive(Debug, Default)]
pub(crate) struct Pages(BTreeMap<u16, Page>);

#[derive(Debug)]
pub(crate) enum Page {
    /// An empty file: the client gets nothing at all.
    Nothing,
    Reply(Reply),
}

impl Pages {
    /// Those of a section and of its `defaults`.
    pub(crate) fn of(proxy: &Proxy, section: Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut pages = Self::default();
        for page in &proxy.error_pages {
            if let Err(fault) = pages.add(page, section) {
                faults.push(fault);
            }
        }
        pages
    }

    /// A later line takes the place of an earlier one.
    fn add(&mut self, page: &ErrorPage, section: Section<'_>) -> Read<()> {
        match page {
            ErrorPage::File(file) => self.add_file(file)?,
            ErrorPage::Files {
                section: name,
                statuses,
            } => {
                let is_meant = |file: &&ErrorFile| {
                    let mut statuses = statuses.iter();
                    statuses.len() == 0 || statuses.any(|status| status.value == file.status.value)
                };
                let section = replies::section_of(section.errors, name);
                let mut files = section.files.iter().filter(is_meant);
                files.try_for_each(|file| self.add_file(file))?;
            }
            ErrorPage::Location {
                status,
                how,
                target,
            } => {
                let page = location(*how, target)?;
                self.0.insert(status.value, page);
            }
            ErrorPage::Reply(reply) => {
                match replies::page(reply, section, Moment::Request)? {
                    Found::Default => self.0.remove(&reply.status),
                    Found::Page(page) => self.0.insert(reply.status, page),
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn add_file(&mut self, file: &ErrorFile) -> Read<()> {
        self.0
            .insert(file.status.value, replies::whole(&file.file)?);
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

fn location(how: u16, target: &Word) -> Read<Page> {
    let fields = [
        (header::CACHE_CONTROL, literal(b"no-cache")),
        (header::LOCATION, literal(target.bytes())),
    ];
    Ok(Page::Reply(Reply {
        headers: fields.into(),
        ..Reply::empty(replies::status(how, target)?)
    }))
}

/// A status line, fields and a body.
pub(crate) fn parse(content: &[u8]) -> Result<Reply, &'static str> {
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
