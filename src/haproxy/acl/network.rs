//! Patterns of addresses: `10.0.0.0/8`, `::1`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::haproxy::expression::{ipv4_mask, ipv6, ipv6_mask};
use crate::sample::{Sample, SampleType};

/// An address and the bits of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Network {
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (address, mask) = match text.iter().position(|byte| *byte == b'/') {
            Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
            None => (text, None),
        };
        if let Some(address) = abbreviated(address) {
            let mask = mask.map_or(Some(Ipv4Addr::BROADCAST), ipv4_mask)?;
            return Some(Self::V4(address & mask, mask));
        }
        let mask = mask.map_or(Some(Ipv6Addr::from_bits(u128::MAX)), ipv6_mask)?;
        Some(Self::V6(ipv6(address)? & mask, mask))
    }

    pub(super) fn holds(self, sample: &Sample<'_>) -> bool {
        let address = match sample.borrowed().cast(SampleType::Address) {
            Some(Sample::Ipv4(address)) => IpAddr::V4(address),
            Some(Sample::Ipv6(address)) => IpAddr::V6(address),
            _ => return false,
        };
        match (self, address) {
            (Self::V4(network, mask), IpAddr::V4(address)) => address & mask == network,
            (Self::V4(network, mask), IpAddr::V6(address)) => {
                embedded(address).is_some_and(|address| address & mask == network)
            }
            (Self::V6(network, mask), IpAddr::V4(address)) => {
                address.to_ipv6_mapped() & mask == network
            }
            (Self::V6(network, mask), IpAddr::V6(address)) => address & mask == network,
        }
    }
}

/// One to four numbers; those that are left out are zeros before the last one.
fn abbreviated(text: &[u8]) -> Option<Ipv4Addr> {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
    let (last, first) = parts.split_last()?;
    let mut octets = [0; 4];
    for (octet, part) in octets[..3].iter_mut().zip(first) {
        *octet = decimal(part)?;
    }
    octets[3] = decimal(last)?;
    (first.len() < 4).then(|| octets.into())
}

/// A zero in front makes a number octal in some places and not in others.
fn decimal(text: &[u8]) -> Option<u8> {
    let is_plain =
        text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || text.first() != Some(&b'0'));
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|_| is_plain)
}

/// The IPv4 address in `::ffff:1.2.3.4`, `::1.2.3.4` or `2002:102:304::`.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    match (bits >> 112, bits >> 32) {
        (0x2002, _) => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        (_, 0 | 0xffff) => Some(Ipv4Addr::from_bits(bits as u32)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let network = Network::read(network.as_bytes()).unwrap();
        network.holds(&Sample::from(address.parse::<IpAddr>().unwrap()))
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn addresses_of_both_families_are_compared() {
        for (network, address) in [
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.0.0.0/255.0.0.0", "10.1.2.3"),
            ("10.1", "10.0.0.1"),
            ("10.1.2.3", "::ffff:10.1.2.3"),
            ("10.1.2.3", "::10.1.2.3"),
            ("10.1.2.3", "2002:a01:203::1"),
            ("::ffff:0:0/96", "10.1.2.3"),
            ("2001:db8::/32", "2001:db8::1"),
            ("::/0", "10.1.2.3"),
        ] {
            assert!(holds(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.1.2.3"),
            ("10/8", "10.1.2.3"),
            ("::10.1.2.3", "10.1.2.3"),
            ("10.1.2.3", "2001:a01:203::1"),
        ] {
            assert!(!holds(network, address), "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "1.2.3.4.5",
            "256.1",
            "010.0.0.1",
            "host",
            "10.0.0.0/8/8",
            "1..2",
        ] {
            assert_eq!(Network::read(text.as_bytes()), None, "{text}");
        }
    }
}
