//! A persistence cookie's value: identifier and dates. The first eight bytes are the
//! clock and the limits, the rest is the value.

use std::time::Duration;

use stickroute::CookiePolicy;
use stickroute::cookie::{
    ClientCookie, ClientState, Dates, Insertion, Match, ResponseCookie, Stamp, insertion,
    must_insert,
};

pub(crate) fn check(data: &[u8]) {
    let Some((head, value)) = data.split_first_chunk::<8>() else {
        return;
    };
    let [a, b, c, d, idle, idle_high, life, life_high] = *head;
    let now = Stamp::from_unix(u32::from_be_bytes([a, b, c, d]).into());
    check_split(value);
    let seconds = |low: u8, high: u8| Duration::from_secs(u16::from_be_bytes([high, low]).into());
    let policy: CookiePolicy = CookiePolicy::insert("SID")
        .maxidle(seconds(idle, idle_high))
        .maxlife(seconds(life, life_high))
        .into();
    check_visit(&policy, now, value);
}

fn check_split(value: &[u8]) {
    let mut dates = Dates::NONE;
    let id = dates.split(value);
    assert!(value.starts_with(id) && !id.contains(&b'|'));
    for date in [dates.last, dates.first] {
        let text = date.to_text();
        // What is written is read again, and a date read was there.
        assert_eq!(Stamp::from_text(&text), date.is_some().then_some(date));
        assert!(!date.is_some() || value.windows(5).any(|window| window == text));
    }
}

/// A client that is given a cookie comes back with it and is let in, if the clock
/// does not stand still at the end of time.
fn check_visit(policy: &CookiePolicy, now: Stamp, value: &[u8]) {
    let mut client = ClientState::new();
    client.observe(policy, now, value, |_| Match::Usable(()));
    let at = Insertion {
        id: Some(b"c1"),
        dates: client.dates(),
        now,
        direct: client.server().is_some(),
    };
    if !must_insert(policy, &at, b"GET", ResponseCookie::None) {
        return;
    }
    let (sent, _) = insertion(policy, &at);
    let sent = sent.strip_prefix(b"SID=").expect("the name leads");
    let value = sent
        .split(|byte| *byte == b';')
        .next()
        .expect("split yields a part");
    let mut back = ClientState::new();
    back.observe(policy, now, value, |id| {
        assert_eq!(id, b"c1");
        Match::Usable(())
    });
    assert_eq!(back.cookie(), ClientCookie::Valid);
}
