//! The configurations that are compared, in HAProxy's words for both sides.

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The text behind `cookie`.
    pub(crate) cookie: Option<&'static str>,
    /// What follows the address of each server; they are called `s1`, `s2`, ...
    pub(crate) servers: &'static [&'static str],
    pub(crate) balance: &'static str,
    pub(crate) hash_type: Option<&'static str>,
    pub(crate) dynamic_cookie_key: Option<&'static str>,
    pub(crate) retries: u32,
    pub(crate) redispatch: Option<i32>,
    pub(crate) persist: bool,
    pub(crate) allbackups: bool,
    /// How many sessions at most stay open while others come and go.
    pub(crate) held: usize,
}

/// Every server has an identifier.
const ALL: &[&str] = &["cookie c1", "cookie c2 weight 3", "cookie c3"];
/// A server without one, two that share one, and a backup.
const MIXED: &[&str] = &[
    "cookie c1",
    "weight 2",
    "cookie c3",
    "cookie c1",
    "cookie c4 backup",
];
/// For dynamic cookies: only one server has an identifier of its own.
const BARE: &[&str] = &["", "weight 2", "cookie c3", "backup"];
/// Weights for map-based algorithms, and two backups.
const WEIGHTS: &[&str] = &[
    "cookie c1 weight 4",
    "cookie c2 weight 6 id 17",
    "cookie c3 weight 2 disabled",
    "cookie c4 weight 4 backup",
    "weight 2 backup",
];
/// Weights, ids and limits for algorithms that look at the load, and two backups.
const LOADED: &[&str] = &[
    "cookie c1 weight 3 maxconn 3",
    "cookie c2 weight 8 id 17",
    "cookie c3 id 5 maxconn 2",
    "cookie c4 weight 2",
    "weight 2 backup",
    "cookie c6 weight 5 backup",
];

const fn scenario(name: &'static str, cookie: &'static str) -> Scenario {
    Scenario {
        name,
        cookie: Some(cookie),
        servers: MIXED,
        balance: "roundrobin",
        hash_type: None,
        dynamic_cookie_key: None,
        retries: 2,
        redispatch: None,
        persist: false,
        allbackups: false,
        held: 0,
    }
}

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("passive", "SID"),
    scenario("passive indirect", "SID indirect"),
    scenario("passive dated", "SID maxidle 30m maxlife 8h"),
    scenario("rewrite", "SID rewrite nocache"),
    scenario("insert", "SID insert"),
    scenario("insert indirect nocache", "SID insert indirect nocache"),
    scenario("insert preserve", "SID insert preserve nocache"),
    scenario("indirect preserve", "SID insert indirect preserve"),
    scenario("postonly", "SID insert indirect postonly nocache"),
    scenario(
        "attributes",
        "SID insert httponly secure domain .shop.test domain a.b attr SameSite=None attr 'x y'",
    ),
    scenario("maxidle", "SID insert indirect maxidle 30m nocache"),
    scenario("maxlife", "SID insert maxlife 8h"),
    scenario("both dates", "SID insert indirect maxidle 30m maxlife 8h"),
    scenario("prefix", "SID prefix nocache"),
    scenario("prefix indirect", "SID prefix indirect"),
    Scenario {
        servers: BARE,
        dynamic_cookie_key: Some("a secret"),
        redispatch: Some(-1),
        ..scenario("dynamic", "SID insert indirect dynamic")
    },
    Scenario {
        servers: ALL,
        redispatch: Some(-1),
        retries: 3,
        ..scenario("redispatch", "SID insert indirect nocache")
    },
    Scenario {
        redispatch: Some(1),
        persist: true,
        ..scenario("persist and redispatch", "SID insert indirect maxidle 30m")
    },
    Scenario {
        persist: true,
        ..scenario("persist", "SID prefix")
    },
    Scenario {
        servers: ALL,
        balance: "source",
        hash_type: Some("consistent"),
        redispatch: Some(1),
        ..scenario("source consistent", "SID insert indirect nocache")
    },
    Scenario {
        servers: WEIGHTS,
        balance: "uri",
        hash_type: Some("map-based crc32"),
        allbackups: true,
        ..scenario("uri map-based", "SID insert preserve indirect")
    },
    Scenario {
        servers: WEIGHTS,
        balance: "static-rr",
        redispatch: Some(-2),
        ..scenario("static-rr", "SID rewrite")
    },
    Scenario {
        cookie: None,
        allbackups: true,
        ..scenario("no cookie", "")
    },
    Scenario {
        servers: LOADED,
        balance: "leastconn",
        redispatch: Some(1),
        held: 12,
        ..scenario("leastconn", "SID insert indirect nocache")
    },
    Scenario {
        servers: LOADED,
        balance: "leastconn",
        allbackups: true,
        held: 30,
        ..scenario("leastconn allbackups", "SID insert preserve")
    },
    Scenario {
        cookie: None,
        servers: LOADED,
        balance: "first",
        redispatch: Some(-1),
        retries: 3,
        allbackups: true,
        held: 12,
        ..scenario("first", "")
    },
    Scenario {
        servers: MIXED,
        balance: "first",
        redispatch: Some(1),
        ..scenario("first by cookie", "SID rewrite")
    },
];
