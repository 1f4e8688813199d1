//! A connection: the driver's client, its task, and what is known of its state.

use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Buf;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    Client, CopyInSink, Error as PgError, Row, SimpleQueryMessage, Statement, ToStatement,
    Transaction, TransactionBuilder,
};

use crate::config::{Pooler, Reset};
use crate::connect::{Driver, Target};
use crate::error::Error;
use crate::socket::Peephole;
use crate::statements::Statements;
use crate::wire::Traffic;

/// A connection to PostgreSQL.
///
/// It derefs to the driver's [`Client`], whose calls may all be used: whether a transaction was
/// left open, by whatever statement, and whether an answer is still to come, is read from the
/// server's own words. The calls below replace those of the client of the same names, and note
/// besides when their future is dropped before it has written anything; other calls of the client
/// that may be dropped midway belong in an [operation](pool_core::Pooled::operation) or
/// [`Pool::run`](pool_core::Pool::run).
///
/// There is no `DerefMut`, so that no two connections can have their clients exchanged.
pub struct PgConnection {
    client: Client,
    driver: JoinHandle<()>,
    /// The driver was ended from outside, not by the server or the network.
    aborted: Arc<AtomicBool>,
    /// Why the driver ended, if it failed.
    ended: Arc<OnceLock<PgError>>,
    traffic: Arc<Traffic>,
    peephole: Peephole,
    target: Target,
    /// Calls of ours that have begun and not returned.
    unfinished: AtomicU32,
    statements: Mutex<Statements>,
}

