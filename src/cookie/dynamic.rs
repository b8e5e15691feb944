//! Identifiers computed from a server's address.

use std::hash::Hasher;
use std::net::IpAddr;

use twox_hash::XxHash64;

use crate::server::Address;

/// The identifier of the server at an IP address and port: 16 hexadecimal digits.
///
/// Proxies that share the key give a server the same identifier, whatever it is
/// called and in whatever order they list it: the XXH64 of the key, the address in 4
/// or 16 bytes and the port in 4. `port` is signed because HAProxy allows ports
/// relative to the client's, `-1000` for example; without a port it is 0.
///
/// HAProxy: `cookie ... dynamic` and `dynamic-cookie-key`.
///
/// ```
/// use stickroute::cookie::dynamic_identifier;
///
/// let id = dynamic_identifier(b"a", "10.0.0.1".parse()?, 80);
/// assert_eq!(&id, b"8a92383d0ecc05ee");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn dynamic_identifier(key: &[u8], ip: IpAddr, port: i32) -> [u8; 16] {
    let mut hash = XxHash64::with_seed(0);
    hash.write(key);
    match ip {
        IpAddr::V4(ip) => hash.write(&ip.octets()),
        IpAddr::V6(ip) => hash.write(&ip.octets()),
    }
    hash.write(&port.to_be_bytes());
    hexadecimal(hash.finish())
}

/// The [`dynamic_identifier`] of an address; `None` for a Unix socket and for a host
/// name that has not been resolved.
pub fn identifier_of(key: &[u8], address: &Address) -> Option<[u8; 16]> {
    let port = address.port().map_or(0, i32::from);
    Some(dynamic_identifier(key, address.ip()?, port))
}

fn hexadecimal(number: u64) -> [u8; 16] {
    std::array::from_fn(|digit| {
        let nibble = number >> (60 - 4 * digit) & 0xf;
        b"0123456789abcdef"[nibble as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ip_addresses_have_an_identifier() {
        let id = |text: &str| identifier_of(b"a", &text.parse().unwrap());
        assert_eq!(id("10.0.0.1:80"), Some(*b"8a92383d0ecc05ee"));
        assert_eq!(id("unix@/run/app.sock"), None);
        assert_eq!(id("app.internal:80"), None);
    }

    #[test]
    fn a_mapped_address_differs_from_the_plain_one() {
        let plain = dynamic_identifier(b"k", "10.0.0.1".parse().unwrap(), 80);
        let mapped = dynamic_identifier(b"k", "::ffff:10.0.0.1".parse().unwrap(), 80);
        assert_ne!(plain, mapped);
    }

    #[test]
    fn digits_are_padded() {
        assert_eq!(&hexadecimal(0xab), b"00000000000000ab");
    }
}
