//! PostgreSQL for [`pool_core`], by [`tokio_postgres`] and rustls.
//!
//! ```no_run
//! use pool_postgres::{PgManager, Pool};
//!
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = PgManager::from_url("postgres://app:secret@db.example.org/shop")?;
//! let pool = Pool::builder(manager).max_size(16).build()?;
//!
//! let connection = pool.get().await?;
//! let find = connection.prepare_cached("SELECT name FROM item WHERE id = $1").await?;
//! let row = connection.query_one(&find, &[&7_i32]).await?;
//! let name: String = row.get(0);
//! # drop(name);
//! # Ok(()) }
//! ```
//!
//! What sets it apart:
//!
//! - **A clean return is free.** The server ends each answer with its transaction status. We read
//!   it from the wire, so a connection is reset only if there is something to reset.
//! - **A dropped operation is cancelled at the server**, and the connection is kept.
//! - **No session is lent that has ended**, as far as the kernel knows; a restart costs few an error.
//! - **TLS is verified** unless the server is this machine; see [`SslMode`].
//! - **Errors are classified** by SQLSTATE; see [`classify`]. The password is in none of them.
//!
//! The feature `serde` reads a [`Config`] from any serde format.
#![forbid(unsafe_code)]

mod config;
mod connect;
mod connection;
#[cfg(feature = "serde")]
mod document;
mod error;
mod manager;
mod password;
mod readonly;
mod rules;
mod socket;
mod span;
mod statements;
mod tls;
mod url;
mod wire;

pub use config::{Config, Host, Keepalive, Pooler, Reset, SslMode, TargetSessionAttrs};
pub use connection::PgConnection;
pub use error::{Error, classify, classify_state};
pub use manager::PgManager;
pub use password::Password;
pub use rules::{ConfigErrors, Violation};
pub use tokio_postgres;

/// A pool of connections to PostgreSQL.
pub type Pool = pool_core::Pool<PgManager>;

/// A lent connection to PostgreSQL.
pub type Pooled = pool_core::Pooled<PgManager>;
