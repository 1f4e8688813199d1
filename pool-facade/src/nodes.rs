//! Adding, removing and changing nodes while calls run.

use std::sync::Arc;
use std::time::Instant;

use backoff::Budget;
use breaker::Breaker;
use health::Monitor;
use pool_core::Manager;
use pool_core::runtime::Runtime;
use pool_metrics::Counts;

use crate::balance;
use crate::config::{Config, ConfigErrors, Violation};
use crate::control::{Member, State};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::metrics::NodeMetrics;
use crate::node::{Node, Tagged, Vital};
use crate::observe::NodeObserver;
use crate::plan::Plan;
use crate::random::random;
use crate::shared::Shared;

impl<M: Manager, R: Runtime> Shared<M, R> {
    /// Adds a node.
    pub(crate) fn add(self: &Arc<Self>, endpoint: Endpoint<M>) -> Result<(), ConfigErrors> {
        let now = self.runtime.now();
        let near = match (&self.zone, &endpoint.zone) {
            (Some(own), Some(zone)) => own == zone,
            _ => true,
        };
        let config = self.control.config();
        let described = balance::Node::new()
            .weight(endpoint.weight)
            .priority(endpoint.priority)
            .near(near)
            .role(endpoint.role)
            .limit(slots(&config));
        let name: Arc<str> = endpoint.name.as_str().into();
        let id = self.control.lock().admit(name, described, now)?;
        let node = Arc::new(self.node(endpoint, id, &config));
        if self.control.lock().suspended {
            node.pool.suspend();
        }
        self.plan.rcu(|plan| plan.with(node.clone()));
        let (is_there, is_closed) = {
            let state = self.control.lock();
            (state.has(id), state.closed)
        };
        if !is_there || is_closed {
            // It was removed before it was there.
            self.plan.rcu(|plan| plan.without(id));
        }
        self.agree(&node);
        self.catch_up(config);
        Ok(())
    }

    /// Has a new node lend if the pool lends. Whoever suspends or resumes it at the same time may
    /// not have seen the node, and the last of them counts.
    fn agree(&self, node: &Node<M, R>) {
        loop {
            let suspended = self.control.lock().suspended;
            if node.pool.state().suspended == suspended {
                return;
            }
            if suspended {
                node.pool.suspend();
            } else {
                node.pool.resume();
            }
        }
    }

    fn node(
        self: &Arc<Self>,
        endpoint: Endpoint<M>,
        id: balance::NodeId,
        config: &Config,
    ) -> Node<M, R> {
        let (name, runtime) = (endpoint.name.as_str(), self.runtime.clone());
        let full_name = format!("{}/{name}", self.name);
        let metrics = self
            .watch
            .metrics
            .then(|| Arc::new(NodeMetrics::new(runtime.now())));
        let mut breaker = Breaker::builder(config.breaker.policy())
            .name(&full_name)
            .seed(random())
            .clock(move || runtime.now());
        if let Some(metrics) = metrics.clone() {
            breaker = breaker.listener(move |event| metrics.on_change(&event.change));
        }
        let breaker = breaker.build().expect("the configuration was checked");
        breaker.force(config.breaker.mode);
        let vital = Arc::new(Vital::new(id, name.into(), endpoint.manager, breaker));
        let schedule = config.connect.policy().expect("it was checked");
        let gate = Arc::new(Gate::new(schedule, config.pool.connect_rate));
        let observer = NodeObserver {
            pool: self.name.clone(),
            node: vital.name.clone(),
            recorder: metrics.as_ref().map(|metrics| metrics.recorder.clone()),
            on_event: self.watch.on_event.clone(),
        };
        let mut core = config.pool.clone();
        core.name = full_name;
        let shared = Arc::downgrade(self);
        let builder = pool_core::Pool::builder(Tagged(vital.clone()))
            .runtime(self.runtime.clone())
            .config(core)
            .connect_gate(gate.clone())
            .observer(observer)
            .on_tick(move |now, _| {
                if let Some(shared) = shared.upgrade() {
                    shared.on_tick(now);
                }
            });
        let pool = self.hooks.set(builder).build();
        let pool = pool.expect("the configuration was checked");
        Node {
            pool,
            vital,
            gate,
            metrics,
        }
    }

