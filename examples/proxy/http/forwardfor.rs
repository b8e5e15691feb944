//! `option forwardfor`: tells servers who the client is.

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::client::stream::Ends;

/// What the option says in one section.
#[derive(Clone, Debug)]
pub(crate) struct ForwardFor {
    /// `header NAME`; default `X-Forwarded-For`.
    pub(crate) header: Option<HeaderName>,
    /// `except NETWORK`: clients that are not told of.
    pub(crate) except: Option<(IpAddr, u8)>,
    /// `if-none`: not where the client sent one.
    pub(crate) if_none: bool,
}

/// Adds the header as the frontend and the backend want it: either of them is enough, the
/// backend's name counts, clients that one of them leaves out are left out, and `if-none`
/// only counts where both say so.
pub(crate) fn add(options: [&Option<ForwardFor>; 2], ends: Ends, headers: &mut HeaderMap) {
    let (front, back) = (options[0].as_ref(), options[1].as_ref());
    let all = || front.into_iter().chain(back);
    let Some(source) = ends.source.map(|source| source.ip()) else {
        return;
    };
    if all().next().is_none() || all().any(|option| option.excepts(source)) {
        return;
    }
    let own = |option: Option<&ForwardFor>| option.and_then(|option| option.header.clone());
    let name = own(back).or_else(|| own(front));
    let name = name.unwrap_or(HeaderName::from_static("x-forwarded-for"));
    if all().all(|option| option.if_none) && headers.contains_key(&name) {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&source.to_string()) {
        // A map that is full of names takes no more.
        let _ = headers.try_append(name, value);
    }
}

impl ForwardFor {
    fn excepts(&self, source: IpAddr) -> bool {
        match (self.except, source) {
            (Some((IpAddr::V4(network), bits)), IpAddr::V4(source)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                (network.to_bits() ^ source.to_bits()) & mask == 0
            }
            (Some((IpAddr::V6(network), bits)), IpAddr::V6(source)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                (network.to_bits() ^ source.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTION: ForwardFor = ForwardFor {
        header: None,
        except: None,
        if_none: false,
    };

    fn added(front: Option<&ForwardFor>, back: Option<&ForwardFor>, source: &str) -> Vec<String> {
        let ends = Ends {
            source: source.parse().ok(),
            destination: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("sent"));
        add([&front.cloned(), &back.cloned()], ends, &mut headers);
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    fn except(network: &str, bits: u8) -> ForwardFor {
        ForwardFor {
            except: Some((network.parse().unwrap(), bits)),
            ..OPTION
        }
    }

    #[test]
    fn either_section_is_enough_and_the_name_of_the_backend_counts() {
        let sent = "x-forwarded-for: sent";
        assert_eq!(added(None, None, "192.0.2.7:1"), [sent]);
        let expected = [sent, "x-forwarded-for: 192.0.2.7"];
        assert_eq!(added(Some(&OPTION), None, "192.0.2.7:1"), expected);
        assert_eq!(added(None, Some(&OPTION), "192.0.2.7:1"), expected);
        let named = ForwardFor {
            header: Some(HeaderName::from_static("x-client")),
            ..OPTION
        };
        let both = added(Some(&OPTION), Some(&named), "[2001:db8::7]:1");
        assert_eq!(both, [sent, "x-client: 2001:db8::7"]);
        assert_eq!(added(Some(&OPTION), None, "a unix socket"), [sent]);
    }

    #[test]
    fn networks_are_left_out_and_so_are_those_who_sent_one_if_both_say_so() {
        for (option, source, is_added) in [
            (except("192.0.2.0", 24), "192.0.2.7:1", false),
            (except("192.0.2.0", 24), "192.0.3.7:1", true),
            (except("192.0.2.7", 32), "192.0.2.7:1", false),
            (except("10.0.0.0", 0), "192.0.2.7:1", false),
            (except("2001:db8::", 32), "[2001:db8::7]:1", false),
            (except("2001:db8::", 32), "[2001:db9::7]:1", true),
            (except("2001:db8::", 32), "192.0.2.7:1", true),
            // As HAProxy: an address in the clothes of another family is one of that.
            (except("192.0.2.0", 24), "[::ffff:192.0.2.7]:1", true),
        ] {
            let count = added(Some(&option), Some(&OPTION), source).len();
            assert_eq!(count == 2, is_added, "{option:?} {source}");
        }
        let if_none = ForwardFor {
            if_none: true,
            ..OPTION
        };
        assert_eq!(added(Some(&if_none), None, "192.0.2.7:1").len(), 1);
        let both = added(Some(&if_none), Some(&OPTION), "192.0.2.7:1");
        assert_eq!(both.len(), 2);
    }
}
