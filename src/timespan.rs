//! Lengths of time as HAProxy writes them: `30m`, `8h`, `1500ms`.

use std::time::Duration;

/// The unit of a number without one, or the one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
}

/// A length of time, and whether something was left over behind its unit, which
/// HAProxy 2.6 ignores with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timespan {
    pub(crate) duration: Duration,
    pub(crate) has_junk: bool,
}

/// Why a text is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimespanError {
    /// No digits, or something other than a unit behind them.
    Malformed,
    /// Longer than a [`Duration`].
    Overflow,
}

/// Reads digits and, if it is not left out, a unit: `us`, `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn parse(text: &[u8], default: Unit) -> Result<Timespan, TimespanError> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let (unit, junk) = match rest {
        _ if digits.is_empty() => return Err(TimespanError::Malformed),
        [] => (default, rest),
        [b'u', b's', junk @ ..] => (Unit::Microsecond, junk),
        [b'm', b's', junk @ ..] => (Unit::Millisecond, junk),
        [b's', junk @ ..] => (Unit::Second, junk),
        [b'm', junk @ ..] => (Unit::Minute, junk),
        [b'h', junk @ ..] => (Unit::Hour, junk),
        [b'd', junk @ ..] => (Unit::Day, junk),
        _ => return Err(TimespanError::Malformed),
    };
    let duration = duration(number(digits), unit).ok_or(TimespanError::Overflow)?;
    Ok(Timespan {
        duration,
        has_junk: !junk.is_empty(),
    })
}

/// Larger numbers come out as the largest, too long in any unit but one: for
/// microseconds it is 58 million years, and no caller allows as much.
fn number(digits: &[u8]) -> u128 {
    digits.iter().fold(0, |number: u128, digit| {
        number
            .saturating_mul(10)
            .saturating_add((digit - b'0').into())
    })
}

fn duration(number: u128, unit: Unit) -> Option<Duration> {
    const SECOND: u128 = 1_000_000;
    let microseconds = match unit {
        Unit::Microsecond => 1,
        Unit::Millisecond => SECOND / 1_000,
        Unit::Second => SECOND,
        Unit::Minute => 60 * SECOND,
        Unit::Hour => 3_600 * SECOND,
        Unit::Day => 86_400 * SECOND,
    };
    let total = number.checked_mul(microseconds)?;
    let seconds = u64::try_from(total / SECOND).ok()?;
    Some(Duration::new(seconds, (total % SECOND) as u32 * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_multiply_and_the_default_stands_in() {
        let table = [
            ("10", 10_000_000),
            ("00010", 10_000_000),
            ("999us", 999),
            ("1500ms", 1_500_000),
            ("7s", 7_000_000),
            ("10m", 600_000_000),
            ("8h", 28_800_000_000),
            ("2d", 172_800_000_000),
        ];
        for (text, microseconds) in table {
            let expected = Timespan {
                duration: Duration::from_micros(microseconds),
                has_junk: false,
            };
            assert_eq!(parse(text.as_bytes(), Unit::Second), Ok(expected), "{text}");
        }
    }

    #[test]
    fn junk_behind_a_unit_is_noticed() {
        for text in ["10mm", "1h30", "10sm", "10ms5", "10usx", "10m-"] {
            assert!(
                parse(text.as_bytes(), Unit::Second).unwrap().has_junk,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "", "m", "-1", "+5", "1.5s", "10x", "10u", "10u5", "10M", "10w",
        ] {
            assert_eq!(
                parse(text.as_bytes(), Unit::Second),
                Err(TimespanError::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn long_numbers_overflow_instead_of_wrapping() {
        for text in ["18446744073709551616", &"9".repeat(60), "213503982334602d"] {
            assert_eq!(
                parse(text.as_bytes(), Unit::Second),
                Err(TimespanError::Overflow),
                "{text}"
            );
        }
    }
}
