//! Stick tables: which server a key was sent to, for as long as the key comes back.
//!
//! [`StickTable`] is HAProxy's `stick-table` as a data structure of its own. It needs no
//! farm and knows no server: it keeps what it was told. Put it into an
//! [`Arc`](std::sync::Arc) to share it between backends.
//!
//! # How it works
//!
//! **Layout.** One array of *groups* of four slots, of a size fixed when the table is
//! built. A group begins with a cache line of four meta words and four stamps. The meta
//! word of an IPv4 address or number holds the key, 23 bits for the server, and a few
//! flags, so one load reads key and server and a hit touches one cache line. Longer keys
//! lie behind the first line, filled up with zeros, and their meta words hold a version
//! and seven bits of the hash instead. Servers with names are kept once, in a dictionary
//! that is never cleared.
//!
//! | keys | bytes an entry, of a full table | slots in use |
//! |---|---|---|
//! | ip, integer, up to 65,536 entries | 32.0 | 50 % |
//! | ip, integer, more | 20.0 | 80 % |
//! | ipv6 | 37.6 | 85 % |
//! | string, binary of `n` bytes | (16 + `n` rounded up to a multiple of 8) / 0.71: 67.6 for 32 | 71 % |
//!
//! Tables of up to 4,096 entries have half of their slots in use with any keys. A key
//! belongs into the group that its hash says; if that is full, into another one that the
//! hash says, and from there into the next with a free slot. Each group counts the entries
//! it passed on, so that a search ends where none was. An entry never moves.
//!
//! Memory is asked for as a whole, but the operating system backs a page only when it is
//! first written to. As keys are strewn, a table of ten million entries with a thousand
//! in use takes about a thousand pages.
//!
//! **Hits.** A hit compares the four meta words of a group at once, without a branch for
//! each, and writes the entry's *stamp*: the millisecond it was touched in, and a number
//! that orders touches within it. These are plain loads and stores. There is no lock and
//! no list, and nothing is allocated. With an IPv4 address it takes about 80 instructions.
//!
//! **Eviction.** The order is worked out when a victim is needed, from the stamps. Up to
//! 4,096 entries the victim is exactly the least recently touched one: the oldest eighth
//! of the entries is lined up at a time, and those touched since are skipped. Above that,
//! a hand goes round the table and takes what is older than the oldest quarter of a
//! sample. If the new entry's own group is full, its oldest entry goes instead, provided
//! that it is of the oldest third: else full groups would pass on more and more entries,
//! and searches for absent keys would become long. So a victim is never of the younger
//! half. Hit ratios stay within half a percent of an exact LRU; about two tenths were
//! measured. Stamps are exact to one touch in small tables, in large ones to as many as a
//! 64th of the entries. Nothing is evicted before the table is full.
//!
//! **Expiry.** An entry is not found from the millisecond on in which it was last touched
//! plus its lifetime. (HAProxy compares no dates at a lookup and finds an entry until a
//! timer has removed it, a few milliseconds later.) Its slot is freed by
//! [`maintain`](StickTable::maintain), or by eviction, where expired entries go first
//! because they are the oldest. A full `nopurge` table looks at 4,096 slots for an
//! expired entry before it refuses a new one.
//!
//! **Many threads.** Lookups, and stores that change nothing, take no lock and wait for
//! nobody. What creates, removes or rewrites takes one lock of the whole table, for about
//! 40 nanoseconds. So the size is an exact bound at any time, and eviction is
//! about the whole table and not a part of it. A reader takes a key, its stamp and its
//! server for those of one entry only if the meta word is the same before and after; a
//! model checker tries this with all interleavings. Three races are left, and harmless:
//! an entry touched in the very moment it is evicted or expires may still go, two
//! touches in one moment may get the same stamp or the stamps of each other, and a touch
//! by a thread that was suspended just then may refresh the next entry of the slot.
//!
//! **What it is bad at.** New keys from many cores queue up for the one lock. Groups,
//! unlike slots of a list, are never quite full. Strings take their full length however
//! short they are. Absent keys of a full table cost more than those of one with room: a
//! full table of IPv6 addresses has to look at several groups. When nearly all entries of
//! a large table are held, each eviction looks at all of them. Listing entries sorts a
//! copy of them.
//!
//! **Stored data** (`store gpc0,conn_cur,...`) lies in an array of its own, at the number of
//! the entry's slot, which an entry keeps while it lives: 8 bytes a value, 16 a rate, for
//! every slot. A table without such data does not have the array.

mod builder;
mod clock;
mod data;
mod entry;
mod error;
mod keeper;
mod layout;
mod listing;
#[cfg(all(test, crossbeam_loom))]
mod model;
mod servers;
mod shared;
mod slots;
mod stick_table;
mod storage;
mod upkeep;
mod victims;
mod words;

pub use builder::StickTableBuilder;
pub use data::{DataKind, DataType};
pub use entry::{Entry, Held, Reservation, TableEntry};
pub use error::{StoreError, TableError};
pub use keeper::{Removal, Stored};
pub use servers::{ServerNaming, TableServer};
pub use stick_table::StickTable;
pub use upkeep::Upkeep;
