//! Pages for statuses, and sections of them: `errorfile`, `errorfiles`, `errorloc`,
//! `http-error`, `http-errors`.

use super::args::{Args, argument};
use super::finding::{Finding, FindingKind};
use super::keywords::Scope;
use super::location::{Located, Word};
use super::proxy::Proxy;
use super::reply::{self, HttpReply};
use super::suggest::expected_one_of;

/// What clients get instead of a page of the proxy's own; the last line about a status
/// counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorPage {
    /// `errorfile STATUS FILE`
    File(ErrorFile),
    /// `errorfiles NAME [STATUS...]`
    Files {
        /// The name of an `http-errors` section.
        section: Word,
        /// Which of its files count; all of them if none is named.
        statuses: Vec<Located<u16>>,
    },
    /// `errorloc STATUS URL`, `errorloc302`, `errorloc303`
    Location {
        /// For this status.
        status: Located<u16>,
        /// With what the client is sent there, 302 or 303.
        how: u16,
        /// Where it is sent.
        target: Word,
    },
    /// `http-error status STATUS ...`
    Reply(HttpReply),
}

/// A file with a whole answer; an empty file is no answer at all. HAProxy:
/// `errorfile STATUS FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFile {
    /// For this status.
    pub status: Located<u16>,
    /// The path of the file.
    pub file: Word,
}

/// HAProxy: `http-errors NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpErrors {
    /// Its name.
    pub name: Located<String>,
    /// HAProxy: `errorfile`, in order.
    pub files: Vec<ErrorFile>,
}

/// The statuses that pages may be for, as in HAProxy.
const STATUSES: [u16; 19] = [
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504,
];

impl HttpErrors {
    pub(super) fn new(name: Located<String>) -> Self {
        let files = Vec::new();
        Self { name, files }
    }

    /// Follows a line of the section.
    pub(super) fn follow(&mut self, args: &mut Args<'_>) -> Result<(), Finding> {
        let keyword = args.current();
        if !keyword.is("errorfile") {
            let message = expected_one_of(keyword.text(), &["errorfile"]);
            return Err(Finding::error(FindingKind::Unknown, keyword, message));
        }
        self.files.push(file(args)?);
        Ok(())
    }

    /// The file for a status: the last one counts.
    pub fn file(&self, status: u16) -> Option<&Word> {
        let mut files = self.files.iter().rev();
        let found = files.find(|file| file.status.value == status)?;
        Some(&found.file)
    }
}

/// `errorfile` and its kin.
pub(super) fn line(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    let keyword = args.current();
    let page = match keyword.text() {
        "errorfile" => ErrorPage::File(file(args)?),
        "errorfiles" => files(args)?,
        "http-error" => {
            let (reply, findings) = http_error(keyword, args.rest())?;
            scope.findings.extend(findings);
            ErrorPage::Reply(reply)
        }
        text => ErrorPage::Location {
            how: if text.ends_with('3') { 303 } else { 302 },
            status: status(args)?,
            target: last(args, "where the client is sent")?,
        },
    };
    scope.proxy.error_pages.push(page);
    Ok(())
}

fn file(args: &mut Args<'_>) -> Result<ErrorFile, Finding> {
    Ok(ErrorFile {
        status: status(args)?,
        file: last(args, "the path of a file")?,
    })
}

fn last(args: &mut Args<'_>, expected: &str) -> Result<Word, Finding> {
    let word = args.required(expected)?.clone();
    args.end()?;
    Ok(word)
}

fn files(args: &mut Args<'_>) -> Result<ErrorPage, Finding> {
    let section = args.required("the name of an http-errors section")?.clone();
    let mut statuses = Vec::new();
    while args.peek().is_some() {
        statuses.push(status(args)?);
    }
    Ok(ErrorPage::Files { section, statuses })
}

fn status(args: &mut Args<'_>) -> Result<Located<u16>, Finding> {
    let word = args.required("a status")?;
    let number = super::args::number(word, 0, 999);
    let status = number.ok_or_else(|| argument(word, "expected a status"))? as u16;
    check_status(word, status)?;
    Ok(word.located(status))
}

/// HAProxy has pages for these only, its own as well as those of configurations.
pub(super) fn check_status(word: &Word, status: u16) -> Result<(), Finding> {
    if STATUSES.contains(&status) {
        return Ok(());
    }
    let list = STATUSES.map(|status| status.to_string()).join(", ");
    let message = format!("there is no page for this status; expected one of {list}");
    Err(argument(word, message))
}

