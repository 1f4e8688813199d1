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
    /// had not within the time it promises.
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
    let mut findings = books(evidence);
    findings.extend(sizes(evidence));
    findings.extend(connections(evidence));
    let users = &evidence.users;
    findings.push(Finding {
        promise: "no reply went to another caller",
        kept: users.wrong == 0 && users.answered > 0,
        figures: format!(
            "{} wrong of {}",
            count(users.wrong),
            count(users.wrong + users.answered)
        ),
    });
    findings
}

/// Every acquire is accounted for, once, and the users say the same.
fn books(evidence: &Evidence) -> Vec<Finding> {
    let Evidence { pool, users, .. } = evidence;
    let ended = pool.acquired() + pool.timed_out + pool.cancelled + pool.failed;
    let unserved = pool.timed_out + pool.failed;
    let lent = pool.acquired().saturating_sub(evidence.warmed);
    let settled = users.answered + users.wrong + users.cut + users.left_midway;
    vec![
        Finding {
            promise: "every acquire ended once",
            kept: pool.started == ended,
            figures: format!("begun {}, ended {}", count(pool.started), count(ended)),
        },
        Finding {
            promise: "the pool's figures are the tasks' figures",
            kept: lent == users.lent
                && unserved == users.unserved
                && pool.cancelled == users.left_waiting
                && users.lent == settled,
            figures: format!(
                "{} lent, {} unserved, {} left the queue",
                versus(lent, users.lent),
                versus(unserved, users.unserved),
                versus(pool.cancelled, users.left_waiting),
            ),
        },
    ]
}

/// The pool is never larger than allowed, and comes back to its size.
fn sizes(evidence: &Evidence) -> Vec<Finding> {
    let Evidence { rest, users, .. } = evidence;
    let Sizes { looks, broken } = &evidence.sizes;
    let at_rest = rest.idle == rest.size && rest.waiting == 0;
    let slowest: Option<Vec<_>> = evidence.recoveries.iter().copied().collect();
    let slowest = slowest.and_then(|spans| spans.into_iter().max());
    vec![
        Finding {
            promise: "the sizes add up at all times",
            kept: broken.is_none() && *looks > 0 && adds_up(rest) && at_rest,
            figures: match broken {
                Some(state) => format!("once it was {}", parts(state)),
                None => format!("{} looks, the last: {}", count(*looks), parts(rest)),
            },
        },
        Finding {
            promise: "never more in use than allowed",
            kept: users.most_held <= evidence.max_size as u64,
            figures: format!("{} at most, of {}", users.most_held, evidence.max_size),
        },
        Finding {
            promise: "whole within 5 s of each fault",
            kept: slowest.is_some(),
            figures: slowest.map_or_else(
                || "it was not".into(),
                |slowest| format!("{} at most", span(slowest)),
            ),
        },
    ]
}

