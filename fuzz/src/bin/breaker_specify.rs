//! The breaker's machine against its naive model, driven by bytes.
#![no_main]

#[allow(dead_code, reason = "shared with the property tests")]
#[path = "../../../breaker/tests/support/model.rs"]
mod model;
#[allow(dead_code, reason = "the other function belongs to the other target")]
#[path = "../../../breaker/tests/support/operations.rs"]
mod operations;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| operations::specify(bytes));
