//! Networks in the texts of a configuration.

use std::net::{IpAddr, Ipv4Addr};

/// An address and the bits of it that count: `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `::1`.
pub(crate) fn parse(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, mask) = match text.split_once('/') {
        Some((ip, mask)) => (ip, Some(mask)),
        None => (text, None),
    };
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let Some(mask) = mask else {
        return Some((ip, most));
    };
    let bits = match mask.parse::<Ipv4Addr>() {
        Ok(mask) if ip.is_ipv4() => {
            let ones = mask.to_bits().leading_ones();
            // Holes in a mask are nothing but mistakes.
            (mask.to_bits().count_ones() == ones).then_some(ones as u8)?
        }
        _ => mask.parse().ok()?,
    };
    (bits <= most).then_some((ip, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_bits_or_a_mask() {
        for (text, ip, bits) in [
            ("10.0.0.0/8", "10.0.0.0", 8),
            ("10.0.0.0/255.128.0.0", "10.0.0.0", 9),
            ("10.0.0.1", "10.0.0.1", 32),
            ("::/0", "::", 0),
            ("::1", "::1", 128),
        ] {
            assert_eq!(parse(text), Some((ip.parse().unwrap(), bits)), "{text}");
        }
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/255.0.255.0",
            "::/255.0.0.0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
