//! How samples become keys of text and bytes; [`Sample`] itself knows the numbers and
//! addresses.

use super::bytes::KeyBytes;
use super::text::Ipv6Text;
use crate::sample::Sample;

pub(super) fn to_text<'s>(sample: &'s Sample<'_>) -> KeyBytes<'s> {
    match sample {
        Sample::Ipv4(address) => KeyBytes::written(format_args!("{address}")),
        Sample::Ipv6(address) => KeyBytes::written(format_args!("{}", Ipv6Text(*address))),
        Sample::Integer(number) => KeyBytes::written(format_args!("{number}")),
        Sample::Bool(condition) => KeyBytes::written(format_args!("{}", u8::from(*condition))),
        Sample::Str(bytes) | Sample::Binary(bytes) | Sample::Method(bytes) => {
            KeyBytes::borrowed(bytes).up_to_zero()
        }
    }
}

pub(super) fn to_bytes<'s>(sample: &'s Sample<'_>) -> KeyBytes<'s> {
    match sample {
        Sample::Ipv4(address) => KeyBytes::in_place(&address.octets()),
        Sample::Ipv6(address) => KeyBytes::in_place(&address.octets()),
        Sample::Integer(number) => KeyBytes::in_place(&number.to_be_bytes()),
        Sample::Bool(condition) => KeyBytes::in_place(&i64::from(*condition).to_be_bytes()),
        Sample::Str(bytes) | Sample::Binary(bytes) | Sample::Method(bytes) => {
            KeyBytes::borrowed(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::key::{Key, KeyType};
    use crate::sample::{Sample, SampleType};

    const TYPES: [KeyType; 5] = [
        KeyType::Ip,
        KeyType::Ipv6,
        KeyType::Integer,
        KeyType::String(40),
        KeyType::Binary(18),
    ];

    /// The texts of the keys of all five types, `-` for none.
    fn row(sample: &Sample<'_>) -> String {
        let text = |key: Option<Key>| key.map_or("-".into(), |key| key.to_string());
        TYPES.map(|key_type| text(key_type.key(sample))).join(" ")
    }

    #[test]
    fn addresses_become_keys_of_every_type() {
        let v4 = Sample::Ipv4([192, 0, 2, 1].into());
        assert_eq!(
            row(&v4),
            "192.0.2.1 ::ffff:192.0.2.1 3221225985 192.0.2.1 C00002010000000000000000000000000000"
        );
        let v6 = Sample::Ipv6("2001:DB8::1".parse().unwrap());
        assert_eq!(
            row(&v6),
            "- 2001:db8::1 - 2001:db8::1 20010DB80000000000000000000000010000"
        );
        let mapped = Sample::Ipv6("::ffff:1.2.3.4".parse().unwrap());
        assert!(row(&mapped).starts_with("1.2.3.4 ::ffff:1.2.3.4 - ::ffff:1.2.3.4 "));
    }

    #[test]
    fn only_mapped_addresses_become_ipv4_keys() {
        for text in ["::1.2.3.4", "::1", "2002:102:304::", "64:ff9b::1.2.3.4"] {
            let sample = Sample::Ipv6(text.parse().unwrap());
            assert_eq!(KeyType::Ip.key(&sample), None, "{text}");
        }
    }

    #[test]
    fn compatible_addresses_are_written_as_the_c_library_does() {
        for text in ["::1.2.3.4", "::1", "::", "1::", "::ffff:0:1.2.3.4"] {
            let sample = Sample::Ipv6(text.parse().unwrap());
            let key = KeyType::STRING.key(&sample).unwrap().to_string();
            let expected = text.replace("ffff:0:1.2.3.4", "ffff:0:102:304");
            assert_eq!(key, expected);
        }
    }

    #[test]
    fn numbers_and_conditions_become_keys() {
        assert_eq!(
            row(&Sample::Integer(-1)),
            "255.255.255.255 ::ffff:255.255.255.255 4294967295 -1 FFFFFFFFFFFFFFFF00000000000000000000"
        );
        assert!(row(&Sample::Integer((1 << 32) + 12)).starts_with("0.0.0.12 ::ffff:0.0.0.12 12 "));
        assert_eq!(
            row(&Sample::Bool(true)),
            "- - 1 1 000000000000000100000000000000000000"
        );
    }

    #[test]
    fn texts_are_read() {
        let key = |key_type: KeyType, text: &str| {
            let sample = Sample::from(text);
            key_type.key(&sample).map(|key| key.to_string())
        };
        for (text, expected) in [
            ("12", Some("12")),
            ("12abc", Some("12")),
            ("abc", Some("0")),
            ("-1", Some("4294967295")),
            ("4294967308", Some("12")),
            ("", None),
        ] {
            assert_eq!(key(KeyType::Integer, text).as_deref(), expected, "{text}");
        }
        assert_eq!(key(KeyType::Ip, "010.0.0.1").as_deref(), Some("10.0.0.1"));
        for text in [
            "nonsense",
            "2001:db8::1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1..2.3",
            " 1.2.3.4",
        ] {
            assert_eq!(key(KeyType::Ip, text), None, "{text}");
        }
        assert_eq!(
            key(KeyType::Ipv6, "2001:DB8::1").as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(key(KeyType::Ipv6, "192.0.2.1"), None);
        assert_eq!(key(KeyType::STRING, "").as_deref(), Some(""));
    }

    #[test]
    fn texts_are_cut_at_the_first_zero_and_at_the_length() {
        let cut = Sample::from(&b"ab\0cd"[..]);
        assert_eq!(KeyType::STRING.key(&cut), Some(Key::string(b"ab")));
        let binary = KeyType::Binary(6).key(&cut).unwrap();
        assert_eq!(binary, Key::binary(b"ab\0cd"));
        let long = Sample::from(&b"12345678-other"[..]);
        assert_eq!(
            KeyType::String(8).key(&long),
            Some(Key::string(b"12345678"))
        );
        let binary = Sample::Binary(b"ab\0cd"[..].into());
        assert_eq!(row(&binary), "- - - ab 6162006364");
        assert_eq!(row(&Sample::Method(b"GET"[..].into())), "- - - GET 474554");
    }

    #[test]
    fn a_type_that_is_not_accepted_never_gives_a_key() {
        let samples = [
            Sample::Ipv4([192, 0, 2, 1].into()),
            Sample::Ipv6("::ffff:1.2.3.4".parse().unwrap()),
            Sample::Integer(7),
            Sample::from(&b"::ffff:1.2.3.4"[..]),
            Sample::Binary(b"1.2.3.4"[..].into()),
            Sample::Bool(false),
            Sample::Method(b"GET"[..].into()),
        ];
        for (key_type, sample) in TYPES
            .iter()
            .flat_map(|t| samples.iter().map(move |s| (t, s)))
        {
            let gives = key_type.key(sample).is_some();
            let odd = matches!(
                (key_type, sample.sample_type()),
                (KeyType::Ip, SampleType::Str) | (KeyType::Integer, SampleType::Ipv6)
            );
            assert_eq!(
                gives || odd,
                key_type.accepts(sample.sample_type()),
                "{key_type:?} {sample:?}"
            );
        }
    }
}
