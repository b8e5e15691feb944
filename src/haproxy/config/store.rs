//! What entries of a stick table hold beside a server: `store gpc0,conn_rate(10s)`.

use std::time::Duration;

use super::args::{Args, LONGEST_TIME, argument, missing};
use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::suggest::expected_one_of;
use crate::timespan::{self, Unit};
use crate::{DataKind, DataType};

/// One item of a `store` list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StoredData {
    /// The word, as it is written.
    pub word: Word,
    /// HAProxy's name of it, `conn_rate` for example.
    pub name: &'static str,
    /// Over how long a rate is taken; `None` if it is no rate.
    pub period: Option<Duration>,
    /// The elements of an array, 1 to 100; `None` if it is none.
    pub elements: Option<u32>,
}

impl StoredData {
    /// What a table has to store; `None` for the server of an entry, which it always does.
    pub fn data_type(&self) -> Option<DataType> {
        let kind = DataKind::named(self.name.as_bytes())?;
        let data = match self.period {
            Some(period) => DataType::rate(kind, period),
            None => DataType::count(kind),
        };
        Some(match self.elements {
            Some(elements) => data.elements(elements),
            None => data,
        })
    }
}

/// What follows a name in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Period,
    Elements,
    ElementsAndPeriod,
}

use Takes::{Elements, ElementsAndPeriod, Nothing, Period};

const NAMES: [(&str, Takes); 25] = [
    ("server_id", Nothing),
    ("gpt0", Nothing),
    ("gpc0", Nothing),
    ("gpc0_rate", Period),
    ("conn_cnt", Nothing),
    ("conn_rate", Period),
    ("conn_cur", Nothing),
    ("sess_cnt", Nothing),
    ("sess_rate", Period),
    ("http_req_cnt", Nothing),
    ("http_req_rate", Period),
    ("http_err_cnt", Nothing),
    ("http_err_rate", Period),
    ("bytes_in_cnt", Nothing),
    ("bytes_in_rate", Period),
    ("bytes_out_cnt", Nothing),
    ("bytes_out_rate", Period),
    ("gpc1", Nothing),
    ("gpc1_rate", Period),
    ("server_key", Nothing),
    ("http_fail_cnt", Nothing),
    ("http_fail_rate", Period),
    ("gpt", Elements),
    ("gpc", Elements),
    ("gpc_rate", ElementsAndPeriod),
];

/// Arrays, and the counters that each takes the place of.
const EXCLUSIVE: [(&str, &[&str]); 3] = [
    ("gpt", &["gpt0"]),
    ("gpc", &["gpc0", "gpc1"]),
    ("gpc_rate", &["gpc0_rate", "gpc1_rate"]),
];

/// Reads a list with commas and adds it to what is there.
pub(super) fn read(
    args: &mut Args<'_>,
    store: &mut Vec<StoredData>,
    findings: &mut Vec<Finding>,
) -> Result<(), Finding> {
    let list = args.required("a list of data types, gpc0,conn_rate(10s) for example")?;
    for word in items(list) {
        let item = item(&word)?;
        if store.iter().any(|known| known.name == item.name) {
            let message = "is stored already; expected each data type once";
            findings.push(Finding::warning(FindingKind::Doubtful, &word, message));
            continue;
        }
        store.push(item);
        exclusive(store, &word)?;
    }
    Ok(())
}

/// The items of a list; commas within parentheses are part of an item.
fn items(list: &Word) -> impl Iterator<Item = Word> + '_ {
    let mut depth = 0_usize;
    let is_comma = move |byte: &u8| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *byte == b',' && depth == 0
    };
    let mut start = 0;
    list.bytes.split(is_comma).map(move |bytes| {
        let column = list.location.column as usize - 1 + start;
        start += bytes.len() + 1;
        Word {
            bytes: bytes.to_vec(),
            location: list.location.at(column),
        }
    })
}

fn item(word: &Word) -> Result<StoredData, Finding> {
    let (name, inside) = match word.text().split_once('(') {
        None => (word.text(), None),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(inside) => (name, Some(inside)),
            None => return Err(argument(word, "expected a ) at its end")),
        },
    };
    let name = if name == "server_name" {
        "server_key"
    } else {
        name
    };
    let Some(&(name, takes)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let message = expected_one_of(name, &NAMES.map(|(name, _)| name));
        return Err(Finding::error(FindingKind::Unknown, word, message));
    };
    let (elements, period) = parameters(takes, inside, word)?;
    Ok(StoredData {
        word: word.clone(),
        name,
        period,
        elements,
    })
}

type Parameters = (Option<u32>, Option<Duration>);

fn parameters(takes: Takes, found: Option<&str>, word: &Word) -> Result<Parameters, Finding> {
    let expected = match takes {
        Nothing => "nothing behind it",
        Period => "the period of the rate, (10s) for example",
        Elements => "the number of elements, 1 to 100, (4) for example",
        ElementsAndPeriod => "the number of elements, 1 to 100, and a period, (4,10s) for example",
    };
    let refused = || argument(word, format!("expected {expected}"));
    let found = match (takes, found) {
        (Nothing, None) => return Ok((None, None)),
        (Nothing, Some(_)) => return Err(refused()),
        (_, None) => return Err(missing(word, expected)),
        (_, Some(found)) => found,
    };
    let parameters = match takes {
        Nothing => None,
        Period => period(found).map(|period| (None, Some(period))),
        Elements => elements(found).map(|elements| (Some(elements), None)),
        ElementsAndPeriod => found
            .split_once(',')
            .and_then(|(count, time)| Some((Some(elements(count)?), Some(period(time)?)))),
    };
    parameters.ok_or_else(refused)
}

fn elements(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.parse().ok()?;
    (is_plain && (1..=100).contains(&count)).then_some(count)
}

fn period(text: &str) -> Option<Duration> {
    let time = timespan::parse(text.as_bytes(), Unit::Millisecond).ok()?;
    let is_usable = !time.has_junk && !time.duration.is_zero() && time.duration <= LONGEST_TIME;
    is_usable.then_some(time.duration)
}

/// That no array stands beside a counter that it takes the place of.
fn exclusive(store: &[StoredData], word: &Word) -> Result<(), Finding> {
    let has = |name: &str| store.iter().any(|item| item.name == name);
    for (array, counters) in EXCLUSIVE {
        let counter = counters.iter().find(|name| has(name));
        if let Some(counter) = counter.filter(|_| has(array)) {
            let message = format!("{array} and {counter} exclude each other; expected one of them");
            return Err(Finding::error(FindingKind::Conflict, word, message));
        }
    }
    Ok(())
}
