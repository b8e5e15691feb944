#![no_main]

#[path = "../bodies/expression.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
