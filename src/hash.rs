//! HAProxy's hash functions: pure functions from bytes to 32 bits.
//!
//! Their results are part of HAProxy's behaviour: the same key must land on the
//! same server. They are quick and well known, hence no defence against keys
//! chosen to collide.

use twox_hash::{XxHash32, XxHash64};

use crate::text::leading_number;

/// The functions `hash-type` can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashFunction {
    /// [`sdbm`], HAProxy's default.
    #[default]
    Sdbm,
    /// [`djb2`].
    Djb2,
    /// [`wt6`].
    Wt6,
    /// [`crc32`].
    Crc32,
    /// [`decimal`]: the key already is a number (HAProxy 3.0 and later, `none`).
    Decimal,
}

impl HashFunction {
    /// The hash of `key`.
    pub fn hash(self, key: &[u8]) -> u32 {
        match self {
            Self::Sdbm => sdbm(key),
            Self::Djb2 => djb2(key),
            Self::Wt6 => wt6(key),
            Self::Crc32 => crc32(key),
            Self::Decimal => decimal(key),
        }
    }
}

/// The hash of the SDBM database library: `h = byte + h * 65599`, from 0.
pub fn sdbm(key: &[u8]) -> u32 {
    sdbm_from(0, key)
}

/// The [`sdbm`] of a longer key, of which the first part was hashed to `state`.
pub(crate) fn sdbm_from(state: u32, key: &[u8]) -> u32 {
    key.iter().fold(state, |h: u32, &byte| {
        h.wrapping_mul(65_599).wrapping_add(byte.into())
    })
}

/// Bernstein's second hash: `h = h * 33 + byte`, from 5381.
pub fn djb2(key: &[u8]) -> u32 {
    key.iter().fold(5_381, |h: u32, &byte| {
        h.wrapping_mul(33).wrapping_add(byte.into())
    })
}

/// HAProxy's own `wt6`: two words that swap places, rotated by what they hold.
pub fn wt6(key: &[u8]) -> u32 {
    let (mut h0, mut h1) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut r0, mut r1) = (6, 18);
    for &byte in key {
        h0 = !(h0 ^ u32::from(byte));
        h1 = !h1.wrapping_add(byte.into());
        (h0, h1) = (h1.rotate_left(r0), h0.rotate_left(r1));
        let mixed = ((h0 >> 16) ^ h1) & 0xffff;
        (r0, r1) = (mixed & 31, mixed >> 11);
    }
    h0 ^ h1
}

/// The reflected CRC-32 of Ethernet and zlib (polynomial `0xEDB88320`).
pub fn crc32(key: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table(0xedb8_8320);
    crc(&TABLE, key)
}

/// The reflected CRC-32C of iSCSI (polynomial `0x82F63B78`). HAProxy: converter `crc32c`.
pub fn crc32c(key: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table(0x82f6_3b78);
    crc(&TABLE, key)
}

/// XXH32 of the key. HAProxy: converter `xxh32`, and `hash-key`.
pub fn xxh32(key: &[u8], seed: u32) -> u32 {
    XxHash32::oneshot(seed, key)
}

/// XXH64 of the key. HAProxy: converter `xxh64`, and dynamic cookies.
pub fn xxh64(key: &[u8], seed: u64) -> u64 {
    XxHash64::oneshot(seed, key)
}

fn crc(table: &[u32; 256], key: &[u8]) -> u32 {
    !key.iter().fold(!0, |crc, &byte| {
        table[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8)
    })
}

const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// No hash: the decimal number at the start of the key, truncated to 32 bits.
///
/// An optional sign, then digits up to the first other byte; the value saturates at
/// the limits of a signed 64-bit integer first. Without digits it is 0.
pub fn decimal(key: &[u8]) -> u32 {
    leading_number(key) as u32
}

/// HAProxy's *avalanche*: an integer mix in which every input bit reaches every
/// output bit. A bijection, so two values collide only when their inputs do.
pub const fn full_hash(a: u32) -> u32 {
    let a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    let a = a ^ 0xc761_c23c ^ (a >> 19);
    let a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    let a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    let a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    let a = a ^ 0xb55a_4f09 ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_crc32_and_crc32c_hold() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn empty_keys_give_the_initial_values() {
        assert_eq!((sdbm(b""), djb2(b""), crc32(b"")), (0, 5_381, 0));
        assert_eq!(wt6(b""), 0xa53c_965a ^ 0x5ca6_953a);
    }

    #[test]
    fn decimal_reads_a_sign_and_digits_and_saturates() {
        let table: [(&[u8], u32); 7] = [
            (b"42", 42),
            (b"-1", u32::MAX),
            (b"+7x9", 7),
            (b"", 0),
            (b"x", 0),
            (b"99999999999999999999", i64::MAX as u32),
            (b"-99999999999999999999", i64::MIN as u32),
        ];
        for (key, expected) in table {
            assert_eq!(decimal(key), expected, "{}", key.escape_ascii());
        }
    }
}
