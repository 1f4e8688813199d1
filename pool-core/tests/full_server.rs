//! A server that takes no more connections, as PostgreSQL's 53300, is well but full.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pool_core::{CloseReason, ConnectContext, ErrorClass, Manager, Pool};
use support::{ms, pass};

const ROOM: usize = 4;

#[derive(Debug, Default)]
struct Server {
    live: AtomicUsize,
    attempts: AtomicU64,
}

struct Client(Arc<Server>);

struct Session(Arc<Server>);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

impl Manager for Client {
    type Connection = Session;
    type Error = &'static str;

    async fn connect(&self, _: ConnectContext) -> Result<Session, &'static str> {
        let server = &self.0;
        server.attempts.fetch_add(1, SeqCst);
        pass(ms(3)).await;
        if server.live.fetch_add(1, SeqCst) >= ROOM {
            server.live.fetch_sub(1, SeqCst);
            return Err("53300: sorry, too many clients already");
        }
        Ok(Session(server.clone()))
    }

    fn classify(&self, _: &&'static str) -> ErrorClass {
        ErrorClass::Overload
    }
}

/// Contract: no caller error while one connection lives and the acquire timeout has not passed;
/// and no storm of attempts, whatever the number of callers.
#[tokio::test(start_paused = true)]
async fn a_full_server_costs_no_caller_an_error_and_is_asked_seldom() {
    const SECONDS: u64 = 60;
    let server = Arc::new(Server::default());
    let pool = Pool::builder(Client(server.clone()))
        .max_size(16)
        .max_uses(2000)
        .build()
        .unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(SECONDS);
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut served = 0;
                while tokio::time::Instant::now() < end {
                    let held = pool.get().await.unwrap();
                    pass(ms(5)).await;
                    drop(held);
                    served += 1;
                }
                served
            })
        })
        .collect();
    let mut before = 0;
    for second in 0..SECONDS {
        pass(ms(1000)).await;
        let attempts = server.attempts.load(SeqCst) - before;
        before += attempts;
        // At the start nobody knows that the server has a limit: those that find room come on top,
        // and the eight that meet the limit together.
        let most = if second == 0 { 5 + 8 + ROOM as u64 } else { 5 };
        assert!(attempts <= most, "{attempts} attempts in second {second}");
    }
    let mut served = 0;
    for caller in callers {
        served += caller.await.unwrap();
    }
    let possible = SECONDS * 200 * ROOM as u64;
    assert!(
        served * 100 >= possible * 95,
        "{served} of {possible} possible leases"
    );
    let statistics = pool.statistics();
    assert_eq!((statistics.timed_out, statistics.failed), (0, 0));
    assert!(
        statistics.closed_for(CloseReason::MaxUses) > 0,
        "connections came and went"
    );
    pool.audit_quiescent().unwrap();
}
