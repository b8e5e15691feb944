//! Numbers as HAProxy's commands read them: some strictly, some as far as they go.

/// The whole word as a signed 64-bit number: digits behind an optional minus.
pub(super) fn strict(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The number a word begins with, behind blanks and a sign, and what stands behind it.
/// Numbers beyond 64 bits become the largest or smallest there is.
pub(super) fn leading(word: &[u8]) -> Option<(i64, &[u8])> {
    let word = word.trim_ascii_start();
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let end = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = digits.split_at(end);
    let sign = if negative { -1 } else { 1 };
    let add = |number: i64, &digit: &u8| {
        let digit = i64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(sign * digit)
    };
    (!digits.is_empty()).then(|| (digits.iter().fold(0, add), rest))
}

/// The id of a `#id`, and nothing for a name.
pub(super) fn id(word: &[u8]) -> Option<u32> {
    let (number, _) = leading(word.strip_prefix(b"#")?)?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_numbers_are_whole_words() {
        for (word, number) in [("0", 0), ("-7", -7), ("9223372036854775807", i64::MAX)] {
            assert_eq!(strict(word.as_bytes()), Some(number));
        }
        for word in [
            "",
            "-",
            "+5",
            "5x",
            " 5",
            "9223372036854775808",
            "--1",
            "\u{e9}",
        ] {
            assert_eq!(strict(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn leading_numbers_end_where_they_end() {
        assert_eq!(leading(b"12%x"), Some((12, &b"%x"[..])));
        assert_eq!(leading(b" -3"), Some((-3, &b""[..])));
        assert_eq!(leading(b"+4"), Some((4, &b""[..])));
        assert_eq!(leading(b"99999999999999999999"), Some((i64::MAX, &b""[..])));
        assert_eq!(
            leading(b"-99999999999999999999"),
            Some((i64::MIN, &b""[..]))
        );
        for word in ["", "x", "%", "+", "--1", "- 1"] {
            assert_eq!(leading(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn ids_begin_with_a_hash() {
        assert_eq!(id(b"#05"), Some(5));
        assert_eq!(id(b"#3x"), Some(3));
        for word in ["3", "#", "#-3", "#x", "#99999999999"] {
            assert_eq!(id(word.as_bytes()), None, "{word}");
        }
    }
}
