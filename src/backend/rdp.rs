//! Persistence by RDP cookies, in which terminal servers name themselves by address.

use std::net::{Ipv4Addr, SocketAddr};

use super::snapshot::Snapshot;
use crate::fetch::rdp_cookie;
use crate::server::Address;

/// HAProxy: `persist rdp-cookie(NAME)`.
#[derive(Clone, Debug)]
pub(crate) struct RdpPersistence {
    name: Box<[u8]>,
}

impl RdpPersistence {
    pub(super) fn new(name: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into().into(),
        }
    }

    /// Position of the first server at the address that the first bytes of a connection
    /// name, up or not, of those that `may_serve`.
    pub(super) fn find<P>(
        &self,
        snapshot: &Snapshot<P>,
        payload: &[u8],
        may_serve: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let address = address(rdp_cookie(payload, Some(&self.name))?)?;
        let servers = snapshot.farm.servers().iter().enumerate();
        let mut there = servers.filter(|(_, server)| server.address() == &Address::Ip(address));
        let found = there.find(|(index, _)| may_serve(*index));
        found.map(|(index, _)| index)
    }
}

/// The address in a cookie: the four bytes of the address as a number, the first being the
/// lowest, a dot, the two bytes of the port likewise, a dot, and what is left to the
/// server: a routing token of MS-RDPBCGR.
fn address(value: &[u8]) -> Option<SocketAddr> {
    let mut parts = value.splitn(3, |&byte| byte == b'.');
    let (address, port, _) = (parts.next()?, parts.next()?, parts.next()?);
    let address: u32 = number(address)?;
    let port: u16 = number(port)?;
    let address = Ipv4Addr::from(address.to_le_bytes());
    Some((address, port.swap_bytes()).into())
}

fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_plain)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_address_is_two_numbers_and_a_rest() {
        let there = Some(SocketAddr::from(([127, 0, 0, 1], 20_213)));
        for (value, expected) in [
            ("16777343.62798.0000", there),
            ("16777343.62798.", there),
            ("16777343.62798.x.y", there),
            ("016777343.62798.0000", there),
            ("16777343.62798", None),
            ("16777343x.62798.0000", None),
            ("16777343.62798x.0000", None),
            (".62798.0000", None),
            ("16777343..0000", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(address(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn numbers_have_an_end_and_no_sign() {
        for value in [
            "+16777343.62798.0000",
            " 16777343.62798.0000",
            "4311744639.62798.0000",
            "16777343.128334.0000",
            "99999999999999999999999.1.0000",
        ] {
            assert_eq!(address(value.as_bytes()), None, "{value}");
        }
    }
}
