//! Promise: a wrong configuration is refused, with everything that is wrong with it.

use stickroute::{
    Backend, BackendBuilder, Condition, CookiePolicy, Problem, Redispatch, RetryPolicy, Server,
};

fn good() -> BackendBuilder {
    Backend::builder("be").server(Server::new("s1", "10.0.0.1:80"))
}

fn problems(builder: BackendBuilder) -> Vec<Problem> {
    builder.build().unwrap_err().problems().to_vec()
}

fn text_of(builder: BackendBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

#[test]
fn a_backend_needs_a_server() {
    assert_eq!(problems(Backend::builder("be")), [Problem::NoServer]);
}

#[test]
fn names_and_ids_are_unique() {
    let builder = good()
        .server(Server::new("s1", "10.0.0.2:80").id(7))
        .server(Server::new("s3", "10.0.0.3:80").id(7));
    let found = problems(builder);
    assert!(matches!(&found[0], Problem::DuplicateName { name } if name == "s1"));
    assert!(matches!(&found[1], Problem::DuplicateId { id, servers }
        if id.get() == 7 && servers == &["s1", "s3"]));
    assert_eq!(found.len(), 2);
}

#[test]
fn every_problem_is_listed_with_what_was_found_and_what_is_allowed() {
    let builder = Backend::builder("shop")
        .server(Server::new("a b", "nowhere").weight(257).id(0))
        .server(Server::new("s2", "10.0.0.2:80").cookie("x\r\ny"))
        .cookie(
            CookiePolicy::insert("S D")
                .attr("a\u{7}b")
                .domain("ex/ample"),
        )
        .dynamic_cookie_key("")
        .use_server("s9", Condition::always())
        .retry(RetryPolicy::new(3).redispatch(Redispatch::Interval(-4)));
    let text = text_of(builder);
    for (found, allowed) in [
        ("\"a b\"", "neither blanks"),
        ("\"nowhere\"", "expected IP:PORT"),
        ("257", "0 to 256"),
        ("id 0", "1 to 2147483647"),
        ("x\\r\\ny", "no control characters"),
        ("S D", "expected letters"),
        ("ex/ample", "expected"),
        ("key is empty", "at least one byte"),
        ("\"s9\"", "name of a server"),
        ("-4", "-(retries + 1)"),
    ] {
        let line = text.lines().find(|line| line.contains(found));
        let line = line.unwrap_or_else(|| panic!("{found} is not in\n{text}"));
        assert!(line.contains(allowed), "{allowed:?} is not in {line:?}");
    }
    assert!(text.starts_with("backend \"shop\""), "{text}");
    assert_eq!(text.lines().count(), 12, "{text}");
}

#[test]
fn a_name_that_is_no_token_and_an_attribute_with_control_characters_are_refused() {
    for name in ["", "a=b", "a;b", "a b", "é", "a\nb"] {
        assert_eq!(
            problems(good().cookie(CookiePolicy::passive(name))).len(),
            1
        );
    }
    for attribute in ["a;b", "a\r\nSet-Cookie: x=1", "\0"] {
        let policy = CookiePolicy::insert("S").attr(attribute);
        assert_eq!(problems(good().cookie(policy)).len(), 1);
    }
}

#[test]
fn the_redispatch_interval_that_crashes_haproxy_is_refused_for_every_number_of_retries() {
    for retries in 1..10 {
        let forbidden = -(retries as i32 + 1);
        for interval in -12..12 {
            let policy = RetryPolicy::new(retries).redispatch(Redispatch::Interval(interval));
            let refused = good().retry(policy).build().is_err();
            assert_eq!(refused, interval == forbidden, "{retries} {interval}");
        }
    }
}

#[test]
fn the_largest_values_are_accepted() {
    let server = Server::new("s2", "10.0.0.2:80")
        .weight(256)
        .id(i32::MAX as u32);
    assert!(good().server(server).build().is_ok());
    let over = Server::new("s2", "10.0.0.2:80").id(i32::MAX as u32 + 1);
    assert_eq!(problems(good().server(over)).len(), 1);
}