impl PgConnection {
    /// Starts the task that moves the bytes. It ends with the client.
    pub(crate) fn start(
        client: Client,
        driver: Driver,
        traffic: Arc<Traffic>,
        peephole: Peephole,
        target: Target,
    ) -> Self {
        let ended = Arc::new(OnceLock::new());
        let end = ended.clone();
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                // It is the only one to set it.
                let _ = end.set(error);
            }
        });
        let capacity = match target.config().pooler {
            Pooler::Transaction => 0,
            Pooler::Direct | Pooler::Session => target.config().statement_cache,
        };
        Self {
            client,
            driver,
            aborted: Arc::default(),
            ended,
            traffic,
            peephole,
            target,
            unfinished: AtomicU32::new(0),
            statements: Mutex::new(Statements::new(capacity)),
        }
    }

    /// Begins a transaction. Dropped without [`commit`](Transaction::commit), it is rolled back.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, PgError> {
        self.client.transaction().await
    }

    /// Begins a transaction with settings of its own.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        self.client.build_transaction()
    }

    /// Prepares a statement, or finds the one that this connection has prepared before. At most
    /// [`Config::statement_cache`](crate::Config::statement_cache) are kept; the least recently used goes first. Behind a
    /// [transaction pooler](Pooler::Transaction) none is kept, and [`Client::query_typed`] is the
    /// call to use instead.
    ///
    /// After a change of schema the server may refuse an old statement (`cached plan must not
    /// change result type`); [`forget_statements`](Self::forget_statements) helps.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn prepare_cached(&self, sql: &str) -> Result<Statement, PgError> {
        if let Some(statement) = self.statements().find(sql) {
            return Ok(statement);
        }
        let statement = self.counted(self.client.prepare(sql)).await?;
        self.statements().keep(sql, statement.clone());
        Ok(statement)
    }

    /// Forgets all statements that [`prepare_cached`](Self::prepare_cached) has kept.
    pub fn forget_statements(&self) {
        self.statements().clear();
    }

    /// How many statements are kept prepared.
    pub fn cached_statements(&self) -> usize {
        self.statements().len()
    }

    /// As [`Client::query`].
    ///
    /// # Errors
    ///
    /// Those of the driver and the server.
    pub async fn query<T: ?Sized + ToStatement + Sync>(
        &self,
        statement: &T,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PgError> {
        self.counted(self.client.query(statement, parameters)).await
    }

    /// As [`Client::query_one`].
    ///
    /// # Errors
    ///
    /// Those of the driver and the server, and when there is not exactly one row.
    pub async fn query_one<T: ?Sized + ToStatement + Sync>(
        &self,
        statement: &T,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, PgError> {
        self.counted(self.client.query_one(statement, parameters))
            .await
    }

    /// As [`Client::query_opt`].
    ///
    /// # Errors
    ///
    /// Those of the driver and the server, and when there is more than one row.
    pub async fn query_opt<T: ?Sized + ToStatement + Sync>(
        &self,
        statement: &T,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, PgError> {
        self.counted(self.client.query_opt(statement, parameters))
            .await
    }

    /// As [`Client::execute`].
    ///
    /// # Errors
    ///
    /// Those of the driver and the server.
    pub async fn execute<T: ?Sized + ToStatement + Sync>(
        &self,
        statement: &T,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PgError> {
        self.counted(self.client.execute(statement, parameters))
            .await
    }

    /// As [`Client::simple_query`].
    ///
    /// # Errors
    ///
    /// Those of the driver and the server.
    pub async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, PgError> {
        self.counted(self.client.simple_query(sql)).await
    }

    /// As [`Client::batch_execute`].
    ///
    /// # Errors
    ///
    /// Those of the driver and the server.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), PgError> {
        self.counted(self.client.batch_execute(sql)).await
    }

    /// As [`Client::copy_in`], from the text of the statement.
    ///
    /// When the server refuses the COPY itself, rather than its data, the driver loses count of the
    /// answers (0.7.18); this connection is then closed, and not lent again.
    ///
    /// # Errors
    ///
    /// Those of the driver and the server.
    pub async fn copy_in<U>(&self, sql: &str) -> Result<CopyInSink<U>, PgError>
    where
        U: Buf + Send + 'static,
    {
        let entered = self.counted(async {
            let statement = self.client.prepare(sql).await?;
            let sink = self.client.copy_in(&statement).await;
            if sink.is_err() {
                self.traffic.spoil();
            }
            sink
        });
        entered.await
    }

    /// Asks the server to give up what this connection is doing, and waits until it has been told.
    /// The statement, unless it was faster, ends with 57014.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub async fn cancel(&self) -> Result<(), Error> {
        let token = self.client.cancel_token();
        let cancelled = self.target.cancel(&token).await;
        cancelled.map_err(Error::Cancel)
    }

    /// Why the connection ended, if the server or the network ended it.
    pub fn ended(&self) -> Option<&PgError> {
        self.ended.get()
    }

    /// Whether the session is known to be over. The socket is looked at only if nothing has been
    /// heard since the last look, as before the next user; right after an answer it is not.
    pub(crate) fn has_broken(&self) -> bool {
        self.client.is_closed()
            || self.traffic.is_spoiled()
            || (!self.traffic.take_heard() && self.peephole.is_over())
    }

    /// Whether something is left from the last user that must not reach the next.
    pub(crate) fn needs_reset(&self) -> bool {
        let leftover = match self.target.config().reset {
            Reset::None => false,
            Reset::Rollback => !self.traffic.is_idle(),
            Reset::Discard => !self.traffic.is_idle() || self.traffic.is_used(),
        };
        leftover || self.traffic.is_pending() || self.unfinished.load(Relaxed) > 0
    }

    /// Leaves nothing to the next user.
    pub(crate) async fn reset(&self) -> Result<(), Error> {
        self.settle().await?;
        if self.target.config().reset == Reset::Discard {
            self.client.batch_execute(DISCARD).await?;
            self.set_up().await?;
        }
        self.unfinished.store(0, Relaxed);
        self.traffic.rest();
        Ok(())
    }

    /// Sets what cannot be said at login.
    pub(crate) async fn set_up(&self) -> Result<(), Error> {
        let config = self.target.config();
        if let (Pooler::Session, Some(limit)) = (config.pooler, config.statement_timeout) {
            let sql = format!("SET statement_timeout = {}", limit.as_millis());
            self.client.batch_execute(&sql).await?;
        }
        Ok(())
    }

    /// Asks the server for a sign of life.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let sql = match &self.target.config().validation_query {
            // In the simple protocol all of it is one round trip, and a failure ends it there.
            Some(sql) => {
                let sql = sql.trim_end().trim_end_matches(';');
                &format!("BEGIN READ ONLY;{sql}\n;COMMIT")
            }
            None => "",
        };
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Waits until the server is done with all that was sent, and ends an open transaction.
    ///
    /// What runs is cancelled: at once if it is known to run; or when the server does not answer
    /// soon, as what was asked last may not have been written yet when this began.
    async fn settle(&self) -> Result<(), Error> {
        if self.traffic.is_pending() {
            self.cancel().await?;
        }
        // An empty statement is answered after all before it.
        let mut sql = "";
        for _ in 0..ROUNDS {
            let mut answer = pin!(self.client.batch_execute(sql));
            let result = match timeout(PATIENCE, &mut answer).await {
                Ok(result) => result,
                Err(_) => {
                    self.cancel().await?;
                    let answer = timeout(SILENCE, answer).await;
                    answer.map_err(|_| Error::Restless)?
                }
            };
            match result {
                // The cancel came late and hit us: what it was meant for is over.
                Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {}
                result => result?,
            }
            sql = match (
                self.traffic.is_pending(),
                self.traffic.is_idle() || self.keeps(),
            ) {
                (false, true) => return Ok(()),
                (true, _) => "",
                (false, false) => "ROLLBACK",
            };
        }
        Err(Error::Restless)
    }

    /// Whether an open transaction goes to the next user.
    fn keeps(&self) -> bool {
        self.target.config().reset == Reset::None
    }

    /// Ends the session and waits for the driver's task: in good order, or if it is `dead` without
    /// a farewell, which nobody would answer. Dropped midway, it cuts the connection.
    pub(crate) async fn shut_down(self, dead: bool) {
        struct Abort(JoinHandle<()>);
        impl Drop for Abort {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        let mut driver = Abort(self.driver);
        // Cut by us: the server is there, and works on.
        let cut = self.aborted.load(Relaxed);
        if dead && !cut {
            driver.0.abort();
        } else if self.traffic.is_pending() && (cut || !self.client.is_closed()) {
            // A server in the middle of a statement would not hear the farewell. When it cannot be
            // told, there is nobody to tell.
            let token = self.client.cancel_token();
            let _ = self.target.cancel(&token).await;
        }
        drop(self.client);
        // The task catches nothing, so it is only cut short by a panic in the driver.
        let _ = (&mut driver.0).await;
    }

    /// Cuts the connection. What then still runs at the server is cancelled as it is shut down.
    pub(crate) fn cut(&self) -> impl FnOnce() + Send + use<> {
        let (driver, aborted) = (self.driver.abort_handle(), self.aborted.clone());
        move || {
            aborted.store(true, Relaxed);
            driver.abort();
        }
    }

    /// Runs a call, and remembers if it is dropped before its end.
    async fn counted<T>(&self, call: impl Future<Output = T>) -> T {
        self.unfinished.fetch_add(1, Relaxed);
        let result = call.await;
        self.unfinished.fetch_sub(1, Relaxed);
        result
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, Statements> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for PgConnection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for PgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgConnection")
            .field("traffic", &self.traffic)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// All that `DISCARD ALL` does but for prepared statements; that one cannot be part of a list.
const DISCARD: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
    SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// How long an answer may take before something is thought to be in its way.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a server may be silent that has just been asked, by another connection, to cancel, and
/// was heard to have done so: what it had to say here was on its way before. The pool's reset timeout
/// would find out too, but whoever waits for this slot would wait for that.
const SILENCE: Duration = Duration::from_millis(100);

/// To wait for what runs, to roll back, and once more for each that a late cancel may hit.
const ROUNDS: usize = 4;
