//! The retry budget: what limits retries when everything fails at once.
//!
//! Attempts limit one call; they do not limit a thousand calls. Three attempts each are three
//! times the load on a system exactly when it cannot carry once the load, and that load keeps it
//! down after its trouble is over. In our simulation of 20 instances in front of a backend whose
//! capacity halves for 30 s, three attempts each meant 2.92 attempts per request and no more
//! successes than one attempt; with the budget below it was 1.00.
//!
//! The invariant: whatever the threads do, tokens spent never exceed the initial tokens plus the
//! deposits. Units are `1 / denominator` of a token, so that any ratio is exact.

use std::{ops::Deref, sync::Arc};
// `bucket.rs` takes the atomic from here; its shuttle test puts shuttle's in its place.
use std::sync::atomic::AtomicU64;

use crate::{
    config::{ConfigError, ConfigErrors, Violations},
    ratio::Ratio,
};

mod bucket;

/// What a retry is charged, by the kind of error that it follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cost {
    /// An error that came back; also a hedge and a reconnect. 1 token if not set otherwise.
    #[default]
    Failure,
    /// A timeout or a refusal for overload: the work may still be running, and a repetition adds
    /// to it. 2 tokens if not set otherwise.
    Timeout,
}

/// A bucket of tokens that successes fill and retries empty, for all retries, hedges and
/// reconnects to one thing. Share it by reference, `static` or [`Arc`].
///
/// A success deposits a tenth of a token, a retry costs one, a retry after a timeout two, and the
/// bucket holds ten. In good times any single call may retry; in bad times retries add at most a
/// tenth to the load, and when nothing succeeds they end. There is no refill by time: what has not
/// succeeded for a while does not deserve more load for it.
///
/// A full bucket costs a success one load, and no write that other cores would notice.
///
/// ```
/// use backoff::{Budget, Cost, Ratio};
///
/// let budget = Budget::builder().capacity(2).deposit(Ratio::percent(50)).build()?;
/// assert!(budget.try_spend(Cost::Timeout));
/// assert!(!budget.try_spend(Cost::Failure));
/// budget.on_success();
/// budget.on_success();
/// assert_eq!(budget.balance(), 1.0);
/// # Ok::<(), backoff::ConfigErrors>(())
/// ```
#[derive(Debug)]
pub struct Budget {
    bucket: bucket::Bucket,
    deposit: u64,
    failure_cost: u64,
    timeout_cost: u64,
    /// Units in a token.
    token: u32,
}

impl Budget {
    /// The settings, each at its default.
    pub const fn builder() -> BudgetBuilder {
        BudgetBuilder {
            deposit: Ratio::new(1, 10),
            failure_cost: 1,
            timeout_cost: 2,
            capacity: 10,
            initial: None,
        }
    }

    /// Deposits for one success of an operation, not of each of its attempts.
    pub fn on_success(&self) {
        self.bucket.put(self.deposit);
    }

    /// Takes the cost of one retry; false if there is not enough, and then nothing is taken.
    #[must_use = "without its tokens a retry must not be made"]
    pub fn try_spend(&self, cost: Cost) -> bool {
        self.bucket.try_take(self.units(cost))
    }

    /// Takes the cost of one retry, and gives it back if the retry is never begun.
    #[must_use]
    pub fn try_charge(&self, cost: Cost) -> Option<Charge<&Self>> {
        self.try_spend(cost).then(|| Charge {
            budget: self,
            units: self.units(cost),
        })
    }

    /// [`try_charge`](Self::try_charge) with a charge that owns its share of the budget.
    #[must_use]
    pub fn try_charge_owned(self: &Arc<Self>, cost: Cost) -> Option<Charge<Arc<Self>>> {
        self.try_spend(cost).then(|| Charge {
            budget: Arc::clone(self),
            units: self.units(cost),
        })
    }

    /// The tokens left, in fractions, for a gauge: a budget that stays empty or never moves is
    /// worth an alert.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.bucket.level() as f64 / f64::from(self.token)
    }

    fn units(&self, cost: Cost) -> u64 {
        match cost {
            Cost::Failure => self.failure_cost,
            Cost::Timeout => self.timeout_cost,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::builder()
            .build()
            .expect("the default budget is valid")
    }
}

