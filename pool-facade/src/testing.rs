//! For tests against outages: repeatable chance, and an audit of the whole pool.
//!
//! The nodes of such tests are [`pool_core::testing::Scripted`]; time is tokio's, paused.
//!
//! ```
//! use pool_core::testing::{Script, Step};
//! use pool_core::ErrorClass;
//! use pool_facade::{Pool, testing};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() {
//!     testing::seed(7); // the same choices and the same jitter each time
//!     let (first, second) = (Script::new(), Script::new());
//!     first.connect.otherwise(Step::Fail(ErrorClass::Transient));
//!     let pool = Pool::builder()
//!         .node("first", first.manager())
//!         .node("second", second.manager())
//!         .build()
//!         .unwrap();
//!     for _ in 0..10 {
//!         assert_eq!(pool.get().await.unwrap().node(), "second");
//!     }
//!     pool.audit_quiescent().unwrap();
//! }
//! ```

use pool_core::Manager;
use pool_core::runtime::Runtime;

use crate::{Pool, random};

/// Makes all choices and all jitter of the pools that this thread makes and polls from now on
/// follow from `seed`, so that a test on one thread in paused time is repeated exactly.
pub fn seed(seed: u64) {
    random::seed(seed);
    pool_core::testing::seed(seed);
}

impl<M: Manager, R: Runtime> Pool<M, R> {
    /// Compares each node's books with its slots, and the size with the target. To be called while
    /// no other thread uses the pool.
    ///
    /// # Errors
    ///
    /// What does not agree, and at which node.
    pub fn audit(&self) -> Result<(), String> {
        let plan = self.shared().plan.load_full();
        for node in plan.nodes() {
            let named = |wrong| format!("node `{}`: {wrong}", node.vital.name);
            node.pool.audit().map_err(named)?;
        }
        Ok(())
    }

    /// As [`audit`](Self::audit), and that every account balances: no call is in flight for the
    /// board or for a breaker, and nobody waits. To be called when no call is under way and no
    /// connection is lent.
    ///
    /// # Errors
    ///
    /// What does not agree, and at which node.
    pub fn audit_quiescent(&self) -> Result<(), String> {
        let plan = self.shared().plan.load_full();
        for node in plan.nodes() {
            let vital = &node.vital;
            let named = |wrong| format!("node `{}`: {wrong}", vital.name);
            node.pool.audit_quiescent().map_err(named)?;
            let flights = self.shared().board.in_flight(vital.id);
            if flights != 0 {
                return Err(named(format!("{flights} calls in flight on the board")));
            }
            let calls = vital.breaker.snapshot().in_flight.unwrap_or_default();
            if calls != 0 {
                return Err(named(format!("{calls} calls in flight at the breaker")));
            }
        }
        Ok(())
    }
}
