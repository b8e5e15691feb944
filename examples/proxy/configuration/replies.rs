//! From what a configuration says about answers to the answers themselves: files are read,
//! formats parsed.

use std::fs;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use stickroute::Moment;
use stickroute::haproxy::{HttpErrors, HttpReply, LogFormat, ReplyBody, ReplyContent, Rule, Word};

use crate::configuration::fault::Fault;
use crate::configuration::words::{Read, Section, Words, literal};
use crate::http::filters::{Action, Reply};
use crate::http::pages::{self, Page};
use crate::log::Ending;

/// The most bytes of a file. HAProxy: `tune.bufsize`.
const LONGEST_FILE: usize = 16_384;

/// What a rule does that answers.
pub(crate) fn action(
    rule: &Rule,
    section: Section<'_>,
    moment: Moment,
    ending: Ending,
) -> Read<Action> {
    let Some(reply) = &rule.reply else {
        return Err(Fault::new(&rule.action, "expected deny or return"));
    };
    Ok(match page(reply, section, moment)? {
        Found::Default => Action::Page(status(reply.status, &reply.keyword)?, ending),
        Found::Page(Page::Nothing) => Action::Silence(ending),
        Found::Page(Page::Reply(reply)) => Action::Answer(reply, ending),
    })
}

/// What an answer turns out to be.
pub(crate) enum Found {
    /// The page that there is for the status.
    Default,
    Page(Page),
}

/// Reads the files and formats of an answer.
pub(crate) fn page(reply: &HttpReply, section: Section<'_>, moment: Moment) -> Read<Found> {
    let mut made = Reply::empty(status(reply.status, &reply.keyword)?);
    match &reply.content {
        ReplyContent::ErrorPage => return Ok(Found::Default),
        ReplyContent::WholeFile(file) => return whole(file).map(Found::Page),
        ReplyContent::ErrorPageOf(name) => {
            if let Some(file) = section_of(section.errors, name).file(reply.status) {
                return whole(file).map(Found::Page);
            }
        }
        ReplyContent::Body {
            source,
            word,
            content_type,
        } => {
            made.text = Some(body(*source, word, content_type.as_ref(), section, moment)?);
            made.content_type = content_type.as_ref().map(value).transpose()?;
        }
        ReplyContent::Empty => {}
        _ => return Err(Fault::new(&reply.keyword, "not supported by this program")),
    }
    for (name, format) in &reply.headers {
        let field = HeaderName::from_bytes(name.bytes());
        let field = field.map_err(|_| Fault::new(name, "expected the name of a header"))?;
        let format = words(format, section, moment).format()?;
        made.headers.push((field, format));
    }
    Ok(Found::Page(Page::Reply(made)))
}

/// The library has seen to it that there is one.
pub(crate) fn section_of<'e>(sections: &'e [HttpErrors], name: &Word) -> &'e HttpErrors {
    let mut sections = sections.iter();
    let found = sections.find(|section| name.as_str() == Some(&section.name.value));
    found.expect("the section is there")
}

pub(crate) fn status(number: u16, word: &Word) -> Read<StatusCode> {
    let status = StatusCode::from_u16(number);
    status.map_err(|_| Fault::new(word, "expected a status"))
}

fn value(word: &Word) -> Read<HeaderValue> {
    let value = HeaderValue::from_bytes(word.bytes());
    value.map_err(|_| Fault::new(word, "expected a text without control characters"))
}

fn words<'w>(word: &'w Word, section: Section<'w>, moment: Moment) -> Words<'w> {
    Words {
        section,
        rest: std::slice::from_ref(word).iter(),
        last: word,
        moment,
    }
}

fn body(
    source: ReplyBody,
    word: &Word,
    content_type: Option<&Word>,
    section: Section<'_>,
    moment: Moment,
) -> Read<LogFormat> {
    match source {
        ReplyBody::Text => Ok(literal(word.bytes())),
        ReplyBody::Format => words(word, section, moment).format(),
        ReplyBody::File => {
            let content = content(word)?;
            if content_type.is_none() && !content.is_empty() {
                let message = "expected content-type beside a file with something in it";
                return Err(Fault::new(word, message));
            }
            Ok(literal(&content))
        }
        ReplyBody::FormatFile => words(word, section, moment).format_of(&content(word)?),
    }
}

/// The content of a file of a configuration.
fn content(word: &Word) -> Read<Vec<u8>> {
    let path = word.to_string();
    let content = fs::read(&path).map_err(|error| Fault::new(word, error.to_string()))?;
    if content.len() > LONGEST_FILE {
        let message = format!("the file is too long; expected at most {LONGEST_FILE} bytes");
        return Err(Fault::new(word, message));
    }
    Ok(content)
}

/// A file with a whole response; an empty one is none at all.
pub(crate) fn whole(word: &Word) -> Read<Page> {
    let content = content(word)?;
    if content.is_empty() {
        return Ok(Page::Nothing);
    }
    let refuse = |problem: &str| Fault::new(word, format!("no HTTP response: {problem}"));
    pages::parse(&content).map(Page::Reply).map_err(refuse)
}
