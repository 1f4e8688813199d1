//! A node as the simulation plays it: a scripted server whose connections watch their users.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backoff::{Rng as _, SplitMix64};
use pool_core::testing::{Script, Scripted, ScriptedConnection, ScriptedError, Step};
use pool_core::{
    Abandoned, AbortHandle, CloseReason, ConnectContext, ErrorClass, Manager, ResetAt,
};
use pool_facade::balance::Role;
use pool_facade::health::{Failure, Report};

/// Everything that must not happen, as it happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Violations(Arc<Mutex<Vec<String>>>);

impl Violations {
    pub(crate) fn add(&self, what: String) {
        self.0.lock().expect("nobody panics with it").push(what);
    }

    pub(crate) fn first(&self) -> Option<String> {
        let violations = self.0.lock().expect("nobody panics with it");
        violations.first().cloned()
    }
}

/// What exchanges on a node's connections come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Exchanges {
    Well,
    /// This share of a thousand fails so, at once.
    Fail(ErrorClass, u16),
    /// Takes so many times as long.
    Slow(u32),
    Hang,
}

/// A node.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) script: Arc<Script>,
    exchanges: Mutex<Exchanges>,
    role: Mutex<Role>,
    random: Mutex<SplitMix64>,
    /// Connections of earlier epochs are dead.
    epoch: AtomicU64,
    /// Whether the peek of a dead connection notices.
    noticed: Mutex<bool>,
    /// Exchanges begun, and those that went well.
    begun: AtomicU64,
    good: AtomicU64,
    violations: Violations,
}

impl Server {
    pub(crate) fn new(name: String, role: Role, seed: u64, violations: Violations) -> Arc<Self> {
        let script = Script::new();
        let server = Self {
            name,
            script,
            exchanges: Mutex::new(Exchanges::Well),
            role: Mutex::new(role),
            random: Mutex::new(SplitMix64::from_seed(seed)),
            epoch: AtomicU64::new(0),
            noticed: Mutex::new(true),
            begun: AtomicU64::new(0),
            good: AtomicU64::new(0),
            violations,
        };
        server.heal();
        Arc::new(server)
    }

    pub(crate) fn manager(self: &Arc<Self>) -> Sim {
        Sim {
            scripted: self.script.manager(),
            server: self.clone(),
        }
    }

    pub(crate) fn exchanges(&self, become_so: Exchanges) {
        *self.exchanges.lock().expect("nobody panics with it") = become_so;
    }

    pub(crate) fn role(&self) -> Role {
        *self.role.lock().expect("nobody panics with it")
    }

    pub(crate) fn become_a(&self, role: Role) {
        *self.role.lock().expect("nobody panics with it") = role;
    }

    /// All connections die. The peek notices, or only the next exchange does.
    pub(crate) fn kill(&self, noticed: bool) {
        self.epoch.fetch_add(1, Relaxed);
        *self.noticed.lock().expect("nobody panics with it") = noticed;
    }

    /// From now on all is well.
    pub(crate) fn heal(&self) {
        self.exchanges(Exchanges::Well);
        let script = &self.script;
        script
            .connect
            .otherwise(Step::Delay(Duration::from_millis(2)));
        script
            .is_valid
            .otherwise(Step::Delay(Duration::from_millis(1)));
        for steps in [
            &script.reset,
            &script.close,
            &script.has_broken,
            &script.on_remove,
        ] {
            steps.otherwise(Step::Ok);
        }
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    pub(crate) fn good(&self) -> u64 {
        self.good.load(Relaxed)
    }

    fn chance(&self, of_thousand: u16) -> bool {
        let mut random = self.random.lock().expect("nobody panics with it");
        random.next_u64() % 1000 < u64::from(of_thousand)
    }

    fn is_dead(&self, link: &Link) -> bool {
        link.epoch < self.epoch.load(Relaxed)
    }
}

/// The manager of a node.
pub(crate) struct Sim {
    scripted: Scripted,
    server: Arc<Server>,
}

/// A connection to a node.
pub(crate) struct Link {
    inner: ScriptedConnection,
    server: Arc<Server>,
    epoch: u64,
    /// Somebody holds it.
    held: bool,
    /// An exchange has begun and not ended.
    midway: bool,
    /// An error has said that it must not be lent again.
    condemned: bool,
}

impl Link {
    /// Somebody gets it. Whoever gets it must be alone with it, and able to use it.
    pub(crate) fn take(&mut self) {
        let wrong = [
            (self.held, "is lent twice"),
            (self.midway, "is lent in the middle of an exchange"),
            (self.condemned, "is lent although it is known to be broken"),
            (self.inner.is_cut(), "is lent although it was cut"),
        ];
        for (_, what) in wrong.iter().filter(|(wrong, _)| *wrong) {
            self.complain(what);
        }
        self.held = true;
    }

