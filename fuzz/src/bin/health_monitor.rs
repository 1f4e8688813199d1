//! The monitor against its model, driven by bytes.
#![no_main]

#[allow(dead_code, reason = "the other drivers belong to the other targets")]
#[path = "../../../health/tests/model/mod.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    model::drive_monitor(bytes.as_chunks().0);
});
