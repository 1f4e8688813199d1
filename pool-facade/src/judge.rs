//! What a failed attempt means: for the breaker, for the connection, and for trying again.

use std::time::Duration;

use pool_core::ErrorClass;

/// The meaning of one error of an operation.
///
/// Made from an [`ErrorClass`] alone, it says the least that is safe: that the work may have been
/// done, and nothing about when to come back.
///
/// ```
/// use std::time::Duration;
/// use pool_facade::Judgement;
/// use pool_facade::pool_core::ErrorClass;
///
/// // "429 too many requests, retry after 2 s": refused before anything was done.
/// let judgement = Judgement::new(ErrorClass::Overload)
///     .not_executed()
///     .retry_after(Duration::from_secs(2));
/// assert!(!judgement.may_be_executed());
/// assert!(Judgement::from(ErrorClass::Broken).may_be_executed());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    class: ErrorClass,
    executed: bool,
    retry_after: Option<Duration>,
}

impl Judgement {
    /// The meaning that follows from the class alone. Only a server of the wrong role is known to
    /// have done nothing.
    pub const fn new(class: ErrorClass) -> Self {
        Self {
            class,
            executed: !matches!(class, ErrorClass::WrongRole),
            retry_after: None,
        }
    }

    /// The server has provably done nothing, so the operation may be tried again even if it is not
    /// idempotent.
    #[must_use]
    pub const fn not_executed(mut self) -> Self {
        self.executed = false;
        self
    }

    /// The server said when to come back.
    #[must_use]
    pub const fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// The class.
    pub const fn class(&self) -> ErrorClass {
        self.class
    }

    /// Whether the server may have done the work, or a part of it.
    pub const fn may_be_executed(&self) -> bool {
        self.executed
    }

    /// What the server said about coming back.
    pub const fn hint(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What a breaker is told. A caller's own mistake was answered by a server that is well.
    pub(crate) const fn outcome(&self) -> breaker::Outcome {
        match self.class {
            ErrorClass::Caller => breaker::Outcome::Success,
            ErrorClass::Overload => breaker::Outcome::Overload,
            _ => breaker::Outcome::Failure,
        }
    }

    /// What the balancer is told.
    pub(crate) const fn balanced(&self) -> crate::balance::Outcome {
        match self.class {
            ErrorClass::Caller => crate::balance::Outcome::Success,
            _ => crate::balance::Outcome::Failure,
        }
    }

    /// Whether another attempt may be made of an operation that is `idempotent` or not.
    pub(crate) const fn may_retry(&self, idempotent: bool) -> bool {
        match self.class {
            ErrorClass::Caller | ErrorClass::Permanent => false,
            _ => idempotent || !self.executed,
        }
    }

    /// What another attempt costs: after overload the work may still be running.
    pub(crate) const fn cost(&self) -> backoff::Cost {
        match self.class {
            ErrorClass::Overload => backoff::Cost::Timeout,
            _ => backoff::Cost::Failure,
        }
    }
}

impl From<ErrorClass> for Judgement {
    fn from(class: ErrorClass) -> Self {
        Self::new(class)
    }
}

/// Judges errors of type `E`, where the pool itself can judge those of its manager, `A`.
///
/// Implemented by [`ByPool`], which is the default, and by [`By`], which asks a closure.
pub trait Judge<A, E>: Send + Sync {
    /// The meaning of `error`. `pool` judges errors of the manager.
    fn judge(&self, pool: &dyn Fn(&A) -> Judgement, error: &E) -> Judgement;
}

/// Judges as the pool does: by its [own judge](crate::Builder::judge), else by
/// [`Manager::classify`](pool_core::Manager::classify).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to configure")]
pub struct ByPool;

impl<A> Judge<A, A> for ByPool {
    fn judge(&self, pool: &dyn Fn(&A) -> Judgement, error: &A) -> Judgement {
        pool(error)
    }
}

/// Judges by a closure; made by [`CallOptions::judge`](crate::CallOptions::judge).
#[derive(Debug, Clone, Copy)]
pub struct By<F>(pub(crate) F);

impl<A, E, F> Judge<A, E> for By<F>
where
    F: Fn(&E) -> Judgement + Send + Sync,
{
    fn judge(&self, _: &dyn Fn(&A) -> Judgement, error: &E) -> Judgement {
        (self.0)(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_means_what_the_table_says() {
        use breaker::Outcome::{Failure, Overload, Success};
        // class, what the breaker hears, retried as it is, retried when idempotent
        let table = [
            (ErrorClass::Transient, Failure, false, true),
            (ErrorClass::Permanent, Failure, false, false),
            (ErrorClass::Overload, Overload, false, true),
            (ErrorClass::Broken, Failure, false, true),
            (ErrorClass::WrongRole, Failure, true, true),
            (ErrorClass::Caller, Success, false, false),
        ];
        for (class, outcome, retried, retried_idempotent) in table {
            let judgement = Judgement::new(class);
            assert_eq!(judgement.outcome(), outcome, "{class}");
            assert_eq!(judgement.may_retry(false), retried, "{class}");
            assert_eq!(judgement.may_retry(true), retried_idempotent, "{class}");
            let refused = judgement.not_executed();
            assert_eq!(refused.may_retry(false), retried_idempotent, "{class}");
        }
    }
}
