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

impl Manager for PgManager {
    type Connection = PgConnection;
    type Error = Error;

    async fn connect(&self, context: ConnectContext) -> Result<PgConnection, Error> {
        self.0.connect(context.timeout).await
    }

    async fn is_valid(&self, connection: &mut PgConnection) -> Result<(), Error> {
        connection.check().await
    }

    async fn reset(&self, connection: &mut PgConnection) -> Result<(), Error> {
        connection.reset().await
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

    async fn close(&self, connection: PgConnection, _: CloseReason) {
        connection.shut_down().await;
    }

    fn abort_handle(&self, connection: &PgConnection) -> Option<AbortHandle> {
        let driver = connection.abort_handle();
        Some(AbortHandle::new(move || driver.abort()))
    }
}
