//! Plain twins of the balancing orders, written rule by rule for the tests: sorted
//! vectors, no cleverness.

use super::window::WeightChangeRule;

/// Ascending key, equal keys in insertion order.
type Multimap = Vec<(u32, usize)>;

fn insert(map: &mut Multimap, key: u32, server: usize) {
    let at = map.iter().take_while(|&&(other, _)| other <= key).count();
    map.insert(at, (key, server));
}

fn unlink(map: &mut Multimap, server: usize) -> bool {
    let before = map.len();
    map.retain(|&(_, other)| other != server);
    map.len() < before
}

#[derive(Clone, Copy, Default)]
struct Fields {
    weight: u32,
    slot: u32,
    last: u32,
    frac: u32,
}

#[derive(PartialEq)]
enum In {
    Current,
    Fresh,
    Later,
    Nothing,
}

/// HAProxy's round robin within one group.
pub(super) struct RoundRobinTwin {
    fields: Vec<Fields>,
    current: Multimap,
    fresh: Multimap,
    later: Multimap,
    w: u32,
    p: u32,
    t: u32,
}

impl RoundRobinTwin {
    pub(super) fn start(weights: &[u32]) -> Self {
        let t = weights.iter().fold(0, |t: u32, w| t.wrapping_add(*w));
        let mut twin = Self {
            fields: vec![Fields::default(); weights.len()],
            current: vec![],
            fresh: vec![],
            later: vec![],
            w: t,
            p: t,
            t,
        };
        for (server, &weight) in weights.iter().enumerate() {
            twin.fields[server].weight = weight;
            if weight > 0 {
                insert(&mut twin.fresh, 4096 - weight, server);
            }
        }
        twin
    }

    fn requeue(&mut self, server: usize) {
        let fields = &mut self.fields[server];
        if fields.weight == 0 {
            return;
        }
        if fields.slot >= self.w.wrapping_mul(2) || fields.slot >= self.w.wrapping_add(self.t) {
            fields.slot = fields.slot.wrapping_sub(self.w);
            insert(&mut self.later, 4096 - fields.weight, server);
        } else {
            let key = (256_u32.wrapping_mul(fields.slot))
                .wrapping_add((4096_u32.wrapping_add(fields.frac) - fields.weight) / 16);
            insert(&mut self.current, key, server);
        }
    }

    fn place(&self, server: usize) -> In {
        let holds = |map: &Multimap| map.iter().any(|&(_, other)| other == server);
        match () {
            () if holds(&self.current) => In::Current,
            () if holds(&self.fresh) => In::Fresh,
            () if holds(&self.later) => In::Later,
            () => In::Nothing,
        }
    }

    fn extract(&mut self, server: usize) {
        match self.place(server) {
            In::Fresh => (self.fields[server].slot, self.fields[server].frac) = (0, 0),
            In::Later => {
                self.fields[server].slot = self.fields[server].slot.wrapping_add(self.w);
            }
            In::Nothing => self.fields[server].slot = self.p,
            In::Current => {}
        }
    }

    fn unlink(&mut self, server: usize) {
        unlink(&mut self.current, server);
        unlink(&mut self.fresh, server);
        unlink(&mut self.later, server);
    }

    fn candidate(&mut self) -> Option<usize> {
        let a = self.current.first().map(|&(_, server)| server);
        if let Some(a) = a
            && self.fields[a].slot <= self.p
        {
            return Some(a);
        }
        if let Some(&(_, b)) = self.fresh.first() {
            (self.fields[b].slot, self.fields[b].frac) = (0, 0);
            return Some(b);
        }
        a
    }

    fn consume(&mut self, server: usize) {
        let fields = &mut self.fields[server];
        if fields.slot == 0 {
            fields.slot = self.p;
        }
        fields.last = fields.slot;
        fields.slot = fields.slot.wrapping_add(self.t / fields.weight);
        fields.frac = fields.frac.wrapping_add(self.t % fields.weight);
        if fields.frac >= fields.weight {
            fields.frac -= fields.weight;
            fields.slot = fields.slot.wrapping_add(1);
        }
        self.unlink(server);
        self.p = self.p.wrapping_add(1);
    }

    pub(super) fn next(&mut self, avoid: Option<usize>, saturated: &[bool]) -> Option<usize> {
        let mut switched = false;
        let mut avoided = None;
        let mut skipped = vec![];
        let result = loop {
            if self.w == 0 {
                self.w = self.t;
                self.p = self.t;
            }
            let Some(server) = self.candidate() else {
                if switched {
                    if let Some(avoided) = avoided {
                        self.requeue(avoided);
                    }
                    break avoided;
                }
                std::mem::swap(&mut self.fresh, &mut self.later);
                self.w = self.t;
                self.p = self.t;
                switched = true;
                continue;
            };
            self.consume(server);
            if !saturated[server] {
                if avoid != Some(server) || avoided.is_some() {
                    self.requeue(server);
                    break Some(server);
                }
                avoided = Some(server);
            }
            skipped.push(server);
        };
        while let Some(server) = skipped.pop() {
            if Some(server) == result {
                continue;
            }
            if switched {
                insert(&mut self.fresh, 4096 - self.fields[server].weight, server);
            } else {
                self.requeue(server);
            }
        }
        result
    }

