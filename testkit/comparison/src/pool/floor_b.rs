//! Floor B: a lock-free queue that cannot wait.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use super::server::{Connection, Server};
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct FloorB(Arc<Parts>);

struct Parts {
    idle: ArrayQueue<Option<Connection>>,
    server: Server,
}

pub(crate) struct Lent {
    floor: FloorB,
    connection: Option<Connection>,
}

impl Contender for FloorB {
    const NAME: &'static str = "floor B";
    const KIND: Kind = Kind::Floor;
    const WAITS: bool = false;
    type Guard = Lent;

    fn new(size: usize, _: Setting, server: &Server) -> Self {
        let idle = ArrayQueue::new(size);
        (0..size).for_each(|_| idle.push(None).expect("there is room"));
        Self(Arc::new(Parts {
            idle,
            server: server.clone(),
        }))
    }

    async fn get(&self) -> Result<Lent, Failed> {
        let place = loop {
            match self.0.idle.pop() {
                Some(place) => break place,
                None => tokio::task::yield_now().await,
            }
        };
        let connection = match place {
            Some(connection) => connection,
            None => self.0.server.open().await.map_err(|_| Failed::Told)?,
        };
        Ok(Lent {
            floor: self.clone(),
            connection: Some(connection),
        })
    }

    fn settings(_: Setting) -> &'static str {
        "crossbeam_queue::ArrayQueue; no waiting, no timeout, no check"
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let place = self.connection.take();
        self.floor.0.idle.push(place).expect("it came from there");
    }
}