/// The pool has opened and closed what the server says it has.
fn connections(evidence: &Evidence) -> Vec<Finding> {
    let Evidence {
        pool,
        rest,
        server,
        after,
        ..
    } = evidence;
    let open = pool.created.checked_sub(pool.closed());
    let mut findings = vec![
        Finding {
            promise: "connections open, by the server's count",
            kept: open == Some(server.open) && rest.size as u64 == server.open,
            figures: format!("pool {}, server {}", rest.size, count(server.open)),
        },
        Finding {
            promise: "none left after closing",
            kept: after.open == 0,
            figures: format!("server {}", count(after.open)),
        },
    ];
    // Only a server of ours shows its log.
    if let Some(begun) = server.begun {
        findings.insert(
            0,
            Finding {
                promise: "connections opened, by the server's count",
                kept: pool.created == begun && after.begun == server.begun,
                figures: format!("pool {}, server {}", count(pool.created), count(begun)),
            },
        );
    }
    findings
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

fn versus(a: u64, b: u64) -> String {
    if a == b {
        return count(a);
    }
    format!("{} but they say {}", count(a), count(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend as _;
    use crate::embedded::Embedded;

    type Breach = fn(&mut Evidence);

    /// Eleven acquires on two connections, one of them before there were users.
    async fn kept() -> Evidence {
        let backend = Embedded::start().await.unwrap();
        let manager = backend.manager(backend.address()).unwrap();
        let unused = pool_core::Pool::builder(manager).build().unwrap();
        let mut pool = unused.statistics();
        (pool.started, pool.direct, pool.waited) = (11, 6, 2);
        (pool.timed_out, pool.cancelled, pool.failed) = (1, 1, 1);
        pool.created = 2;
        let mut rest = State::default();
        (rest.size, rest.idle) = (2, 2);
        let server = Sessions {
            begun: Some(2),
            open: 2,
        };
        Evidence {
            max_size: 2,
            pool,
            warmed: 1,
            rest,
            sizes: Sizes {
                looks: 1,
                broken: None,
            },
            recoveries: vec![Some(Duration::from_millis(1))],
            users: Counts {
                lent: 7,
                unserved: 2,
                left_waiting: 1,
                answered: 5,
                wrong: 0,
                cut: 1,
                left_midway: 1,
                most_held: 2,
            },
            server,
            after: Sessions { open: 0, ..server },
        }
    }

    #[tokio::test]
    async fn a_kept_contract_is_found_kept() {
        let findings = judge(&kept().await);
        assert_eq!(findings.len(), 9);
        assert!(findings.iter().all(|it| it.kept), "{findings:#?}");
    }

    #[tokio::test]
    async fn each_breach_breaks_its_own_promise() {
        let breaches: [(Breach, &[&str]); 22] = [
            (|it| it.pool.started += 1, &["every acquire"]),
            (
                |it| it.pool.direct += 1,
                &["every acquire", "the pool's figures"],
            ),
            (|it| it.warmed = 0, &["the pool's figures"]),
            (|it| it.users.unserved += 1, &["the pool's figures"]),
            (|it| it.users.left_waiting += 1, &["the pool's figures"]),
            (|it| it.users.cut += 1, &["the pool's figures"]),
            (|it| it.sizes.looks = 0, &["the sizes"]),
            (
                |it| it.sizes.broken = Some(State::default()),
                &["the sizes"],
            ),
            (|it| it.rest.leased = 1, &["the sizes"]),
            (|it| (it.rest.idle, it.rest.leased) = (1, 1), &["the sizes"]),
            (|it| it.rest.waiting = 1, &["the sizes"]),
            (|it| it.users.most_held = 3, &["never more"]),
            (|it| it.recoveries.clear(), &["whole within"]),
            (|it| it.recoveries.push(None), &["whole within"]),
            (|it| it.server.begun = Some(3), &["connections opened"]),
            (|it| it.after.begun = Some(3), &["connections opened"]),
            (
                |it| it.pool.created = 3,
                &["connections opened", "connections open,"],
            ),
            (|it| it.server.open = 1, &["connections open,"]),
            (
                |it| (it.rest.size, it.rest.idle) = (1, 1),
                &["connections open,"],
            ),
            (|it| it.after.open = 1, &["none left"]),
            (
                |it| (it.users.answered, it.users.wrong) = (4, 1),
                &["no reply"],
            ),
            (
                |it| (it.users.answered, it.users.cut) = (0, 6),
                &["no reply"],
            ),
        ];
        for (number, (breach, broken)) in breaches.iter().enumerate() {
            let mut evidence = kept().await;
            breach(&mut evidence);
            let findings = judge(&evidence);
            let found: Vec<_> = findings.iter().filter(|it| !it.kept).collect();
            let expected = found.len() == broken.len()
                && broken
                    .iter()
                    .all(|start| found.iter().any(|it| it.promise.starts_with(start)));
            assert!(expected, "breach {number}: {found:#?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_counts_no_logins_is_not_asked_for_them() {
        let mut evidence = kept().await;
        (evidence.server.begun, evidence.after.begun) = (None, None);
        let findings = judge(&evidence);
        assert_eq!(findings.len(), 8);
        assert!(findings.iter().all(|it| it.kept), "{findings:#?}");
    }

    #[test]
    fn the_first_size_that_is_not_exact_is_kept() {
        let mut state = State::default();
        (state.size, state.leased) = (2, 2);
        let mut sizes = Sizes::default();
        sizes.look(state.clone(), 2);
        assert_eq!(sizes.broken, None);
        sizes.look(state.clone(), 1);
        assert_eq!(sizes.broken.as_ref(), Some(&state));
        let mut other = state.clone();
        other.leased = 1;
        sizes.look(other.clone(), 2);
        assert_eq!(sizes.broken, Some(state));
        assert_eq!(sizes.looks, 3);
        let mut sizes = Sizes::default();
        sizes.look(other.clone(), 2);
        assert_eq!(sizes.broken, Some(other));
    }
}