    pub(crate) fn give_back(&mut self) {
        self.held = false;
    }

    pub(crate) fn condemn(&mut self) {
        self.condemned = true;
    }

    /// Takes it until the value is dropped.
    pub(crate) fn hold(&mut self) -> Held<'_> {
        self.take();
        Held(self)
    }

    fn complain(&self, what: &str) {
        let (name, id) = (&self.server.name, self.inner.id);
        let violations = &self.server.violations;
        violations.add(format!("connection {id} of {name} {what}"));
    }

    /// What a probe finds.
    pub(crate) async fn report(&mut self) -> Report<Role> {
        let (manager, role) = (self.server.manager(), self.server.role());
        match manager.is_valid(self).await {
            Ok(()) => Report::up().with_role(role),
            Err(_) => Report::down(Failure::Other),
        }
    }

    /// One question and its answer.
    async fn exchange(&mut self, takes: Duration, reads: bool) -> Result<(), ScriptedError> {
        let server = self.server.clone();
        server.begun.fetch_add(1, Relaxed);
        if server.is_dead(self) {
            self.condemned = true;
            return Err(ScriptedError::new(ErrorClass::Broken));
        }
        if server.role() == Role::Replica && !reads {
            return Err(ScriptedError::new(ErrorClass::WrongRole));
        }
        self.midway = true;
        let exchanges = *server.exchanges.lock().expect("nobody panics with it");
        match exchanges {
            Exchanges::Well => pause(takes).await,
            Exchanges::Slow(factor) => pause(takes * factor).await,
            Exchanges::Hang => std::future::pending().await,
            Exchanges::Fail(class, share) => {
                if server.chance(share) {
                    self.midway = false;
                    self.condemned |= class == ErrorClass::Broken;
                    return Err(ScriptedError::new(class));
                }
                pause(takes).await;
            }
        }
        if server.is_dead(self) {
            self.condemned = true;
            return Err(ScriptedError::new(ErrorClass::Broken));
        }
        self.midway = false;
        server.good.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// A connection in somebody's hands.
pub(crate) struct Held<'a>(&'a mut Link);

impl Held<'_> {
    pub(crate) async fn exchange(
        &mut self,
        takes: Duration,
        reads: bool,
    ) -> Result<(), ScriptedError> {
        self.0.exchange(takes, reads).await
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Manager for Sim {
    type Connection = Link;
    type Error = ScriptedError;

    async fn connect(&self, context: ConnectContext) -> Result<Link, ScriptedError> {
        let inner = self.scripted.connect(context).await?;
        Ok(Link {
            inner,
            server: self.server.clone(),
            epoch: self.server.epoch.load(Relaxed),
            held: false,
            midway: false,
            condemned: false,
        })
    }

    async fn is_valid(&self, link: &mut Link) -> Result<(), ScriptedError> {
        let held = link.hold();
        held.0.midway = true;
        self.scripted.is_valid(&mut held.0.inner).await?;
        held.0.midway = false;
        if self.server.is_dead(held.0) {
            return Err(ScriptedError::new(ErrorClass::Broken));
        }
        Ok(())
    }

    async fn reset(&self, link: &mut Link) -> Result<(), ScriptedError> {
        if link.held {
            link.complain("is reset while it is lent");
        }
        self.scripted.reset(&mut link.inner).await?;
        link.midway = false;
        Ok(())
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        let noticed = *self.server.noticed.lock().expect("nobody panics with it");
        (noticed && self.server.is_dead(link)) || self.scripted.has_broken(&mut link.inner)
    }

    fn reset_at(&self) -> ResetAt {
        self.scripted.reset_at()
    }

    fn on_abandoned(&self) -> Abandoned {
        self.scripted.on_abandoned()
    }

    fn classify(&self, error: &ScriptedError) -> ErrorClass {
        self.scripted.classify(error)
    }

    fn on_remove(&self, link: &mut Link, reason: CloseReason) {
        self.scripted.on_remove(&mut link.inner, reason);
    }

    async fn close(&self, link: Link, reason: CloseReason) {
        self.scripted.close(link.inner, reason).await;
    }

    fn abort_handle(&self, link: &Link) -> Option<AbortHandle> {
        self.scripted.abort_handle(&link.inner)
    }
}

pub(crate) async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
    }
}
