//! What the demo has seen, and whether the contract was kept.

use std::time::Duration;

use pool_core::{State, Statistics};

use crate::backend::Sessions;
use crate::load::Counts;
use crate::text::{count, span};

/// Everything that was seen when the work was over, by three witnesses: the pool, its users and the
/// server.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Evidence {
    /// The most connections that the pool may have.
    pub max_size: usize,
    /// The pool's count.
    pub pool: Statistics,
    /// How many connections it had lent before there were users.
    pub warmed: u64,
    /// The pool at rest.
    pub rest: State,
    /// The pool at work.
    pub sizes: Sizes,
    /// How long the pool took, after each fault, to have all its connections again; nothing if it
    /// had not within [`PROMISED`].
    pub recoveries: Vec<Option<Duration>>,
    /// The users' count.
    pub users: Counts,
    /// The server's count.
    pub server: Sessions,
    /// The server's count after the pool was closed.
    pub after: Sessions,
}

/// Looks at the pool while it worked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Sizes {
    /// How many.
    pub looks: u64,
    /// The first that broke the rule.
    pub broken: Option<State>,
}

impl Sizes {
    pub(crate) fn look(&mut self, state: State, max_size: usize) {
        self.looks += 1;
        if self.broken.is_none() && !(adds_up(&state) && state.size <= max_size) {
            self.broken = Some(state);
        }
    }
}

/// One promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Finding {
    /// The promise.
    pub promise: &'static str,
    /// Whether it was kept.
    pub kept: bool,
    /// The figures that say so.
    pub figures: String,
}

/// Holds the evidence against the contract, promise by promise.
#[must_use]
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    let Evidence {
        pool, users, rest, ..
    } = evidence;
    let (server, after) = (evidence.server, evidence.after);
    let lent = pool.acquired().saturating_sub(evidence.warmed);
    let ended = pool.direct + pool.waited + pool.timed_out + pool.cancelled + pool.failed;
    let unserved = pool.timed_out + pool.failed;
    let settled = users.answered + users.wrong + users.cut + users.left_midway;
    let open = pool.created.checked_sub(pool.closed());
    let at_rest = rest.idle == rest.size && rest.waiting == 0;
    let finding = |promise, kept, figures| Finding {
        promise,
        kept,
        figures,
    };
    vec![
        finding(
            "every acquire ended once",
            pool.started == ended,
            same("begun", pool.started, "ended", ended),
        ),
        finding(
            "the pool and its users agree",
            lent == users.lent
                && unserved == users.unserved
                && pool.cancelled == users.left_waiting
                && users.lent == settled,
            format!(
                "lent {}, unserved {}, left the queue {}",
                versus(lent, users.lent),
                versus(unserved, users.unserved),
                versus(pool.cancelled, users.left_waiting),
            ),
        ),
        finding(
            "the sizes add up, at all times",
            evidence.sizes.broken.is_none() && evidence.sizes.looks > 0 && adds_up(rest) && at_rest,
            match &evidence.sizes.broken {
                Some(state) => format!("once it was {}", parts(state)),
                None => format!("{} looks; now {}", count(evidence.sizes.looks), parts(rest)),
            },
        ),
        finding(
            "never more in use than allowed",
            users.most_held <= evidence.max_size as u64,
            format!("{} at most, of {}", users.most_held, evidence.max_size),
        ),
        finding(
            "connections opened, as the server counts",
            pool.created == server.begun,
            same("pool", pool.created, "server", server.begun),
        ),
        finding(
            "connections open, as the server counts",
            open == Some(server.open) && rest.size as u64 == server.open,
            same("pool", rest.size as u64, "server", server.open),
        ),
        finding(
            "nothing is left after closing",
            after.open == 0 && after.begun == server.begun,
            format!("server {}", count(after.open)),
        ),
        finding(
            "whole within 5 s of each fault",
            !evidence.recoveries.is_empty() && evidence.recoveries.iter().all(Option::is_some),
            match evidence
                .recoveries
                .iter()
                .copied()
                .collect::<Option<Vec<_>>>()
            {
                Some(spans) => spans
                    .into_iter()
                    .max()
                    .map_or_else(String::new, |most| format!("{} at most", span(most))),
                None => "not once or more".into(),
            },
        ),
        finding(
            "no reply went to another caller",
            users.wrong == 0 && users.answered > 0,
            format!("{} wrong in {}", count(users.wrong), count(users.answered)),
        ),
    ]
}

/// The time in which the pool promises to be whole after a fault.
pub(crate) const PROMISED: Duration = Duration::from_secs(5);

fn adds_up(state: &State) -> bool {
    state.idle + state.leased + state.connecting + state.checking + state.resetting + state.closing
        == state.size
}

fn parts(state: &State) -> String {
    let parts = [
        (state.idle, "idle"),
        (state.leased, "active"),
        (state.connecting, "connecting"),
        (state.checking, "checking"),
        (state.resetting, "resetting"),
        (state.closing, "closing"),
    ];
    let shown = parts.iter().filter(|(count, _)| *count > 0);
    let shown: Vec<_> = shown
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    format!("{} in all, {}", state.size, shown.join(", "))
}

fn same(left: &str, a: u64, right: &str, b: u64) -> String {
    format!("{left} {}, {right} {}", count(a), count(b))
}

fn versus(a: u64, b: u64) -> String {
    if a == b {
        return count(a);
    }
    format!("{} but they say {}", count(a), count(b))
}
