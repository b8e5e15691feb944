//! Dates as logs write them, in UTC: the library knows no other zone.

use std::time::Duration;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const DAY: u64 = 86_400;

/// A moment of wall time, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    year: u64,
    month: usize,
    day: u64,
    /// Since midnight.
    seconds: u64,
    micros: u32,
}

impl Date {
    /// `wall` is counted from the UNIX epoch.
    pub(super) fn of(wall: Duration) -> Self {
        let days = wall.as_secs() / DAY;
        let (year, day_of_year) = year(days);
        let (month, day) = month(year, day_of_year);
        Self {
            year,
            month,
            day,
            seconds: wall.as_secs() % DAY,
            micros: wall.subsec_micros(),
        }
    }

    /// `21/Nov/2026:14:17:04`
    pub(super) fn common(self) -> String {
        let Self { year, day, .. } = self;
        format!("{day:02}/{}/{year:04}:{}", MONTHS[self.month], self.clock())
    }

    /// `Nov 21 14:17:04` (RFC 3164 section 4.1.2)
    pub(super) fn syslog(self) -> String {
        format!("{} {:>2} {}", MONTHS[self.month], self.day, self.clock())
    }

    /// `2026-11-21T14:18:20.788927+00:00` (RFC 5424 section 6.2.3)
    pub(super) fn iso(self) -> String {
        let (month, clock) = (self.month + 1, self.clock());
        let Self {
            year, day, micros, ..
        } = self;
        format!("{year:04}-{month:02}-{day:02}T{clock}.{micros:06}+00:00")
    }

    fn clock(self) -> String {
        let minutes = self.seconds / 60;
        let (hour, minute, second) = (minutes / 60, minutes % 60, self.seconds % 60);
        format!("{hour:02}:{minute:02}:{second:02}")
    }
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

/// The year of a day since the epoch, and which day of that year it is.
fn year(days: u64) -> (u64, u64) {
    /// Days in 400 years, after which the calendar repeats itself.
    const ERA: u64 = 146_097;
    let (mut year, mut left) = (1970 + days / ERA * 400, days % ERA);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            return (year, left);
        }
        left -= length;
        year += 1;
    }
}

/// The month, from 0, and the day of it, from 1.
fn month(year: u64, day_of_year: u64) -> (usize, u64) {
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30];
    let mut left = day_of_year;
    for (month, length) in lengths.into_iter().enumerate() {
        if left < length {
            return (month, left + 1);
        }
        left -= length;
    }
    (11, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(seconds: u64) -> String {
        Date::of(Duration::from_secs(seconds)).iso()
    }

    // As `date -u -d @N` writes them.
    #[test]
    fn leap_years_and_ends_of_months_are_counted() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (68_255_999, "1972-02-29T23:59:59"),
            (951_868_799, "2000-02-29T23:59:59"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_798_761_599, "2026-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (13_574_563_200, "2400-02-29T00:00:00"),
        ] {
            assert_eq!(iso(seconds), format!("{expected}.000000+00:00"));
        }
    }

    #[test]
    fn each_kind_of_log_has_its_way_to_write_dates() {
        let date = Date::of(Duration::new(1_793_887_624, 7_008_009));
        assert_eq!(date.common(), "05/Nov/2026:14:07:04");
        assert_eq!(date.syslog(), "Nov  5 14:07:04");
        assert_eq!(date.iso(), "2026-11-05T14:07:04.007008+00:00");
    }
}
