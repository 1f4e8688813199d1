//! What a seed stands for: a configuration, and what happens to a pool of it.

use std::time::Duration;

use backoff::{Rng as _, SplitMix64};
use breaker::Mode;
use pool_core::{Abandoned, Check, ErrorClass, ResetAt, WhenSuspended};
use pool_facade::Config;
use pool_facade::balance::Role;

use super::server::Exchanges;

/// A configuration and a history.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) config: Config,
    pub(crate) nodes: Vec<Place>,
    pub(crate) reset_at: ResetAt,
    pub(crate) abandoned: Abandoned,
    pub(crate) steps: Vec<Step>,
    /// Nodes are asked for their roles, which change.
    pub(crate) roles: bool,
    /// The pool is closed in the midst of it, instead of all faults ending.
    pub(crate) cut_short: bool,
}

/// What a node is to the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) role: Role,
    pub(crate) weight: u16,
    pub(crate) priority: u8,
    pub(crate) near: bool,
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Calls(Calls),
    /// Takes so many connections and keeps them for so long; they come back in good order or not.
    Hold {
        count: u16,
        time: Duration,
        broken: bool,
    },
    Fault(usize, Fault),
    Heal(usize),
    Kill {
        node: usize,
        noticed: bool,
    },
    Resize(usize),
    Attempts(u32),
    Suspend,
    Resume,
    Clear,
    Spread(Duration),
    Add,
    Remove {
        node: usize,
        grace: Duration,
    },
    /// Becomes the primary, and every other one a replica.
    Promote(usize),
    /// Becomes a replica: nobody takes writes, unless another one does.
    Demote(usize),
    Mode(Mode),
    Pass(Duration),
}

/// Calls, one each `gap`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) count: u16,
    pub(crate) gap: Duration,
    pub(crate) takes: Duration,
    pub(crate) timeout: Option<Duration>,
    /// The caller leaves after this time.
    pub(crate) cancelled: Option<Duration>,
    pub(crate) read_only: bool,
    pub(crate) idempotent: bool,
    pub(crate) panics: bool,
}

/// What is wrong with a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Connect(pool_core::testing::Step),
    Check(pool_core::testing::Step),
    Reset(pool_core::testing::Step),
    Close(pool_core::testing::Step),
    Peek(pool_core::testing::Step),
    Exchanges(Exchanges),
}

/// Draws from a seed.
pub(crate) struct Dice(SplitMix64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(SplitMix64::from_seed(seed))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// One time in so many.
    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn ms(&mut self, choices: &[u64]) -> Duration {
        Duration::from_millis(self.of(choices))
    }
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = places(&mut dice);
        let steps = 10 + dice.below(40);
        Self {
            seed,
            config: config(&mut dice),
            reset_at: dice.of(&[ResetAt::Never, ResetAt::Return, ResetAt::Checkout]),
            // Who keeps connections midway has a protocol that can; this server has not.
            abandoned: dice.of(&[Abandoned::Discard, Abandoned::Reset]),
            steps: (0..steps).map(|_| step(&mut dice, nodes.len())).collect(),
            roles: false,
            nodes,
            cut_short: dice.one_in(5),
        }
        .direct(&mut Dice::new(seed ^ DIRECTOR << 32))
    }

    /// In every other story somebody intervenes: roles change, breakers are forced.
    fn direct(mut self, dice: &mut Dice) -> Self {
        if !dice.one_in(2) {
            return self;
        }
        // Who probes no nodes has to tell the pool of roles himself.
        let has_roles = self.nodes.iter().any(|node| node.role != Role::Any);
        self.roles = has_roles && self.config.health.interval.is_some();
        for _ in 0..2 + dice.below(6) {
            let node = dice.below(self.nodes.len() as u64) as usize;
            let step = match dice.below(if self.roles { 6 } else { 3 }) {
                0..3 => Step::Mode(dice.of(&[
                    Mode::Automatic,
                    Mode::ForcedOpen,
                    Mode::ForcedClosed,
                    Mode::MetricsOnly,
                ])),
                3..5 => Step::Promote(node),
                _ => Step::Demote(node),
            };
            let place = dice.below(self.steps.len() as u64 + 1) as usize;
            self.steps.insert(place, step);
        }
        self
    }
}

/// Such that nobody intervenes in the stories of the corpus, which are older.
const DIRECTOR: u64 = 518;

fn places(dice: &mut Dice) -> Vec<Place> {
    let count = dice.of(&[1, 1, 2, 3, 3, 5, 10]);
    let roles = dice.one_in(3);
    let place = |index| Place {
        role: match (roles, index) {
            (false, _) => Role::Any,
            (true, 0) => Role::Primary,
            (true, _) => Role::Replica,
        },
        weight: dice.of(&[1, 1, 1, 2, 7]),
        priority: dice.of(&[0, 0, 0, 1]),
        near: !dice.one_in(4),
    };
    (0..count).map(place).collect()
}

