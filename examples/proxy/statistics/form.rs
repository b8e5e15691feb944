//! What the buttons of the page do: states of servers. The fields are those of HAProxy's
//! form, `b`, `s` and `action`, and `token` beside them.

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use stickroute::AdminState;

use super::page::{Page, plain};
use super::secret;
use crate::http::answer::Made;
use crate::server::changes::Standing;
use crate::service::site::Site;

/// More than any form of the page.
const MOST_BYTES: usize = 16_384;

/// Follows a form; an error is an answer, too.
pub(super) async fn carry_out(
    page: &Page,
    site: &Site,
    parts: &Parts,
    is_admin: bool,
    body: &mut Incoming,
) -> Result<Made, Made> {
    if !is_admin {
        return Ok(back_to(page, Outcome::Denied));
    }
    if secret::is_from_elsewhere(parts) {
        return Err(plain(
            StatusCode::FORBIDDEN,
            "this form comes from another site\n",
        ));
    }
    let body = Limited::new(body, MOST_BYTES).collect().await;
    let body = body.map_err(|_| plain(StatusCode::PAYLOAD_TOO_LARGE, "not such a form\n"))?;
    let form = Form::parse(&body.to_bytes());
    let secret = site.ledger.secret.as_str();
    if !secret::is_equal(form.token.as_bytes(), secret.as_bytes()) {
        let text = "this form is not of this process: load the page anew\n";
        return Err(plain(StatusCode::FORBIDDEN, text));
    }
    Ok(back_to(page, form.follow(page, site)))
}

#[derive(Debug, Default)]
struct Form {
    token: String,
    backend: String,
    servers: Vec<String>,
    action: String,
}

/// What has become of a form, with HAProxy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// For some of the servers.
    Partly,
    Nothing,
    Wrong,
    Denied,
}

impl Outcome {
    const ALL: [(Self, &str); 5] = [
        (Self::Done, "DONE"),
        (Self::Partly, "PART"),
        (Self::Nothing, "NONE"),
        (Self::Wrong, "ERRP"),
        (Self::Denied, "DENY"),
    ];

    pub(super) fn parse(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        Some(all.find(|(_, known)| *known == word)?.0)
    }

    fn word(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(known, _)| *known == self)
            .map_or("ERRP", |(_, word)| word)
    }
}

impl Form {
    fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for pair in body.split(|byte| *byte == b'&') {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = pair.split_at(equals.unwrap_or(pair.len()));
            let value = decode(value.strip_prefix(b"=").unwrap_or_default());
            match name {
                b"token" => form.token = value,
                b"b" => form.backend = value,
                b"s" => form.servers.push(value),
                b"action" => form.action = value,
                _ => {}
            }
        }
        form
    }

    fn follow(&self, page: &Page, site: &Site) -> Outcome {
        let state = match self.action.as_str() {
            "ready" => AdminState::Ready,
            "drain" => AdminState::Drain,
            "maint" => AdminState::Maintenance,
            _ if self.servers.is_empty() => return Outcome::Nothing,
            _ => return Outcome::Wrong,
        };
        let is_shown = page
            .sections(site)
            .any(|section| section.name == self.backend);
        let Some(backend) = site.routing.backend(&self.backend).filter(|_| is_shown) else {
            return Outcome::Wrong;
        };
        let mut standing = Standing::of(site);
        let set = |name: &&String| backend.set_admin_state(name.as_str(), state).is_ok();
        let done = self.servers.iter().filter(set).count();
        standing.tell();
        match (done, self.servers.len()) {
            (_, 0) => Outcome::Nothing,
            (0, _) => Outcome::Wrong,
            (done, all) if done < all => Outcome::Partly,
            _ => Outcome::Done,
        }
    }
}

/// Takes the escapes of a form away (WHATWG URL section 5.1).
fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let hex = behind
            .get(..2)
            .and_then(|digits| str::from_utf8(digits).ok());
        let escaped = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = behind;
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The page once more, so that reloading it repeats nothing.
fn back_to(page: &Page, outcome: Outcome) -> Made {
    let mut answer = plain(StatusCode::SEE_OTHER, "");
    let location = format!("{};st={}", page.prefix, outcome.word());
    if let Ok(location) = HeaderValue::try_from(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let form = Form::parse(b"b=a%26p&s=s+1&s=%zz%4&action=drain&token=t%3D&x&=y&");
        assert_eq!(
            (form.backend.as_str(), form.action.as_str()),
            ("a&p", "drain")
        );
        assert_eq!(form.servers, ["s 1", "%zz%4"]);
        assert_eq!(form.token, "t=");
        assert_eq!(decode(b"%ff%"), "\u{fffd}%");
    }
}
