//! The user's code: clock, listener and open time. None of it runs under the lock.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::breaker::Breaker;
use crate::clock::{Clock, system_now};
use crate::event::Event;
use crate::machine::{Machine, Opening};
use crate::state::State;
use crate::sync::{MutexGuard, Ordering};

type Listener = dyn Fn(&Event) + Send + Sync;
type DecideOpenTime = dyn Fn(&Opening) -> Duration + Send + Sync;

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) name: Option<Box<str>>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) listener: Option<Box<Listener>>,
    pub(crate) open_time: Option<Box<DecideOpenTime>>,
}

impl Hooks {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock
            .as_ref()
            .map_or_else(system_now, |clock| clock.now())
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) machine: Machine,
    /// Some thread is in `deliver` and will see every event.
    delivering: bool,
    /// Open times that are being decided: the events of those openings are not complete yet.
    deciding: u32,
    /// The epoch whose open time has been asked for.
    asked: u64,
}

impl Shared {
    pub(crate) const fn new(machine: Machine) -> Self {
        Self {
            machine,
            delivering: false,
            deciding: 0,
            asked: 0,
        }
    }
}

impl Breaker {
    /// Runs the hooks that events call for, without the lock.
    #[cold]
    pub(crate) fn after<'a>(&'a self, mut shared: MutexGuard<'a, Shared>) {
        if let Some(hooks) = self.hooks.as_deref() {
            if hooks.open_time.is_some() {
                shared = self.decide(hooks, shared);
            }
        }
        self.deliver(shared);
    }

    /// Has the open time decided, if the breaker has opened. Events wait for it.
    fn decide<'a>(
        &'a self,
        hooks: &Hooks,
        mut shared: MutexGuard<'a, Shared>,
    ) -> MutexGuard<'a, Shared> {
        let epoch = shared.machine.epoch();
        let Some(decide) = &hooks.open_time else {
            return shared;
        };
        if shared.machine.state() != State::Open || shared.asked == epoch {
            return shared;
        }
        shared.asked = epoch;
        shared.deciding += 1;
        let opening = shared.machine.opening();
        drop(shared);
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&opening)));
        shared = self.lock();
        shared.deciding -= 1;
        if let Ok(time) = decided {
            shared.machine.on_open_time(epoch, time);
            // Only the open time has changed; the stripes stay as they are.
            let open_until_ns = shared.machine.open_until_ns();
            self.open_until_ns.store(open_until_ns, Ordering::Relaxed);
        }
        shared
    }

    /// Tells the listener every event, unless another thread does or will.
    fn deliver<'a>(&'a self, mut shared: MutexGuard<'a, Shared>) {
        if shared.delivering {
            return;
        }
        shared.delivering = true;
        while shared.deciding == 0 {
            let Some(event) = shared.machine.next_event() else {
                break;
            };
            drop(shared);
            let hooks = self.hooks.as_deref();
            #[cfg(feature = "tracing")]
            crate::trace::emit(hooks.and_then(|hooks| hooks.name.as_deref()), &event);
            if let Some(listener) = hooks.and_then(|hooks| hooks.listener.as_ref()) {
                // The panic hook has reported it; the listener's trouble is not the caller's.
                let _reported = catch_unwind(AssertUnwindSafe(|| listener(&event)));
            }
            shared = self.lock();
        }
        shared.delivering = false;
    }
}