    pub(super) fn set_weight(&mut self, server: usize, n: u32, rule: WeightChangeRule) {
        let o = self.fields[server].weight;
        if n == o {
            return;
        }
        self.t = self.t.wrapping_add(n).wrapping_sub(o);
        if n == 0 {
            self.unlink(server);
            self.fields[server].weight = 0;
        } else if o > 0 && rule == WeightChangeRule::KeepPlace {
            self.keep_place(server, n);
        } else {
            self.extract(server);
            self.unlink(server);
            self.fields[server].weight = n;
            let ahead = self.t.wrapping_add(self.w).wrapping_sub(self.p) / n;
            self.fields[server].slot = self.p.wrapping_add(ahead);
            self.requeue(server);
        }
    }

    fn keep_place(&mut self, server: usize, n: u32) {
        if self.place(server) == In::Fresh {
            self.unlink(server);
            self.fields[server].weight = n;
            insert(&mut self.fresh, 4096 - n, server);
            return;
        }
        self.extract(server);
        let fields = &mut self.fields[server];
        let old = fields.slot;
        let step = self.t / n;
        fields.weight = n;
        fields.slot = fields.last.wrapping_add(step).min(old);
        fields.frac = 0;
        if fields.slot < self.p.wrapping_add(2) {
            fields.slot = self.p.wrapping_add(step);
        }
        self.unlink(server);
        self.requeue(server);
    }
}

/// The slots of a map, candidate by candidate.
pub(super) fn map(weights: &[u32], length: u32) -> Vec<u32> {
    if length == 1 {
        return vec![0];
    }
    let n = i64::from(length);
    let mut scores = vec![0_i64; weights.len()];
    let slot = |_| {
        let mut winner = (0, i64::MIN);
        for (candidate, score) in scores.iter_mut().enumerate() {
            *score += i64::from(weights[candidate]);
            let v = (*score + n) / n;
            if v > winner.1 {
                winner = (candidate, v);
            }
        }
        scores[winner.0] -= n;
        winner.0 as u32
    };
    (0..length).map(slot).collect()
}

/// One step of the walk through a map; `i` is its index.
pub(super) fn walk(
    map: &[u32],
    i: &mut usize,
    avoid: Option<usize>,
    saturated: &[bool],
) -> Option<usize> {
    if *i >= map.len() {
        *i = 0;
    }
    let start = *i;
    let mut seen = None;
    for step in 0..map.len() {
        let slot = (start + step) % map.len();
        let server = map[slot] as usize;
        if saturated[server] {
            continue;
        }
        seen = Some(server);
        *i = slot + 1;
        if avoid != Some(server) {
            break;
        }
    }
    seen
}

/// Servers as the orders by load see them; one that has left stays in place, unusable.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) id: u32,
    /// Effective weight, 0 when it is not usable.
    pub(super) weight: u32,
    pub(super) backup: bool,
    /// 0 for none.
    pub(super) limit: u32,
    pub(super) served: u32,
}

impl Loaded {
    pub(super) fn is_saturated(&self) -> bool {
        self.limit > 0 && self.served >= self.limit
    }

    fn key(&self) -> u32 {
        match self.served {
            0 => 0,
            served => (served + 1) * 4096 / self.weight,
        }
    }
}

/// HAProxy's least connections: a multimap of the usable servers for each kind.
#[derive(Default)]
pub(super) struct LeastConnectionsTwin([Multimap; 2]);

impl LeastConnectionsTwin {
    /// After a session has come or gone: only another key moves a server.
    pub(super) fn note(&mut self, index: usize, server: &Loaded) {
        let map = &mut self.0[usize::from(server.backup)];
        let known = map.iter().find(|&&(_, other)| other == index);
        if known.is_some_and(|&(key, _)| key != server.key()) {
            self.renew(index, server);
        }
    }

    /// After a weight has changed, a server has come or gone.
    pub(super) fn renew(&mut self, index: usize, server: &Loaded) {
        let map = &mut self.0[usize::from(server.backup)];
        unlink(map, index);
        if server.weight > 0 {
            insert(map, server.key(), index);
        }
    }

    pub(super) fn pick(
        &self,
        servers: &[Loaded],
        backups: bool,
        avoid: Option<usize>,
    ) -> Option<usize> {
        let map = self.0[usize::from(backups)].iter();
        first_of(map.map(|&(_, index)| index), servers, avoid)
    }
}

/// HAProxy's first: ascending ids.
pub(super) fn first_free(servers: &[Loaded], backups: bool, avoid: Option<usize>) -> Option<usize> {
    let mut serving: Vec<_> = (0..servers.len())
        .filter(|&index| servers[index].weight > 0 && servers[index].backup == backups)
        .collect();
    serving.sort_by_key(|&index| servers[index].id);
    first_of(serving.into_iter(), servers, avoid)
}

fn first_of(
    order: impl Iterator<Item = usize>,
    servers: &[Loaded],
    avoid: Option<usize>,
) -> Option<usize> {
    let mut last_resort = None;
    for index in order {
        if servers[index].is_saturated() {
            continue;
        }
        if avoid != Some(index) {
            return Some(index);
        }
        last_resort = Some(index);
    }
    last_resort
}
