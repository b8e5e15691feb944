//! Keys that wait for the server that answers.

use crate::key::Key;
use crate::table::Reservation;

/// HAProxy remembers no more than this many keys a request.
const MOST: usize = 8;

/// A key to be stored, and the room for it.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Which of the backend's tables.
    pub(crate) table: usize,
    pub(crate) key: Key<'static>,
    pub(crate) room: Reservation,
}

/// What a rule that acts at the response takes from the request.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The key, if it is not in the response.
    pub(crate) key: Option<Key<'static>>,
    /// What its condition noted.
    pub(crate) note: u64,
}

/// The keys a request has to be stored, in the order of their rules.
///
/// Nearly every request has at most one, which takes no allocation.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    first: Option<Pending>,
    rest: Option<Box<Rest>>,
    /// Whether the response has been seen: later ones change nothing.
    closed: bool,
}

/// What few requests have, apart so that the selections of all others are small.
#[derive(Debug, Default)]
struct Rest {
    more: Vec<Pending>,
    /// What rules that act at the response took from the request, by place of rule.
    kept: Vec<(usize, Kept)>,
}

impl Stores {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.iter().count() < MOST
    }

    /// Whether a key waits for this table.
    pub(crate) fn contains(&self, table: usize) -> bool {
        self.iter().any(|pending| pending.table == table)
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        if self.first.is_none() {
            self.first = Some(pending);
        } else {
            self.rest.get_or_insert_default().more.push(pending);
        }
    }

    /// Keeps something for the rule at this place until the response.
    pub(crate) fn keep(&mut self, place: usize, kept: Kept) {
        self.rest.get_or_insert_default().kept.push((place, kept));
    }

    /// What was kept for the rule at this place; nothing by default.
    pub(crate) fn kept(&mut self, place: usize) -> Kept {
        let Some(Rest { kept, .. }) = self.rest.as_deref_mut() else {
            return Kept::default();
        };
        // They were kept in the order of the rules.
        match kept.binary_search_by_key(&place, |(of, _)| *of) {
            Ok(index) => std::mem::take(&mut kept[index].1),
            Err(_) => Kept::default(),
        }
    }

    /// Says whether this is the first response.
    pub(crate) fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closed, true)
    }

    /// Takes all of them out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Pending> + use<> {
        let rest = self.rest.take();
        let more = rest.into_iter().flat_map(|rest| rest.more);
        self.first.take().into_iter().chain(more)
    }

    fn iter(&self) -> impl Iterator<Item = &Pending> {
        let more = self.rest.iter().flat_map(|rest| &rest.more);
        self.first.iter().chain(more)
    }
}
