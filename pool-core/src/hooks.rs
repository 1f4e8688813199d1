//! The user's own code at the points of a connection's life.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::core::Home;
use crate::runtime::Runtime;
use crate::slot::Entry;
use crate::{Manager, State};

/// What the pool knows about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its identity, unique within the pool.
    pub id: u64,
    /// The generation in which it was opened.
    pub generation: u64,
    /// When it was opened.
    pub created: Instant,
    /// How often it was lent.
    pub uses: u64,
}

/// What a hook decides about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection is kept or it is not")]
pub enum Verdict {
    /// Go on with it.
    Keep,
    /// Close it.
    Discard,
}

pub(crate) type AfterConnect<C, E> = Box<
    dyn for<'a> Fn(
            &'a mut C,
            &'a ConnectionInfo,
        ) -> Pin<Box<dyn Future<Output = Result<(), E>> + Send + 'a>>
        + Send
        + Sync,
>;
pub(crate) type Judge<C> = Box<dyn Fn(&mut C, &ConnectionInfo) -> Verdict + Send + Sync>;
pub(crate) type OnTick = Box<dyn Fn(Instant, &State) + Send + Sync>;

/// The hooks of a pool; each is optional.
pub(crate) struct Hooks<C, E> {
    pub(crate) after_connect: Option<AfterConnect<C, E>>,
    pub(crate) on_checkout: Option<Judge<C>>,
    pub(crate) on_return: Option<Judge<C>>,
    pub(crate) on_tick: Option<OnTick>,
}

impl<C, E> Default for Hooks<C, E> {
    fn default() -> Self {
        Self {
            after_connect: None,
            on_checkout: None,
            on_return: None,
            on_tick: None,
        }
    }
}

impl<C, E> fmt::Debug for Hooks<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("after_connect", &self.after_connect.is_some())
            .field("on_checkout", &self.on_checkout.is_some())
            .field("on_return", &self.on_return.is_some())
            .field("on_tick", &self.on_tick.is_some())
            .finish()
    }
}

impl<M: Manager, R: Runtime> Entry<M::Connection, Home<M, R>> {
    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo {
            id: self.id(),
            generation: self.generation,
            created: self.home.core.epoch + Duration::from_nanos(self.created_ns),
            uses: self.uses,
        }
    }
}

/// How often the pool looks after itself.
pub(crate) const TICK: Duration = Duration::from_millis(200);
