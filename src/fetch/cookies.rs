//! Cookies of requests, and those that responses set.

use std::ops::ControlFlow;

use super::Message;
use super::fields::elements;
use crate::cookie::{Name, items};
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
        let (mut last, mut count) = (None, 0);
        self.visit(message, &mut |value| {
            last = Some(value);
            count += 1;
        });
        match self.view {
            CookieView::Count => Some(Sample::Integer(count)),
            _ => last.map(|value| self.sample(value)),
        }
    }

    pub(super) fn output(&self) -> SampleType {
        match self.view {
            CookieView::Value => SampleType::Str,
            CookieView::Count | CookieView::Integer => SampleType::Integer,
        }
    }

    /// Every value in turn.
    #[cfg(feature = "haproxy")]
    pub(super) fn any<'a>(
        &self,
        message: Message<'a>,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> bool {
        if self.view == CookieView::Count {
            return self.of(message).is_some_and(test);
        }
        let mut found = false;
        self.visit(message, &mut |value| {
            found = found || test(self.sample(value));
        });
        found
    }

    fn sample<'a>(&self, value: &'a [u8]) -> Sample<'a> {
        match self.view {
            CookieView::Integer => Sample::Integer(leading_number(value)),
            _ => Sample::from(value),
        }
    }

    fn visit<'a>(&self, message: Message<'a>, visit: &mut dyn FnMut(&'a [u8])) {
        match message {
            Message::Request(_) => message.visit_headers("cookie", &mut |line| {
                elements(line)
                    .flat_map(|element| self.values(element))
                    .for_each(&mut *visit);
                ControlFlow::Continue(())
            }),
            Message::Response(_) => message.visit_headers("set-cookie", &mut |line| {
                elements(line)
                    .flat_map(|element| self.set_by(element))
                    .for_each(&mut *visit);
                ControlFlow::Continue(())
            }),
        }
    }

    fn values<'a>(&self, element: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let unseen = self.unseen(element);
        self.name
            .values(element)
            .filter(move |value| Some(value.as_ptr()) != unseen)
    }

    /// The first pair of an element of `Set-Cookie` is the cookie; more pairs of the same
    /// name behind it are read as cookies too.
    fn set_by<'a>(&self, element: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let unseen = self.unseen(element);
        items(element)
            .filter_map(|item| Some((item.name(), item.value()?)))
            .take_while(|(name, _)| *name == self.name.as_bytes())
            .map(|(_, value)| value)
            .filter(move |value| Some(value.as_ptr()) != unseen)
    }

    /// Where the value is that HAProxy does not see: `name=` without a blank before it at
    /// the very end.
    fn unseen(&self, element: &[u8]) -> Option<*const u8> {
        let before = element
            .strip_suffix(b"=")?
            .strip_suffix(self.name.as_bytes())?;
        matches!(before, [] | [.., b';']).then_some(element.as_ptr_range().end)
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

    // Observed on HAProxy 2.6.12.
    #[test]
    fn the_first_pair_of_each_element_of_a_response_is_its_cookie() {
        let response = SimpleResponse::new(200)
            .header("Set-Cookie", "s=1; path=/")
            .header("Set-Cookie", "t=2; s=3");
        let cookie = Fetch::response_cookie("s");
        assert_eq!(cookie.on_response(&response), Some(Sample::from("1")));
        assert_eq!(cookie.on_request(&SimpleRequest::default()), None);
        for (field, expected) in [
            ("t=2, s=3", Some("3")),
            ("flag; s=4", Some("4")),
            ("s=", None),
            ("s=1; s=2", Some("2")),
            ("t=1; s=2", None),
            ("s=;path=/", Some("")),
        ] {
            let response = SimpleResponse::new(200).header("Set-Cookie", field);
            let expected = expected.map(Sample::from);
            assert_eq!(cookie.on_response(&response), expected, "{field}");
        }
    }
}