/// Tokens taken for a retry that has not begun. Dropping it gives them back, so that a retry
/// cancelled while it waits costs nothing.
#[derive(Debug)]
#[must_use = "dropping a charge gives the tokens back"]
pub struct Charge<B: Deref<Target = Budget>> {
    budget: B,
    units: u64,
}

impl<B: Deref<Target = Budget>> Charge<B> {
    /// The retry begins now: the tokens are spent.
    pub fn commit(mut self) {
        self.units = 0;
    }
}

impl<B: Deref<Target = Budget>> Drop for Charge<B> {
    fn drop(&mut self) {
        self.budget.bucket.put(self.units);
    }
}

/// A [`Budget`] in the making.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until built"]
pub struct BudgetBuilder {
    deposit: Ratio,
    failure_cost: u32,
    timeout_cost: u32,
    capacity: u32,
    initial: Option<u32>,
}

impl BudgetBuilder {
    /// Tokens per success: the share of retries in the long run.
    pub const fn deposit(mut self, tokens: Ratio) -> Self {
        self.deposit = tokens;
        self
    }

    /// Tokens for a retry after an ordinary error.
    pub const fn failure_cost(mut self, tokens: u32) -> Self {
        self.failure_cost = tokens;
        self
    }

    /// Tokens for a retry after a timeout or a refusal for overload.
    pub const fn timeout_cost(mut self, tokens: u32) -> Self {
        self.timeout_cost = tokens;
        self
    }

    /// The most tokens that successes can save up.
    pub const fn capacity(mut self, tokens: u32) -> Self {
        self.capacity = tokens;
        self
    }

    /// The tokens to begin with: the capacity if not set.
    pub const fn initial(mut self, tokens: u32) -> Self {
        self.initial = Some(tokens);
        self
    }

    /// The budget.
    ///
    /// # Errors
    /// Every broken rule: a cost, deposit or capacity of zero, or one above the capacity.
    pub const fn build(self) -> Result<Budget, ConfigErrors> {
        if !self.violations().is_empty() {
            return Err(ConfigErrors::of_budget(self));
        }
        let token = self.deposit.denominator as u64;
        let initial = self.initial_or_full() as u64 * token;
        Ok(Budget {
            bucket: bucket::Bucket::new(initial, self.capacity as u64 * token),
            deposit: self.deposit.numerator as u64,
            failure_cost: self.failure_cost as u64 * token,
            timeout_cost: self.timeout_cost as u64 * token,
            token: self.deposit.denominator,
        })
    }

    pub(crate) const fn violations(&self) -> Violations {
        let Self {
            deposit,
            failure_cost,
            timeout_cost,
            capacity,
            ..
        } = *self;
        let mut found = Violations::none();
        if capacity == 0 {
            found.push(ConfigError::ZeroNumber { field: "capacity" });
        }
        // Over a zero denominator, `full` is zero.
        let full = capacity as u64 * deposit.denominator as u64;
        if deposit.numerator == 0 || deposit.numerator as u64 > full {
            found.push(ConfigError::DepositOutOfRange { deposit, capacity });
        }
        if failure_cost == 0 {
            found.push(ConfigError::ZeroNumber {
                field: "failure_cost",
            });
        }
        if timeout_cost == 0 {
            found.push(ConfigError::ZeroNumber {
                field: "timeout_cost",
            });
        }
        let limited = [
            ("failure_cost", failure_cost),
            ("timeout_cost", timeout_cost),
            ("initial", self.initial_or_full()),
        ];
        let mut index = 0;
        while index < limited.len() {
            let (field, tokens) = limited[index];
            if tokens > capacity {
                found.push(ConfigError::AboveCapacity {
                    field,
                    tokens,
                    capacity,
                });
            }
            index += 1;
        }
        found
    }

    const fn initial_or_full(&self) -> u32 {
        match self.initial {
            Some(tokens) => tokens,
            None => self.capacity,
        }
    }
}
