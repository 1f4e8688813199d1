//! Floor A: a semaphore and a mutexed stack.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::server::{Connection, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct FloorA(Arc<Parts>);

struct Parts {
    permits: Arc<Semaphore>,
    stack: Mutex<Vec<Connection>>,
    server: Server,
    setting: Setting,
}

pub(crate) struct Lent {
    floor: FloorA,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl FloorA {
    /// Opens what is missing, one per permit.
    async fn connection(&self) -> Result<Connection, Failed> {
        let Parts { server, .. } = &*self.0;
        let idle = self.0.stack.lock().expect("no panics").pop();
        let valid = |connection: &Connection| {
            self.0.setting == Setting::Tuned || server.check(connection).is_ok()
        };
        match idle.filter(valid) {
            Some(connection) => Ok(connection),
            None => server.open().await.map_err(|_| Failed::Told),
        }
    }
}

impl Contender for FloorA {
    const NAME: &'static str = "floor A";
    const KIND: Kind = Kind::Floor;
    type Guard = Lent;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        Self(Arc::new(Parts {
            permits: Arc::new(Semaphore::new(size)),
            stack: Mutex::new(Vec::with_capacity(size)),
            server: server.clone(),
            setting,
        }))
    }

    async fn get(&self) -> Result<Lent, Failed> {
        let acquire = self.0.permits.clone().acquire_owned();
        let permit = match self.0.setting {
            Setting::Tuned => acquire.await,
            Setting::Equal => tokio::time::timeout(Duration::from_secs(30), acquire)
                .await
                .map_err(|_| Failed::TimedOut)?,
        };
        let permit = permit.expect("the semaphore is open");
        Ok(Lent {
            connection: Some(self.connection().await?),
            floor: self.clone(),
            _permit: permit,
        })
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "tokio::sync::Semaphore and Mutex<Vec>",
            Setting::Equal => "the same, the acquire in tokio::time::timeout(30 s), and the check",
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let mut stack = self.floor.0.stack.lock().expect("no panics");
        stack.extend(connection);
    }
}
