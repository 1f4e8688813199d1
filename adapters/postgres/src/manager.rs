//! What the pool is told about PostgreSQL.

use pool_core::{
    Abandoned, AbortHandle, CloseReason, ConnectContext, ErrorClass, Manager, ResetAt,
};

use crate::config::Config;
use crate::connect::Connector;
use crate::connection::PgConnection;
use crate::error::Error;
use crate::rules::ConfigErrors;

/// Opens, checks, resets and closes connections to PostgreSQL.
///
/// A connection comes back to others as follows, unless [`Config::reset`] says otherwise. If the
/// server's last answer said that no transaction is open, and no answer is outstanding, it is lent
/// again as it is: no round trip. Else the maintenance task resets it: what runs is cancelled at
/// the server, what was begun is rolled back. So an operation that is dropped midway costs neither
/// a wrong reply nor a connection.
///
/// Before an idle connection is lent, the kernel is asked whether the server has ended the session,
/// by one system call and no round trip. The driver's own task would notice too, but only when it
/// gets to run.
#[derive(Debug)]
pub struct PgManager(Connector);

impl PgManager {
    /// A manager for this configuration. Connects nowhere, but reads the root certificates.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn new(config: Config) -> Result<Self, ConfigErrors> {
        Connector::new(config).map(Self)
    }

    /// A manager for what [`Config::from_url`] reads.
    ///
    /// # Errors
    ///
    /// As those two.
    pub fn from_url(url: &str) -> Result<Self, ConfigErrors> {
        Self::new(Config::from_url(url)?)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        self.0.config()
    }
}

/// The futures are boxed: these are rare, and an acquire carries the room for its check and reset
/// whether it needs them or not.
impl Manager for PgManager {
    type Connection = PgConnection;
    type Error = Error;

    async fn connect(&self, context: ConnectContext) -> Result<PgConnection, Error> {
        Box::pin(self.0.connect(context.timeout)).await
    }

    async fn is_valid(&self, connection: &mut PgConnection) -> Result<(), Error> {
        Box::pin(connection.check()).await
    }

    async fn reset(&self, connection: &mut PgConnection) -> Result<(), Error> {
        Box::pin(connection.reset()).await
    }

    fn has_broken(&self, connection: &mut PgConnection) -> bool {
        connection.has_broken()
    }

    fn needs_reset(&self, connection: &mut PgConnection) -> bool {
        connection.needs_reset()
    }

    fn reset_at(&self) -> ResetAt {
        ResetAt::Return
    }

    fn on_abandoned(&self) -> Abandoned {
        Abandoned::Reset
    }

    fn classify(&self, error: &Error) -> ErrorClass {
        error.class()
    }

    async fn close(&self, connection: PgConnection, reason: CloseReason) {
        let dead = matches!(
            reason,
            CloseReason::Broken | CloseReason::Invalid | CloseReason::ResetFailed
        );
        Box::pin(connection.shut_down(dead)).await;
    }

    fn abort_handle(&self, connection: &PgConnection) -> Option<AbortHandle> {
        Some(AbortHandle::new(connection.cut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_waits_carries_little_of_ours() {
        struct Nothing;
        impl Manager for Nothing {
            type Connection = ();
            type Error = ();
            async fn connect(&self, _: ConnectContext) -> Result<(), ()> {
                Ok(())
            }
        }
        let ours = PgManager::new(Config::new("localhost", "app")).unwrap();
        let ours = pool_core::Pool::builder(ours).build().unwrap();
        let least = pool_core::Pool::builder(Nothing).build().unwrap();
        let (ours, least) = (size_of_val(&ours.get()), size_of_val(&least.get()));
        assert!(
            ours <= least + 128,
            "{ours} bytes, {least} for a manager of nothing"
        );
    }
}
