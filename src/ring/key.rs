//! What a node's points are computed from.

use std::net::{IpAddr, SocketAddr};

use twox_hash::XxHash32;

use crate::hash::full_hash;

/// What a server's points are computed from. HAProxy 3.x: `hash-key`; before, always `id`.
///
/// Proxies that share their clients should agree about it. A server without what is
/// asked for is placed by its [`Id`](Self::Id).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RingPlacement {
    /// The low 20 bits of the numeric id, see [`RingKey::id`]. HAProxy: `id`.
    #[default]
    Id,
    /// All bits of the numeric id, see [`RingKey::id32`]. HAProxy: `id32`.
    Id32,
    /// The [guid](crate::Server::guid), see [`RingKey::guid`]. HAProxy: `guid`.
    Guid,
    /// The IP address, see [`RingKey::address`]. HAProxy: `addr`.
    Address,
    /// The IP address and the port, see [`RingKey::address_port`]. HAProxy: `addr-port`.
    AddressPort,
}

/// The seed of a node's points: point `j` lies at
/// [`full_hash`](crate::hash::full_hash)`(seed + j)`.
///
/// The constructors compute it as HAProxy does for each value of `hash-key`; two
/// rings agree about every key when their nodes have the same seeds and numbers of
/// points. Nodes whose seeds lie closer together than their numbers of points share
/// some of them. That is harmless: of such a point the node that came first gets the keys
/// below and the other those above.
///
/// ```
/// use stickroute::RingKey;
///
/// assert_eq!(RingKey::id(3), RingKey::seed(3 * 4096));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RingKey(u32);

impl RingKey {
    /// A seed of your own, any 32 bits.
    pub const fn seed(seed: u32) -> Self {
        Self(seed)
    }

    /// The number of the server times 4096, so that up to 4096 points a server are
    /// its own. HAProxy: `hash-key id`, the default, on `id N`.
    ///
    /// Only the low 20 bits of the number matter.
    pub const fn id(id: u32) -> Self {
        Self(id.wrapping_mul(4096))
    }

    /// All 32 bits of the number of the server, mixed. HAProxy 3.x: `hash-key id32`.
    pub const fn id32(id: u32) -> Self {
        Self(full_hash(id.swap_bytes()))
    }

    /// A text that belongs to the server alone. HAProxy 3.x: `hash-key guid`.
    pub fn guid(guid: &str) -> Self {
        Self(XxHash32::oneshot(0, guid.as_bytes()))
    }

    /// The IP address of the server. HAProxy 3.x: `hash-key addr`.
    pub fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(full_hash(u32::from_le_bytes(v4.octets()))),
            IpAddr::V6(v6) => Self(XxHash32::oneshot(0, &v6.octets())),
        }
    }

    /// The IP address and the port of the server. HAProxy 3.x:
    /// `hash-key addr-port`.
    pub fn address_port(address: SocketAddr) -> Self {
        let port = full_hash(address.port().into());
        match address.ip() {
            IpAddr::V4(v4) => {
                let address = u32::from_le_bytes(v4.octets());
                Self(full_hash(port.wrapping_add(address)))
            }
            IpAddr::V6(v6) => Self(XxHash32::oneshot(port, &v6.octets())),
        }
    }

    /// Where point `j` of a node with this key lies.
    pub const fn point(self, j: u32) -> u32 {
        full_hash(self.0.wrapping_add(j))
    }
}
