//! What is looked at, without asking the server, when a connection is lent and when it comes back.
//!
//! In the usual case each is a handful of comparisons and one question to the connection; whatever
//! is unusual is sorted out behind them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::core::{Core, Home};
use crate::hot::{ALWAYS_NS, NEVER_NS, check_ns, nanos};
use crate::lease::Lease;
use crate::options::GetOptions;
use crate::runtime::Runtime;
use crate::slot::{Entry, UNMEASURED};
use crate::{Abandoned, CloseReason, Manager, ResetAt, Sample, Verdict};

/// What a checkout has to do before it can lend the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Examined {
    Ready,
    Work { reset: bool, check: bool },
    Dead(CloseReason),
}

impl<M: Manager, R: Runtime> Entry<M::Connection, Home<M, R>> {
    /// Looks, without asking the server, whether the connection may be lent.
    #[inline(always)]
    pub(crate) fn examine(&mut self, options: &GetOptions) -> Examined {
        let Home { core, slot, .. } = &*self.home;
        let check_ns = options.check.map_or_else(|| core.hot.check_ns(), check_ns);
        if check_ns == NEVER_NS
            && !self.dirty
            && self.generation == core.hot.generation.load(Relaxed)
            && slot.retire_ns.load(Relaxed) > core.coarse_ns()
        {
            return if self.is_broken() {
                Examined::Dead(CloseReason::Broken)
            } else {
                Examined::Ready
            };
        }
        self.examine_closely(check_ns)
    }

    fn examine_closely(&mut self, check_ns: u64) -> Examined {
        let Home { core, slot, .. } = &*self.home;
        let (now_ns, check) = match check_ns {
            ALWAYS_NS => (core.coarse_ns(), true),
            NEVER_NS => (core.coarse_ns(), false),
            idle_ns => {
                let now_ns = core.since_epoch(core.runtime.now());
                let seen = slot
                    .used_ns
                    .load(Relaxed)
                    .max(slot.checked_ns.load(Relaxed));
                (now_ns, now_ns.saturating_sub(seen) >= idle_ns)
            }
        };
        if self.generation != core.hot.generation.load(Relaxed) {
            return Examined::Dead(CloseReason::Cleared);
        }
        if slot.retire_ns.load(Relaxed) <= now_ns {
            return Examined::Dead(CloseReason::Expired);
        }
        if self.is_broken() {
            return Examined::Dead(CloseReason::Broken);
        }
        let check = check && !self.is_proved();
        if self.dirty || check {
            let reset = self.dirty;
            return Examined::Work { reset, check };
        }
        Examined::Ready
    }

    /// Whether it was opened, or has answered, within the last second, and was not lent yet.
    pub(crate) fn is_proved(&self) -> bool {
        let Home { core, slot, .. } = &*self.home;
        let seen = slot.checked_ns.load(Relaxed);
        self.uses == 0 && core.coarse_ns().saturating_sub(seen) < nanos(FRESH)
    }

    /// Whether the connection is known to be gone, as far as can be told at once.
    #[inline(always)]
    fn is_broken(&mut self) -> bool {
        let Self {
            connection, home, ..
        } = self;
        let core = &home.core;
        core.events
            .guard("Manager::has_broken", || {
                core.manager.has_broken(connection)
            })
            .unwrap_or(true)
    }

    /// A user is done with the connection.
    #[inline(always)]
    pub(crate) fn release(mut self: Box<Self>) {
        let verdict = if self.is_plain() {
            self.peek()
        } else {
            self.judge()
        };
        match verdict {
            Ok(()) if !self.dirty => Core::give(self),
            verdict => self.release_unfit(verdict),
        }
    }

    #[cold]
    fn release_unfit(self: Box<Self>, verdict: Result<(), CloseReason>) {
        match verdict {
            Ok(()) => Lease::give_dirty(self),
            Err(reason) => {
                let core = self.home.core.clone();
                core.retire(self, reason);
            }
        }
    }

    /// Whether nothing but the connection itself can object to its being lent again.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        let Home { core, slot, .. } = &*self.home;
        let now_ns = core.coarse_ns();
        slot.used_ns.store(now_ns, Relaxed);
        !core.hot.watched.load(Relaxed)
            && self.lent_ns == UNMEASURED
            && self.mark.is_none()
            && !self.in_operation
            && !std::thread::panicking()
            && self.generation == core.hot.generation.load(Relaxed)
            && slot.retire_ns.load(Relaxed) > now_ns
            && self.uses < core.hot.max_uses.load(Relaxed)
    }

    /// Asks the connection whether it may go on, and whether it has to be reset for that.
    #[inline(always)]
    fn peek(&mut self) -> Result<(), CloseReason> {
        if self.is_broken() {
            return Err(CloseReason::Broken);
        }
        let Self {
            connection,
            home,
            dirty,
            ..
        } = self;
        let core = &home.core;
        if core.reset_at != ResetAt::Never && !*dirty {
            let needs = || core.manager.needs_reset(connection);
            *dirty = core
                .events
                .guard("Manager::needs_reset", needs)
                .unwrap_or(true);
        }
        Ok(())
    }

    /// Whether a returned connection may go on, and whether it has to be reset for that.
    #[cold]
    fn judge(&mut self) -> Result<(), CloseReason> {
        let Home { core, slot, .. } = &*self.home;
        if core.hot.leak_report.load(Relaxed) {
            slot.aside(|aside| aside.holder.take());
        }
        if self.lent_ns != UNMEASURED {
            let lent_ns = std::mem::replace(&mut self.lent_ns, UNMEASURED);
            let took = core.since_epoch(core.now()).saturating_sub(lent_ns);
            core.events.sample(Sample::Use, Duration::from_nanos(took));
        }
        if let Some(reason) = self.mark {
            return Err(reason);
        }
        if std::mem::take(&mut self.in_operation) {
            let what = core
                .events
                .guard("Manager::on_abandoned", || core.manager.on_abandoned());
            match what.unwrap_or_default() {
                Abandoned::Discard => return Err(CloseReason::Abandoned),
                Abandoned::Reset => self.dirty = true,
                Abandoned::Keep => {}
            }
        } else if std::thread::panicking() {
            return Err(CloseReason::UserPanic);
        }
        self.peek()?;
        let Home { core, slot, .. } = &*self.home;
        if self.generation != core.hot.generation.load(Relaxed) {
            return Err(CloseReason::Cleared);
        }
        if slot.retire_ns.load(Relaxed) <= core.coarse_ns() {
            return Err(CloseReason::Expired);
        }
        if self.uses >= core.hot.max_uses.load(Relaxed) {
            return Err(CloseReason::MaxUses);
        }
        let core = core.clone();
        self.ask_hook(&core)
    }

    /// Asks the user's hook, if there is one, whether the connection may go on.
    fn ask_hook(&mut self, core: &Core<M, R>) -> Result<(), CloseReason> {
        let Some(hook) = &core.hooks.on_return else {
            return Ok(());
        };
        let info = self.info();
        match core
            .events
            .guard("on_return", || hook(&mut self.connection, &info))
        {
            Some(Verdict::Keep) => Ok(()),
            _ => Err(CloseReason::Rejected),
        }
    }
}

/// For how long after it was opened an unused connection needs no check.
const FRESH: Duration = Duration::from_secs(1);