fn http_error(keyword: &Word, words: &[Word]) -> Result<(HttpReply, Vec<Finding>), Finding> {
    let read = reply::read(keyword, words, 200)?;
    let Some(word) = read.status else {
        return Err(argument(keyword, "expected status behind it"));
    };
    check_status(word, read.reply.status)?;
    Ok((read.reply, read.findings))
}

/// That every `http-errors` section that is named is there, and has the page.
pub(super) fn check(proxies: &[Proxy], sections: &[HttpErrors], findings: &mut Vec<Finding>) {
    for proxy in proxies {
        let replies = proxy.rules.iter().filter_map(|rule| rule.reply.as_ref());
        for reply in replies {
            check_reply(reply, sections, findings);
        }
        for page in &proxy.error_pages {
            match page {
                ErrorPage::Reply(reply) => check_reply(reply, sections, findings),
                ErrorPage::Files { section, statuses } => {
                    let statuses = statuses.iter().map(|status| status.value);
                    check_pages(section, statuses, sections, findings);
                }
                ErrorPage::File(_) | ErrorPage::Location { .. } => {}
            }
        }
    }
}

fn check_reply(reply: &HttpReply, sections: &[HttpErrors], findings: &mut Vec<Finding>) {
    if let Some(name) = reply.section() {
        check_pages(name, [reply.status], sections, findings);
    }
}

fn check_pages(
    name: &Word,
    statuses: impl IntoIterator<Item = u16>,
    sections: &[HttpErrors],
    findings: &mut Vec<Finding>,
) {
    let mut known = sections.iter();
    let Some(section) = known.find(|section| name.is(&section.name.value)) else {
        let message = "there is no http-errors section of this name";
        findings.push(Finding::error(FindingKind::Target, name, message));
        return;
    };
    let missing = statuses
        .into_iter()
        .filter(|status| section.file(*status).is_none());
    for status in missing {
        let message = format!("there is no page for {status} in this section");
        findings.push(Finding::warning(FindingKind::Doubtful, name, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::Configuration;

    const SECTIONS: &str =
        "http-errors e\n errorfile 503 /a\n errorfile 503 /b\n errorfile 403 /c\n";

    fn read(lines: &str) -> Result<Configuration, String> {
        let text =
            format!("{SECTIONS}frontend web\n mode http\n bind :80\n timeout client 1s\n{lines}\n");
        Configuration::parse("t", text).map_err(|error| error.to_string())
    }

    #[test]
    fn sections_have_files_of_which_the_last_counts() {
        let read = read(" errorfiles e 403 503\n errorfiles e").unwrap();
        assert_eq!(read.findings(), []);
        let section = &read.http_errors[0];
        assert_eq!(section.name.value, "e");
        assert!(section.file(503).unwrap().is("/b"));
        assert_eq!(section.file(404), None);
        let [ErrorPage::Files { statuses, .. }, _] = &read.proxies[0].error_pages[..] else {
            panic!("{:?}", read.proxies[0].error_pages);
        };
        let statuses: Vec<_> = statuses.iter().map(|status| status.value).collect();
        assert_eq!(statuses, [403, 503]);
    }

    // Those that HAProxy 2.6.12 refuses, too, but for the ends of lines.
    #[test]
    fn what_is_wrong_is_told() {
        for (lines, expected) in [
            (" errorfile 302 /x", "'302': there is no page"),
            (" errorfile 503", "expected the path"),
            (" errorfile 503 /x y", "'y': expected nothing more"),
            (" errorfiles", "expected the name"),
            (" errorfiles e 600", "'600': there is no page"),
            (
                " errorfiles none",
                "'none': there is no http-errors section",
            ),
            (" errorloc 503", "expected where the client"),
            (
                " http-error content-type a string b",
                "expected status behind it",
            ),
            (" http-error status 302", "'302': there is no page"),
            (
                "http-errors e",
                "'e': another http-errors section is at t:1:13",
            ),
            ("http-errors\n", "expected a name"),
            (
                "http-errors f\n errorloc 503 /",
                "'errorloc': expected one of errorfile",
            ),
        ] {
            let error = read(lines).unwrap_err();
            assert!(error.contains(expected), "{lines}: {error}");
        }
        let read = read(" errorfiles e 403 504\n").unwrap();
        let [finding] = read.findings() else {
            panic!("{:?}", read.findings());
        };
        assert!(
            finding
                .to_string()
                .contains("'e': there is no page for 504")
        );
    }
}
