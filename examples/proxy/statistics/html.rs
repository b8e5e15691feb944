//! HTML in which everything that is not written in this program is escaped.

use std::fmt::{Display, Write};

#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Markup of the program's own.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything, in the place of a text or within the quotes of an attribute.
    pub(crate) fn text(&mut self, text: impl Display) -> &mut Self {
        for char in text.to_string().chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // They could turn the text around, or hide some of it.
                char if char.is_control() || is_invisible(char) => {
                    // Writing to a string cannot fail.
                    let _ = write!(self.0, "\\u{{{:x}}}", u32::from(char));
                }
                char => self.0.push(char),
            }
        }
        self
    }

    /// A number with its thousands apart.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        let digits = number.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                self.0.push('\u{202f}');
            }
            self.0.push(digit);
        }
        self
    }

    /// Bytes in the unit that suits them.
    pub(crate) fn bytes(&mut self, bytes: u64) -> &mut Self {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let fits = |unit: &usize| bytes >> (10 * unit) < 1_000;
        let unit = (0..UNITS.len() - 1).find(fits).unwrap_or(UNITS.len() - 1);
        let tenths = (u128::from(bytes) * 10) >> (10 * unit);
        match (unit, tenths / 10, tenths % 10) {
            (1.., whole @ 0..100, tenth) => self.text(format_args!("{whole}.{tenth}")),
            (_, whole, _) => self.text(whole),
        };
        self.raw("\u{202f}").raw(UNITS[unit])
    }

    /// A part of a whole in percent, and a bar of that length.
    pub(crate) fn share(&mut self, part: u64, whole: u64) -> &mut Self {
        if whole == 0 {
            return self.raw("<span class=none>–</span>");
        }
        let tenths = u128::from(part) * 1_000 / u128::from(whole);
        let percent = format!("{}.{}", tenths / 10, tenths % 10);
        self.raw(
            "<span class=share><svg viewBox='0 0 100 4' preserveAspectRatio=none \
                  aria-hidden=true><rect class=rail width=100 height=4 /><rect class=part \
                  height=4 width='",
        );
        self.text(&percent);
        self.raw("' /></svg><span class=percent>");
        self.text(&percent);
        self.raw("\u{202f}%</span></span>")
    }

    /// A length of time in its two largest units, or in one if the other is 0.
    pub(crate) fn time(&mut self, seconds: u64) -> &mut Self {
        let ((large, long), (small, short)) = match seconds {
            0..60 => ((seconds, "s"), (0, "")),
            60..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
            3_600..86_400 => ((seconds / 3_600, "h"), (seconds / 60 % 60, "min")),
            _ => ((seconds / 86_400, "d"), (seconds / 3_600 % 24, "h")),
        };
        self.text(large).raw("\u{202f}").raw(long);
        if small > 0 {
            self.raw(" ").text(small).raw("\u{202f}").raw(short);
        }
        self
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Marks of direction and of no width.
const fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(make: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::default();
        make(&mut html);
        html.into_string()
    }

    #[test]
    fn texts_are_escaped() {
        let text = made(|html| {
            html.text("<a href=\"x\" y='z'>&\u{0}\u{202e}é");
        });
        assert_eq!(
            text,
            "&lt;a href=&quot;x&quot; y=&#39;z&#39;&gt;&amp;\\u{0}\\u{202e}é"
        );
    }

    #[test]
    fn numbers_can_be_read() {
        let number = |number| {
            made(|html| {
                html.number(number);
            })
            .replace('\u{202f}', " ")
        };
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number).join("|"),
            "0|999|1 000|1 234 567"
        );
        let bytes = |count| {
            made(|html| {
                html.bytes(count);
            })
            .replace('\u{202f}', " ")
        };
        let counts = [0, 999, 1_000, 1_048_576, 123 << 20, u64::MAX];
        assert_eq!(
            counts.map(bytes).join("|"),
            "0 B|999 B|0.9 KiB|1.0 MiB|123 MiB|16777215 TiB"
        );
        let time = |seconds| {
            made(|html| {
                html.time(seconds);
            })
            .replace('\u{202f}', " ")
        };
        assert_eq!(
            [59, 61, 3_600, 90_000].map(time).join("|"),
            "59 s|1 min 1 s|1 h|1 d 1 h"
        );
    }
}
