//! Every seed of the fuzz corpora holds what the fuzzer checks.
//!
//! The bodies are those of the fuzz targets, so that what the fuzzer finds is a test
//! as soon as its file lies in the corpus.

use std::fs;
use std::path::Path;

#[cfg(feature = "haproxy")]
#[path = "../fuzz/bodies/command.rs"]
mod command;
#[cfg(feature = "haproxy")]
#[path = "../fuzz/bodies/configuration.rs"]
mod configuration;
#[path = "../fuzz/bodies/cookie_date.rs"]
mod cookie_date;
#[path = "../fuzz/bodies/cookie_directive.rs"]
mod cookie_directive;
#[path = "../fuzz/bodies/cookie_header.rs"]
mod cookie_header;
#[cfg(feature = "haproxy")]
#[path = "../fuzz/bodies/expression.rs"]
mod expression;
#[path = "../fuzz/bodies/set_cookie_header.rs"]
mod set_cookie_header;
#[path = "../fuzz/bodies/table.rs"]
mod table;

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = fs::read_dir(corpus.join(target)).unwrap();
    let mut run = 0;
    for file in files {
        let path = file.unwrap().path();
        let data = fs::read(&path).unwrap();
        // A panic is caught only to tell which file it was.
        let result = std::panic::catch_unwind(|| check(&data));
        assert!(result.is_ok(), "{}", path.display());
        run += 1;
    }
    println!("{target}: {run} files run");
    assert!(run > 0, "{target} has no corpus");
}

#[test]
#[cfg(feature = "haproxy")]
fn commands() {
    replay("command", command::check);
}

#[test]
fn cookie_headers() {
    replay("cookie_header", cookie_header::check);
}

#[test]
fn set_cookie_headers() {
    replay("set_cookie_header", set_cookie_header::check);
}

#[test]
fn cookie_dates() {
    replay("cookie_date", cookie_date::check);
}

#[test]
fn cookie_directives() {
    replay("cookie_directive", cookie_directive::check);
}

#[cfg(feature = "haproxy")]
#[test]
fn expressions() {
    replay("expression", expression::check);
}

#[cfg(feature = "haproxy")]
#[test]
fn configurations() {
    replay("configuration", configuration::check);
}

#[test]
fn tables() {
    replay("table", table::check);
}
