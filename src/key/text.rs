//! Keys as HAProxy's `show table` writes them.

use std::fmt::{self, Display, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Key;

impl Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Ipv6(address) => Ipv6Text(*address).fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::String(text) => text
                .as_slice()
                .iter()
                .try_for_each(|&byte| escaped(byte, f)),
            Self::Binary(bytes) => bytes
                .as_slice()
                .iter()
                .try_for_each(|byte| write!(f, "{byte:02X}")),
        }
    }
}

/// An address as the C library writes it, and so HAProxy: `::1.2.3.4`, where std writes
/// `::102:304`.
pub(super) struct Ipv6Text(pub(super) Ipv6Addr);

impl Display for Ipv6Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.0.segments();
        if segments[..6] == [0; 6] && segments[6] != 0 {
            let last = u32::from(segments[6]) << 16 | u32::from(segments[7]);
            return write!(f, "::{}", Ipv4Addr::from(last));
        }
        self.0.fmt(f)
    }
}

fn escaped(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let letter = match byte {
        b' ' | b'=' | b'\\' => byte,
        b'\t' => b't',
        b'\n' => b'n',
        b'\r' => b'r',
        0x1b => b'e',
        b'!'..=b'~' => return f.write_char(char::from(byte)),
        _ => return write!(f, "\\x{byte:02X}"),
    };
    f.write_char('\\')?;
    f.write_char(char::from(letter))
}

#[cfg(test)]
mod tests {
    use crate::key::Key;

    #[test]
    fn texts_are_escaped() {
        let key = Key::string(b"a b=c\\d\t\n\r\x1b\x7f\x01\xe9t;~!");
        assert_eq!(key.to_string(), r"a\ b\=c\\d\t\n\r\e\x7F\x01\xE9t;~!");
    }

    #[test]
    fn bytes_are_written_in_upper_case_hex() {
        assert_eq!(Key::binary(b"ab\0\xff").to_string(), "616200FF");
    }
}
