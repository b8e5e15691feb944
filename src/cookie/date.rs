//! The dates a persistence cookie carries behind the server's identifier.
//!
//! Layout: `ID`, `ID|LAST` or `ID|LAST|FIRST`. A date is five characters of the
//! base64 alphabet, the most significant first: UNIX time in units of four seconds.

use crate::short::find;

/// A moment as a cookie tells it: UNIX seconds in a signed 32-bit integer that wraps.
///
/// Zero stands for *no date*. The upper half of what a cookie can hold reads as
/// negative, that is, as before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i32);

/// A clock may be ahead of ours by so many seconds.
const TOLERANCE: i32 = 86_400;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Alphabet positions by byte, 64 for a byte outside of it.
const POSITIONS: [u8; 256] = {
    let mut positions = [64; 256];
    let mut index = 0;
    while index < 64 {
        positions[ALPHABET[index] as usize] = index as u8;
        index += 1;
    }
    positions
};

impl Stamp {
    /// No date at all.
    pub const NONE: Self = Self(0);

    /// A time in UNIX seconds, of which the lower 32 bits count.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds as i32)
    }

    /// UNIX seconds, 0 for no date.
    pub const fn seconds(self) -> i32 {
        self.0
    }

    /// Whether there is a date.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Reads the first five of `text`'s bytes; `None` if there are fewer, or others
    /// than the alphabet's, or if they are all zero.
    ///
    /// ```
    /// use stickroute::cookie::Stamp;
    ///
    /// let now = Stamp::from_unix(1_800_000_000);
    /// assert_eq!(now.to_text(), *b"a0nSA");
    /// assert_eq!(Stamp::from_text(b"a0nSA"), Some(now));
    /// assert_eq!(Stamp::from_text(b"a0=SA"), None);
    /// ```
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let digits = text.get(..5)?;
        let units = digits.iter().try_fold(0_u32, |units, &byte| {
            let digit = POSITIONS[byte as usize];
            (digit < 64).then_some(units << 6 | u32::from(digit))
        })?;
        (units > 0).then_some(Self((units << 2) as i32))
    }

    /// The five characters of this time, rounded down to a multiple of four seconds.
    pub fn to_text(self) -> [u8; 5] {
        let units = self.0 as u32 >> 2;
        [24, 18, 12, 6, 0].map(|shift| ALPHABET[(units >> shift & 63) as usize])
    }

    /// The next moment a cookie can tell: this one, rounded up to a multiple of four
    /// seconds, so that a fresh cookie is 0 to 3 seconds in the future.
    #[must_use]
    pub const fn rounded_up(self) -> Self {
        Self((self.0 as u32).wrapping_add(3) as i32 & !3)
    }

    /// Whether this date is more than `limit` seconds before `now`, or more than a
    /// day after it.
    pub const fn is_too_old(self, now: Self, limit: i32) -> bool {
        now.0.wrapping_sub(self.0) > limit || self.0.wrapping_sub(now.0) > TOLERANCE
    }
}

/// The two dates of a persistence cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dates {
    /// When the client was last given the cookie. HAProxy: checked by `maxidle`.
    pub last: Stamp,
    /// When the client was first given it. HAProxy: checked by `maxlife`.
    pub first: Stamp,
}

impl Dates {
    /// No dates.
    pub const NONE: Self = Self {
        last: Stamp::NONE,
        first: Stamp::NONE,
    };

    /// Splits a cookie's value into the identifier and the dates behind it.
    ///
    /// The identifier ends at the first `|` whatever follows. A date that is missing
    /// or malformed leaves what `self` holds, since several cookies of one request
    /// add up.
    ///
    /// ```
    /// use stickroute::cookie::{Dates, Stamp};
    ///
    /// let mut dates = Dates::NONE;
    /// assert_eq!(dates.split(b"s1|a0nSA"), b"s1");
    /// assert_eq!(dates.last, Stamp::from_unix(1_800_000_000));
    /// assert_eq!(dates.first, Stamp::NONE);
    /// ```
    #[inline]
    pub fn split<'v>(&mut self, value: &'v [u8]) -> &'v [u8] {
        let Some(bar) = find(b'|', value) else {
            return value;
        };
        let (id, behind) = (&value[..bar], &value[bar + 1..]);
        if let Some(last) = Stamp::from_text(behind) {
            self.last = last;
        }
        if let Some(second) = find(b'|', behind)
            && let Some(first) = Stamp::from_text(&behind[second + 1..])
        {
            self.first = first;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &[u8]) -> (&[u8], i32, i32) {
        let mut dates = Dates::NONE;
        let id = dates.split(value);
        (id, dates.last.seconds(), dates.first.seconds())
    }

    #[test]
    fn the_two_dates_are_independent() {
        assert_eq!(split(b"c2||AAAAB"), (&b"c2"[..], 0, 4));
        assert_eq!(split(b"c2|xx|AAAAB"), (&b"c2"[..], 0, 4));
        assert_eq!(split(b"c2|AAAACjunk|AAAABjunk"), (&b"c2"[..], 8, 4));
        assert_eq!(split(b"c2|AAAAC|AAAAB|AAAAD"), (&b"c2"[..], 8, 4));
        assert_eq!(split(b"c2|AAAA"), (&b"c2"[..], 0, 0));
        assert_eq!(split(b"|AAAAB"), (&b""[..], 4, 0));
    }

    #[test]
    fn bytes_outside_the_alphabet_make_no_date() {
        for text in [b"AAA=A", b"AAA-A", b"AAA_A", b"AAA|A", b"\xffAAAA"] {
            assert_eq!(Stamp::from_text(text), None);
        }
    }

    #[test]
    fn a_bad_or_zero_date_keeps_the_earlier_one() {
        let mut dates = Dates::NONE;
        dates.split(b"a|AAAAB|AAAAC");
        dates.split(b"b|AAA");
        dates.split(b"b|AAAAA|AAAAA");
        assert_eq!((dates.last.seconds(), dates.first.seconds()), (4, 8));
    }

    #[test]
    fn the_upper_half_is_negative() {
        assert_eq!(
            Stamp::from_text(b"fAAAA").map(Stamp::seconds),
            Some(0x7c00_0000)
        );
        assert_eq!(
            Stamp::from_text(b"gAAAA").map(Stamp::seconds),
            Some(i32::MIN)
        );
    }

    #[test]
    fn texts_come_back_whole() {
        for text in [b"AAAAB", b"//+/9", b"a0nSA", b"gAAAA"] {
            assert_eq!(&Stamp::from_text(text).unwrap().to_text(), text);
        }
    }

    #[test]
    fn written_dates_round_up() {
        for (now, written) in [(8, 8), (9, 12), (11, 12), (12, 12)] {
            assert_eq!(Stamp::from_unix(now).rounded_up().seconds(), written);
        }
        assert_eq!(Stamp(-1).rounded_up(), Stamp(0));
    }

    #[test]
    fn the_limits_of_age_are_strict() {
        let now = Stamp(1_000_000);
        assert!(!Stamp(1_000_000 - 10).is_too_old(now, 10));
        assert!(Stamp(1_000_000 - 11).is_too_old(now, 10));
        assert!(!Stamp(1_000_000 + 86_400).is_too_old(now, 10));
        assert!(Stamp(1_000_000 + 86_401).is_too_old(now, 10));
        assert!(!Stamp(i32::MIN).is_too_old(Stamp(i32::MAX), i32::MAX));
    }
}
