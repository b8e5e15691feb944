//! Cookies of requests, and those that responses set.

use std::ops::ControlFlow;

use super::Message;
use super::fields::elements;
use crate::cookie::{Name, set_cookie_pair};
use crate::sample::{Sample, SampleType};
use crate::text::leading_number;

#[derive(Clone, Debug)]
pub(super) struct CookieFetch {
    pub(super) name: Name<'static>,
    pub(super) view: CookieView,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieView {
    Value,
    Count,
    Integer,
}

impl CookieFetch {
    pub(super) fn of<'a>(&self, message: Message<'a>) -> Option<Sample<'a>> {
        let (value, count) = match message {
            Message::Request(_) => self.in_request(message),
            Message::Response(_) => self.in_response(message),
        };
        match self.view {
            CookieView::Value => value.map(Sample::from),
            CookieView::Count => Some(Sample::Integer(count)),
            CookieView::Integer => value.map(|value| Sample::Integer(leading_number(value))),
        }
    }

    pub(super) fn output(&self) -> SampleType {
        match self.view {
            CookieView::Value => SampleType::Str,
            CookieView::Count | CookieView::Integer => SampleType::Integer,
        }
    }

    /// The last value, and how many there are.
    fn in_request<'a>(&self, message: Message<'a>) -> (Option<&'a [u8]>, i64) {
        let mut found = (None, 0);
        message.visit_headers("cookie", &mut |line| {
            for element in elements(line) {
                found = self
                    .values(element)
                    .fold(found, |(_, count), value| (Some(value), count + 1));
            }
            ControlFlow::Continue(())
        });
        found
    }

    /// HAProxy does not see `name=` without a blank before it at the very end.
    fn values<'a>(&self, element: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let before = element
            .strip_suffix(b"=")
            .and_then(|rest| rest.strip_suffix(self.name.as_bytes()));
        let is_unseen = matches!(before, Some([] | [.., b';']));
        let end = element.as_ptr_range().end;
        self.name
            .values(element)
            .filter(move |value| !(is_unseen && value.as_ptr() == end))
    }

    fn in_response<'a>(&self, message: Message<'a>) -> (Option<&'a [u8]>, i64) {
        let mut found = (None, 0);
        message.visit_headers("set-cookie", &mut |line| {
            if let Some((name, value)) = set_cookie_pair(line)
                && name == self.name.as_bytes()
            {
                found = (Some(value), found.1 + 1);
            }
            ControlFlow::Continue(())
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::{Fetch, Sample, SimpleRequest, SimpleResponse};

    // Observed on HAProxy 2.6.12.
    #[test]
    fn the_last_cookie_of_a_request_counts() {
        let request = SimpleRequest::new("GET", "/")
            .header("Cookie", "s=1; S=0; s=2x")
            .header("Cookie", "a=3");
        let sample = |fetch: Fetch| fetch.on_request(&request).map(Sample::into_owned);
        assert_eq!(sample(Fetch::cookie("s")), Some(Sample::from("2x")));
        assert_eq!(sample(Fetch::cookie_integer("s")), Some(Sample::Integer(2)));
        assert_eq!(sample(Fetch::cookie_count("s")), Some(Sample::Integer(2)));
        assert_eq!(sample(Fetch::cookie("b")), None);
        assert_eq!(sample(Fetch::cookie_count("b")), Some(Sample::Integer(0)));
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_empty_value_at_the_very_end_is_seen_behind_a_blank_only() {
        let value = |line: &str| {
            let request = SimpleRequest::new("GET", "/").header("Cookie", line);
            Fetch::cookie("s").on_request(&request).is_some()
        };
        for line in ["s=;", "a=1; s=", "s= ;x", "s=;t"] {
            assert!(value(line), "{line}");
        }
        for line in ["s=", "a=1;s=", "s=, t=", "a=1, s="] {
            assert!(!value(line), "{line}");
        }
    }

    #[test]
    fn a_response_sets_one_cookie_a_field() {
        let response = SimpleResponse::new(200)
            .header("Set-Cookie", "s=1; path=/")
            .header("Set-Cookie", "t=2; s=3");
        let cookie = Fetch::response_cookie("s");
        assert_eq!(cookie.on_response(&response), Some(Sample::from("1")));
        assert_eq!(cookie.on_request(&SimpleRequest::default()), None);
    }
}
