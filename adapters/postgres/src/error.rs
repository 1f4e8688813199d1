//! What can go wrong with a connection, and what it means for the pool.

use std::io;
use std::time::Duration;

use pool_core::ErrorClass;
use thiserror::Error;
use tokio_postgres::error::SqlState;

use crate::config::{Host, TargetSessionAttrs};

/// Why connecting, checking or resetting failed. No message contains a password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's name has no address, or could not be looked up.
    #[error("cannot find the address of {host}; check `hosts`")]
    Resolve {
        /// The server.
        host: Host,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host did not take the connection.
    #[error("cannot reach {host}")]
    Reach {
        /// The server.
        host: Host,
        /// What the system said.
        source: io::Error,
    },
    /// The server did not answer within its share of the connect timeout.
    #[error("{host} did not answer within {limit:?}")]
    Silent {
        /// The server.
        host: Host,
        /// The time it had.
        limit: Duration,
    },
    /// The server has no TLS, but `ssl_mode` asks for it.
    #[error("{host} has no TLS; turn it on there, or set `ssl_mode` to `disable` or `prefer`")]
    NoTls {
        /// The server.
        host: Host,
    },
    /// The server answered, and TLS or the login failed.
    #[error("cannot log in to {host}")]
    LogIn {
        /// The server.
        host: Host,
        /// What it said.
        source: tokio_postgres::Error,
    },
    /// The server is not of the kind that `target_session_attrs` asks for.
    #[error("{host} is not {wanted:?}, as `target_session_attrs` demands")]
    WrongRole {
        /// The server.
        host: Host,
        /// What was asked for.
        wanted: TargetSessionAttrs,
    },
    /// A statement of ours failed: a check, a reset, or the first settings.
    #[error("the server refused a statement of the pool")]
    Statement(#[from] tokio_postgres::Error),
    /// A request to cancel did not reach the server.
    #[error("cannot cancel a statement")]
    Cancel(#[source] io::Error),
    /// The connection stayed busy or in a transaction although all was done to end that.
    #[error("the connection does not come to rest")]
    Restless,
}

impl Error {
    /// What the error means for the pool.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Resolve { .. } | Self::Reach { .. } | Self::Silent { .. } => {
                ErrorClass::Transient
            }
            // A standby may be promoted at any time.
            Self::WrongRole { .. } => ErrorClass::Transient,
            Self::NoTls { .. } => ErrorClass::Permanent,
            Self::LogIn { source, .. } => login_class(source),
            Self::Statement(source) => classify(source),
            Self::Cancel(_) | Self::Restless => ErrorClass::Broken,
        }
    }
}

/// What an error of the driver means for the connection it came from; made for
/// [`Pooled::report`](pool_core::Pooled::report).
///
/// By SQLSTATE: 28xxx and 3D000 are permanent; 53300 overload; 57P03, a server that is starting or
/// stopping, transient; 57P01, 57P02, 57P05 and 08xxx broken; 25006 the wrong role; all others are
/// the caller's. Without one: a closed connection or failed socket is broken; everything else, such
/// as a value of the wrong type, is the caller's.
pub fn classify(error: &tokio_postgres::Error) -> ErrorClass {
    match error.code() {
        Some(state) => classify_state(state),
        None if error.is_closed() || io_cause(error).is_some() => ErrorClass::Broken,
        None => ErrorClass::Caller,
    }
}

/// [`classify`], for a SQLSTATE alone.
pub fn classify_state(state: &SqlState) -> ErrorClass {
    match state.code() {
        "3D000" => ErrorClass::Permanent,
        "53300" => ErrorClass::Overload,
        "57P03" => ErrorClass::Transient,
        "57P01" | "57P02" | "57P05" => ErrorClass::Broken,
        "25006" => ErrorClass::WrongRole,
        code if code.starts_with("28") => ErrorClass::Permanent,
        code if code.starts_with("08") => ErrorClass::Broken,
        _ => ErrorClass::Caller,
    }
}

/// An error before the connection was there: nothing is broken, as there is nothing yet.
fn login_class(error: &tokio_postgres::Error) -> ErrorClass {
    if let Some(state) = error.code() {
        return match classify_state(state) {
            ErrorClass::Broken => ErrorClass::Transient,
            // Such as an unknown setting in `options`, or 42501: no right to connect.
            ErrorClass::Caller => ErrorClass::Permanent,
            class => class,
        };
    }
    // A certificate that was refused comes as an I/O error around rustls' own.
    let refused = io_cause(error)
        .and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.is::<tokio_rustls::rustls::Error>());
    if refused || !(error.is_closed() || io_cause(error).is_some()) {
        ErrorClass::Permanent
    } else {
        ErrorClass::Transient
    }
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_mean_what_the_table_says() {
        for (class, states) in [
            (ErrorClass::Permanent, &["28000", "28P01", "3D000"][..]),
            (ErrorClass::Overload, &["53300"]),
            (ErrorClass::Transient, &["57P03"]),
            (
                ErrorClass::Broken,
                &["57P01", "57P02", "57P05", "08000", "08006", "08P01"],
            ),
            (ErrorClass::WrongRole, &["25006"]),
            (
                ErrorClass::Caller,
                &["23505", "40001", "42P01", "57014", "53200", "25P02"],
            ),
        ] {
            for state in states {
                assert_eq!(
                    classify_state(&SqlState::from_code(state)),
                    class,
                    "{state}"
                );
            }
        }
    }
}
