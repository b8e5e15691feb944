#![no_main]

#[path = "../bodies/cookie_header.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
