//! The kinds of keys a table may have, each with slots of its own form.

use std::net::Ipv6Addr;

use super::layout::{Narrow, Wide, without_end_zeros};
use super::shared::Shared;
use super::stick_table::StickTable;
use crate::key::{Key, KeyBytes, KeyType};

/// The entries of a table, by kind of key.
#[derive(Debug)]
pub(super) enum Storage {
    Ip(Shared<Narrow>),
    Integer(Shared<Narrow>),
    Wide(Shared<Wide>),
}

/// Does the same with the storage and the key of either kind. A key of another type
/// gives `$else`.
macro_rules! with_key {
    ($table:expr, $key:expr, |$shared:ident, $plain:ident| $do:expr, $else:expr) => {
        match &$table.storage {
            Storage::Ip($shared) | Storage::Integer($shared) => match $table.narrow($key) {
                Some($plain) => $do,
                None => $else,
            },
            Storage::Wide($shared) => match $table.wide($key, &mut [0; 16]) {
                Some($plain) => $do,
                None => $else,
            },
        }
    };
}

macro_rules! with_storage {
    ($table:expr, |$shared:ident| $do:expr) => {
        match &$table.storage {
            Storage::Ip($shared) | Storage::Integer($shared) => $do,
            Storage::Wide($shared) => $do,
        }
    };
}

pub(super) use {with_key, with_storage};

impl StickTable {
    /// The key as a narrow storage compares it, or `None` if it is of another type.
    #[inline]
    pub(super) fn narrow(&self, key: &Key<'_>) -> Option<u32> {
        match (key, &self.storage) {
            (Key::Ip(address), Storage::Ip(_)) => Some(u32::from(*address)),
            (Key::Integer(number), Storage::Integer(_)) => Some(*number),
            _ => None,
        }
    }

    /// The key as a wide storage compares it, or `None` if it is of another type.
    #[inline]
    pub(super) fn wide<'k>(&self, key: &'k Key<'_>, octets: &'k mut [u8; 16]) -> Option<&'k [u8]> {
        let bytes = match (key, self.key_type) {
            (Key::Ipv6(address), KeyType::Ipv6) => {
                *octets = address.octets();
                return Some(octets);
            }
            // There is no zero in a text.
            (Key::String(text), KeyType::String(length)) => return Some(front(text, length)),
            (Key::Binary(bytes), KeyType::Binary(length)) => front(bytes, length),
            _ => return None,
        };
        Some(without_end_zeros(bytes))
    }

    pub(super) fn narrow_key(&self, key: u32) -> Key<'static> {
        match self.key_type {
            KeyType::Ip => Key::Ip(key.into()),
            _ => Key::Integer(key),
        }
    }

    pub(super) fn wide_key(&self, key: &[u8]) -> Key<'static> {
        let filled_up = |length: usize| {
            let mut bytes = key.to_vec();
            bytes.resize(length, 0);
            bytes
        };
        match self.key_type {
            KeyType::Ipv6 => {
                let mut octets = [0; 16];
                octets[..key.len()].copy_from_slice(key);
                Key::Ipv6(Ipv6Addr::from(octets))
            }
            KeyType::Binary(length) => Key::Binary(KeyBytes::owned(filled_up(length))),
            _ => Key::String(KeyBytes::owned(key.to_vec())),
        }
    }
}

#[inline]
fn front<'k>(bytes: &'k KeyBytes<'_>, length: usize) -> &'k [u8] {
    let bytes = bytes.as_slice();
    &bytes[..bytes.len().min(length)]
}
