//! The floor: a semaphore, a stack and the driver, and no promise.

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::Config;

use super::session::Session;
use super::{Contender, PATIENCE, Rig, Setting};
use crate::figures::Kind;
use crate::pool::Failed;

#[derive(Clone)]
pub(super) struct Floor(Arc<Parts>);

pub(super) struct Parts {
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
    config: Config,
    setting: Setting,
}

impl Parts {
    /// One that is idle and alive, or a new one.
    async fn session(&self) -> Result<Session, Failed> {
        let idle = self.idle.lock().expect("no panics").pop();
        let idle = idle.filter(|session| !session.client.is_closed());
        if let Some(session) = idle {
            let valid =
                self.setting == Setting::Plain || session.client.simple_query("").await.is_ok();
            if valid {
                return Ok(session);
            }
        }
        let session = Session::connect(&self.config).await;
        session.map_err(|_| Failed::Told)
    }
}

impl Contender for Floor {
    const NAME: &'static str = "floor: semaphore and stack";
    const KIND: Kind = Kind::Floor;

    async fn open(rig: &Rig, size: usize, setting: Setting) -> Self {
        Self(Arc::new(Parts {
            permits: Semaphore::new(size),
            idle: Mutex::default(),
            config: rig.config(),
            setting,
        }))
    }

    async fn query(&self, sql: &'static str, id: i32) -> Result<i32, Failed> {
        let permit = timeout(PATIENCE, self.0.permits.acquire()).await;
        let _permit = permit.map_err(|_| Failed::TimedOut)?;
        let mut session = self.0.session().await?;
        let answer = session.query(sql, id).await.map_err(|_| Failed::Told);
        self.0.idle.lock().expect("no panics").push(session);
        answer
    }
}