fn config(dice: &mut Dice) -> Config {
    let mut config = Config::default();
    let pool = &mut config.pool;
    *pool = pool_core::Config::new(dice.of(&[1, 1, 2, 3, 5, 8]));
    pool.min_idle = dice.of(&[0, 0, 0, 1]);
    pool.acquire_timeout = Some(dice.ms(&[50, 300, 1000, 3000]));
    pool.wait_timeout = dice.one_in(4).then(|| dice.ms(&[20, 200]));
    pool.connect_timeout = dice.ms(&[20, 100, 500, 2000]);
    pool.validate_timeout = dice.ms(&[10, 100]);
    pool.reset_timeout = dice.ms(&[10, 100]);
    pool.close_timeout = dice.ms(&[10, 100, 1000]);
    pool.check = dice.of(&[
        Check::Never,
        Check::Always,
        Check::IdleFor(Duration::from_millis(500)),
    ]);
    pool.keepalive = dice.one_in(3).then(|| dice.ms(&[300, 2000]));
    pool.idle_timeout = dice.one_in(3).then(|| dice.ms(&[500, 3000]));
    pool.max_lifetime = dice.one_in(3).then(|| dice.ms(&[1000, 5000]));
    pool.max_uses = dice.one_in(5).then_some(3);
    pool.max_connecting = dice.of(&[1, 2, 8]);
    pool.max_waiters = dice.of(&[2, 50, 1000]);
    pool.when_suspended = dice.of(&[WhenSuspended::Wait, WhenSuspended::Refuse]);
    config.retry.max_attempts = dice.of(&[1, 2, 3, 5]);
    config.health.interval = (!dice.one_in(4)).then(|| dice.ms(&[1000, 5000]));
    if dice.one_in(4) {
        config.breaker = pool_facade::config::BreakerConfig::classic(5, Duration::from_secs(3), 2);
    }
    config
}

fn step(dice: &mut Dice, nodes: usize) -> Step {
    let node = dice.below(nodes as u64) as usize;
    match dice.below(40) {
        0..=12 => Step::Calls(calls(dice)),
        13..=15 => Step::Hold {
            count: dice.of(&[1, 1, 3, 10]),
            time: dice.ms(&[0, 5, 50, 1000, 4000]),
            broken: dice.one_in(4),
        },
        16..=24 => Step::Fault(node, fault(dice)),
        25..=27 => Step::Heal(node),
        28 => Step::Kill {
            node,
            noticed: dice.one_in(2),
        },
        29 => Step::Resize(dice.of(&[1, 2, 4, 9])),
        30 => Step::Attempts(dice.of(&[1, 2, 4])),
        31 => Step::Suspend,
        32 => Step::Resume,
        33 => Step::Clear,
        34 => Step::Spread(dice.ms(&[100, 1000])),
        35 => Step::Add,
        36 if nodes > 1 => Step::Remove {
            node,
            grace: dice.ms(&[10, 500]),
        },
        _ => Step::Pass(dice.ms(&[1, 50, 250, 1000, 4000])),
    }
}

fn calls(dice: &mut Dice) -> Calls {
    let read_only = dice.one_in(2);
    Calls {
        count: dice.of(&[1, 3, 10, 30]),
        gap: Duration::from_micros(dice.of(&[0, 100, 2000, 30_000])),
        takes: dice.ms(&[0, 1, 5, 40]),
        timeout: (!dice.one_in(3)).then(|| dice.ms(&[5, 100, 1000])),
        cancelled: dice.one_in(4).then(|| dice.ms(&[0, 1, 3, 20, 300])),
        read_only,
        idempotent: read_only || dice.one_in(2),
        panics: dice.one_in(12),
    }
}

fn fault(dice: &mut Dice) -> Fault {
    use pool_core::testing::Step as Script;
    let class = dice.of(&[
        ErrorClass::Transient,
        ErrorClass::Transient,
        ErrorClass::Overload,
        ErrorClass::Broken,
        ErrorClass::Permanent,
        ErrorClass::WrongRole,
        ErrorClass::Caller,
    ]);
    let steps = [
        Script::Fail(class),
        Script::Fail(class),
        Script::FailAfter(Duration::from_millis(30)),
        Script::Delay(Duration::from_millis(200)),
        Script::Hang,
        Script::Yield(3),
        Script::Panic,
    ];
    let step = dice.of(&steps);
    match dice.below(12) {
        0..=3 => Fault::Connect(step),
        4 => Fault::Check(step),
        5 => Fault::Reset(step),
        6 => Fault::Close(step),
        7 => Fault::Peek(step),
        _ => Fault::Exchanges(dice.of(&[
            Exchanges::Fail(class, 1000),
            Exchanges::Fail(class, 300),
            Exchanges::Fail(class, 20),
            Exchanges::Slow(10),
            Exchanges::Slow(100),
            Exchanges::Hang,
        ])),
    }
}
