//! Promise: with the feature `serde`, small values are written as words and numbers a
//! person would write, and what is out of range is refused when it is read.
#![cfg(feature = "serde")]

use serde_json::{from_str, json, to_value};
use stickroute::{
    AdminState, ClientCookie, OperationalState, Reason, ResponseCookie, ServerId, Weight,
};

#[test]
fn values_are_plain_words_and_numbers() {
    assert_eq!(to_value(Reason::UseServer).unwrap(), json!("use-server"));
    assert_eq!(to_value(AdminState::Drain).unwrap(), json!("drain"));
    assert_eq!(
        to_value(OperationalState::Stopped).unwrap(),
        json!("stopped")
    );
    assert_eq!(to_value(ClientCookie::Valid).unwrap(), json!("valid"));
    assert_eq!(
        to_value(ResponseCookie::Inserted).unwrap(),
        json!("inserted")
    );
    assert_eq!(to_value(Weight::MAX).unwrap(), json!(256));
    assert_eq!(to_value(ServerId::new(7)).unwrap(), json!(7));
}

#[test]
fn a_reason_reads_as_it_is_logged() {
    for reason in [
        Reason::Cookie,
        Reason::UseServer,
        Reason::RdpCookie,
        Reason::Lookup,
        Reason::Redispatch,
    ] {
        assert_eq!(to_value(reason).unwrap(), json!(reason.as_str()));
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_what_is_allowed() {
    assert_eq!(from_str::<Weight>("256").unwrap(), Weight::MAX);
    let weight = from_str::<Weight>("257").unwrap_err().to_string();
    assert!(
        weight.contains("257 is out of range; expected 0 to 256"),
        "{weight}"
    );
    let id = from_str::<ServerId>("0").unwrap_err().to_string();
    assert!(id.contains("expected 1 to 2147483647"), "{id}");
    assert!(from_str::<AdminState>("\"asleep\"").is_err());
}