    /// Takes a node out; its pool is the caller's to close.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Node<M, R>>> {
        let id = self.control.lock().release(name, self.runtime.now())?;
        let plan = self.plan.rcu(|plan| plan.without(id));
        plan.node(id).cloned()
    }

    /// Changes settings of the running pool.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigErrors> {
        let before = self.control.config();
        let mut config = Config::clone(&before);
        change(&mut config);
        let changes = before.diff_live(&config)?;
        if changes.is_empty() {
            return Ok(());
        }
        self.control.lock().config = Arc::new(config);
        self.catch_up(before);
        for change in changes {
            tracing::info!(target: "pool::maintain", pool = &*self.name, %change, "reconfigured");
        }
        Ok(())
    }

    /// Brings everything from the configuration `from` to the current one. Of several who change it
    /// at the same time, whoever comes last sees to it that the last change holds everywhere.
    fn catch_up(&self, mut from: Arc<Config>) {
        loop {
            let to = self.control.config();
            if Arc::ptr_eq(&from, &to) {
                return;
            }
            let budget = (from.retry.budget != to.retry.budget)
                .then(|| Arc::new(to.retry.budget.build().expect("it was checked")));
            let retry = to.retry.policy().expect("it was checked");
            self.plan.rcu(|plan| {
                let mut plan = Plan::clone(plan);
                plan.retry = retry;
                if let Some(budget) = &budget {
                    plan.budget.clone_from(budget);
                }
                plan
            });
            let slots = slots(&to);
            for node in self.plan.load_full().nodes() {
                node.configure(&to);
                let mut state = self.control.lock();
                state
                    .balancer
                    .set_limit(node.vital.id, slots, self.runtime.now());
            }
            from = to;
        }
    }
}

impl State {
    /// Finds a place for a node of this name.
    fn admit(
        &mut self,
        name: Arc<str>,
        node: balance::Node,
        now: Instant,
    ) -> Result<balance::NodeId, ConfigErrors> {
        if self.closed {
            let rule = "must be added before the pool is closed";
            return Err(ConfigErrors::one(violation(&name, rule)));
        }
        if self.members.iter().any(|member| member.name == name) {
            let rule = "must be the only node of its name";
            return Err(ConfigErrors::one(violation(&name, rule)));
        }
        let id = self.balancer.insert(node, now);
        let refused = |error| ConfigErrors::one(violation(&name, &format!("{error}")));
        let id = id.map_err(refused)?;
        let monitor = self.config.health.monitor().map(|policy| {
            Monitor::new(policy, random(), now).expect("the configuration was checked")
        });
        self.members.push(Member {
            id,
            name,
            monitor,
            checks: 0,
            failures: Counts::default(),
            acquires: [None, None],
        });
        Ok(id)
    }

    fn has(&self, id: balance::NodeId) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// Gives up the place of the node of this name.
    fn release(&mut self, name: &str, now: Instant) -> Option<balance::NodeId> {
        let place = self
            .members
            .iter()
            .position(|member| *member.name == *name)?;
        let Member { id, .. } = self.members.swap_remove(place);
        self.balancer.remove(id, now);
        Some(id)
    }
}

impl<M: Manager, R: Runtime> Node<M, R> {
    fn configure(&self, config: &Config) {
        let changed = self.pool.reconfigure(|core| {
            let name = std::mem::take(&mut core.name);
            *core = config.pool.clone();
            core.name = name;
        });
        changed.expect("it was checked");
        let breaker = &self.vital.breaker;
        let changed = breaker.configure(config.breaker.policy());
        changed.expect("it was checked");
        if breaker.snapshot().mode != config.breaker.mode {
            breaker.force(config.breaker.mode);
        }
    }
}

fn slots(config: &Config) -> u32 {
    u32::try_from(config.pool.max_size).unwrap_or(u32::MAX)
}

pub(crate) fn plan<M: Manager, R: Runtime>(config: &Config) -> Plan<M, R> {
    let budget: Budget = config.retry.budget.build().expect("it was checked");
    let retry = config.retry.policy().expect("it was checked");
    Plan::new(retry, Arc::new(budget))
}

pub(crate) fn violation(node: &str, rule: &str) -> Violation {
    Violation {
        field: "node".into(),
        value: node.into(),
        rule: rule.into(),
        origin: None,
    }
}
