//! Header fields and their comma-separated elements.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Message, Side, address};
use crate::cookie::trim;
use crate::message::HeaderVisitor;
use crate::sample::{Sample, SampleType};
use crate::text::leading_number;

/// A fetch of a header field, and which occurrence of it.
#[derive(Clone, Debug)]
pub struct HeaderFetch {
    side: Side,
    fields: Fields,
}

/// Header fields of one name, and what of them is wanted.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    name: Arc<str>,
    view: FieldView,
    /// From 1, or backwards from -1; `None` for the last one, or each in a condition.
    occurrence: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldView {
    Element,
    Line,
    Address,
    Integer,
    ElementCount,
    LineCount,
}

impl HeaderFetch {
    pub(crate) fn new(side: Side, name: impl Into<Arc<str>>, view: FieldView) -> Self {
        let name = name.into();
        let occurrence = None;
        let fields = Fields {
            name,
            view,
            occurrence,
        };
        Self { side, fields }
    }

    /// Which one: 1 is the first, -1 the last, which is the default, -2 the last but one.
    /// 0 is the last one too. HAProxy: the second argument of `hdr`, from -10.
    #[must_use]
    pub fn occurrence(mut self, number: i32) -> Self {
        self.fields.occurrence = Some(number);
        self
    }

    pub(super) fn into_parts(self) -> (Side, Fields) {
        (self.side, self.fields)
    }
}

impl Fields {
    pub(super) fn of<'a>(&self, message: Message<'a>) -> Option<Sample<'a>> {
        match self.view {
            FieldView::ElementCount | FieldView::LineCount => {
                Some(Sample::Integer(self.count(message) as i64))
            }
            _ => self.sample(self.find(message)?),
        }
    }

    /// Every occurrence in turn, unless one of them is named.
    #[cfg(feature = "haproxy")]
    pub(super) fn any<'a>(
        &self,
        message: Message<'a>,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> bool {
        let is_count = matches!(self.view, FieldView::ElementCount | FieldView::LineCount);
        if self.occurrence.is_some() || is_count {
            return self.of(message).is_some_and(test);
        }
        let mut found = false;
        self.visit(message, &mut |value| {
            found = self.sample(value).is_some_and(&mut *test);
            if found {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        found
    }

    fn sample<'a>(&self, value: &'a [u8]) -> Option<Sample<'a>> {
        match self.view {
            FieldView::Address => address::of_field(value).map(Sample::from),
            FieldView::Integer => Some(Sample::Integer(leading_number(value))),
            _ => Some(Sample::from(value)),
        }
    }

    pub(super) fn output(&self) -> SampleType {
        match self.view {
            FieldView::Element | FieldView::Line => SampleType::Str,
            FieldView::Address => SampleType::Ipv4,
            FieldView::Integer | FieldView::ElementCount | FieldView::LineCount => {
                SampleType::Integer
            }
        }
    }

    fn find<'a>(&self, message: Message<'a>) -> Option<&'a [u8]> {
        match self.occurrence.unwrap_or(-1) {
            -1 | 0 => {
                let mut last = None;
                self.visit(message, &mut |value| {
                    last = Some(value);
                    ControlFlow::Continue(())
                });
                last
            }
            number if number < 0 => {
                let from_end = number.unsigned_abs() as usize;
                self.nth(message, self.count(message).checked_sub(from_end)?)
            }
            number => self.nth(message, number as usize - 1),
        }
    }

    fn nth<'a>(&self, message: Message<'a>, index: usize) -> Option<&'a [u8]> {
        let mut left = index;
        let mut found = None;
        self.visit(message, &mut |value| {
            if left == 0 {
                found = Some(value);
                return ControlFlow::Break(());
            }
            left -= 1;
            ControlFlow::Continue(())
        });
        found
    }

    fn count(&self, message: Message<'_>) -> usize {
        let mut count = 0;
        self.visit(message, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        count
    }

    /// Hands over every element, or every line, without the blanks around it.
    fn visit<'a>(&self, message: Message<'a>, visit: HeaderVisitor<'_, 'a>) {
        let is_whole = matches!(self.view, FieldView::Line | FieldView::LineCount);
        message.visit_headers(&self.name, &mut |line| {
            if is_whole {
                return visit(trim(line));
            }
            elements(line).try_for_each(&mut *visit)
        });
    }
}

impl<'a> Message<'a> {
    pub(super) fn visit_headers(self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        match self {
            Self::Request(request) => request.visit_headers(name, visit),
            Self::Response(response) => response.visit_headers(name, visit),
        }
    }
}

/// The comma-separated elements of a field, without the blanks around them. An empty
/// field has one, and an element follows every comma outside double quotes.
pub(crate) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = element_end(line);
        rest = line.get(end + 1..);
        Some(trim(&line[..end]))
    })
}

/// The first comma outside double quotes, or the end.
pub(crate) fn element_end(line: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let comma = line.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        byte == b',' && !quoted
    });
    comma.unwrap_or(line.len())
}

#[cfg(test)]
mod tests {
    use crate::{Fetch, SimpleRequest};

    fn request() -> SimpleRequest {
        SimpleRequest::new("GET", "/")
            .header("X-L", "a1, b2 ,\"c,3\"")
            .header("x-l", " d4,,")
            .header("X-Empty", "")
    }

    fn text(fetch: impl Into<Fetch>) -> Option<String> {
        let (fetch, request) = (fetch.into(), request());
        let sample = fetch.on_request(&request)?;
        Some(sample.with_text(|text| text.escape_ascii().to_string()))
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn elements_are_counted_over_all_fields_from_either_end() {
        let nth = |number| text(Fetch::header("x-l").occurrence(number));
        assert_eq!(text(Fetch::header("x-l")).as_deref(), Some(""));
        assert_eq!(nth(1).as_deref(), Some("a1"));
        assert_eq!(nth(3).as_deref(), Some(r#"\"c,3\""#));
        assert_eq!(nth(-3).as_deref(), Some("d4"));
        assert_eq!(nth(-6).as_deref(), Some("a1"));
        assert_eq!((nth(7), nth(-7)), (None, None));
        assert_eq!(text(Fetch::header_count("x-l")).as_deref(), Some("6"));
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_full_header_keeps_its_commas() {
        assert_eq!(text(Fetch::full_header("x-l")).as_deref(), Some("d4,,"));
        assert_eq!(text(Fetch::full_header_count("x-l")).as_deref(), Some("2"));
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_empty_header_is_there_and_a_missing_one_is_not() {
        assert_eq!(text(Fetch::header("x-empty")).as_deref(), Some(""));
        assert_eq!(text(Fetch::header_integer("x-empty")).as_deref(), Some("0"));
        assert_eq!(text(Fetch::header_count("x-empty")).as_deref(), Some("1"));
        assert_eq!(text(Fetch::header("x-none")), None);
        assert_eq!(text(Fetch::header_count("x-none")).as_deref(), Some("0"));
        assert_eq!(text(Fetch::header_ip("x-empty")), None);
    }
}
