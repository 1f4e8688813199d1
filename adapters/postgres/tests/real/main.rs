//! The adapter on real PostgreSQL, in both versions; each fault is counted on the server's side too.
#![expect(
    clippy::unwrap_used,
    reason = "a test, its helper functions included, fails by panicking"
)]

mod support;

mod accounts;
mod copying;
mod dropped_operations;
mod idle_sessions;
mod killed_backends;
mod leftovers;
mod passwords;
mod promotion;
mod restarts;
mod session_settings;
mod statement_cache;
mod stopped_postmaster;
mod tls;
mod too_many_connections;
mod validation;
