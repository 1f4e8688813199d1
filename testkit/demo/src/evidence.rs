//! What the demo has seen, and whether the contract was kept.

use std::time::Duration;

use pool_facade::NodeStatistics;
use pool_facade::pool_core::State;

use crate::backend::Sessions;
use crate::load::Counts;
use crate::text::count;

/// Everything that was seen, by three witnesses: the pool, its users and the servers.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct Evidence {
    /// The most connections that a node may have.
    pub max_size: usize,
    /// The nodes at rest, before the pool was closed.
    pub nodes: Vec<NodeEvidence>,
    /// The servers' count at that time.
    pub server: Sessions,
    /// The nodes after the pool was closed.
    pub last: Vec<NodeStatistics>,
    /// The pool at work.
    pub sizes: Sizes,
    /// The users' count.
    pub users: Counts,
    /// The servers' count after the pool was closed.
    pub after: Sessions,
}

/// What a node says of itself.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an unpublished crate")]
pub struct NodeEvidence {
    /// What it has done.
    pub statistics: NodeStatistics,
    /// What it is doing.
    pub rest: State,
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
    pub(crate) fn look(&mut self, state: &pool_facade::State, max_size: usize) {
        self.looks += 1;
        let mut nodes = state.nodes.iter().map(|node| &node.pool);
        let broken = nodes.find(|node| !adds_up(node) || node.size > max_size);
        self.broken = self.broken.take().or_else(|| broken.cloned());
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
    findings.push(sizes(evidence));
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

/// Every acquire and every call is accounted for, once, and the users say the same.
fn books(evidence: &Evidence) -> Vec<Finding> {
    let users = &evidence.users;
    let of_nodes = |number: fn(&NodeStatistics) -> u64| evidence.last.iter().map(number).sum();
    let begun: u64 = of_nodes(|it| it.pool.started);
    let acquires: u64 =
        of_nodes(|it| it.pool.acquired() + it.pool.timed_out + it.pool.cancelled + it.pool.failed);
    let calls = users.answered + users.failed();
    let successes: u64 = of_nodes(|it| it.breaker.totals.successes);
    let stale: u64 = of_nodes(|it| it.breaker.totals.stale);
    let answers = users.answered + users.wrong;
    vec![
        Finding {
            promise: "every acquire ended once",
            kept: begun == acquires && begun > 0,
            figures: format!("begun {}, ended {}", count(begun), count(acquires)),
        },
        Finding {
            promise: "every call ended once",
            kept: users.asked == calls,
            figures: format!("made {}, ended {}", count(users.asked), count(calls)),
        },
        Finding {
            promise: "the breakers' successes are the tasks' answers",
            // A success of an epoch that is over is counted as stale, whatever it was.
            kept: (successes..=successes + stale).contains(&answers),
            figures: format!(
                "{} + {} stale, tasks {}",
                count(successes),
                count(stale),
                count(answers)
            ),
        },
    ]
}

/// No node is ever larger than allowed, and each comes back to its size.
fn sizes(evidence: &Evidence) -> Finding {
    let Sizes { looks, broken } = &evidence.sizes;
    let at_rest = evidence.nodes.iter().all(|node| {
        is_whole(&node.rest, evidence.max_size)
            && node.rest.idle == node.rest.size
            && node.rest.waiting == 0
    });
    Finding {
        promise: "the sizes add up at all times",
        kept: broken.is_none() && *looks > 0 && at_rest,
        figures: match broken {
            Some(state) => format!("once it was {}", parts(state)),
            None => format!(
                "{} looks, {}",
                count(*looks),
                evidence
                    .nodes
                    .first()
                    .map_or_else(String::new, |node| parts(&node.rest))
            ),
        },
    }
}

/// The pool has opened and closed what the servers say it has.
fn connections(evidence: &Evidence) -> Vec<Finding> {
    let Evidence {
        nodes,
        server,
        after,
        ..
    } = evidence;
    let created: u64 = nodes.iter().map(|it| it.statistics.pool.created).sum();
    let closed: u64 = nodes.iter().map(|it| it.statistics.pool.closed()).sum();
    let size: usize = nodes.iter().map(|it| it.rest.size).sum();
    let mut findings = vec![
        Finding {
            promise: "connections open, by the servers' count",
            kept: created.checked_sub(closed) == Some(server.open) && size as u64 == server.open,
            figures: format!("pool {size}, servers {}", count(server.open)),
        },
        Finding {
            promise: "none left after closing",
            kept: after.open == 0,
            figures: format!("servers {}", count(after.open)),
        },
    ];
    // Only a server of ours shows its log.
    if let Some(begun) = server.begun {
        findings.insert(
            0,
            Finding {
                promise: "connections opened, by the servers' count",
                kept: created == begun,
                figures: format!("pool {}, servers {}", count(created), count(begun)),
            },
        );
    }
    findings
}

/// The time in which the pool promises to be whole after a fault.
pub(crate) const PROMISED: Duration = Duration::from_secs(5);

pub(crate) fn is_whole(state: &State, max_size: usize) -> bool {
    state.size == max_size && state.connecting + state.closing + state.resetting == 0
}

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

#[cfg(test)]
mod tests {
    use pool_facade::Pool;

    use super::*;
    use crate::backend::Backend as _;
    use crate::embedded::Embedded;

    type Breach = fn(&mut Evidence);

    /// Eleven acquires on two connections of the one node.
    async fn kept() -> Evidence {
        let backend = Embedded::start().await.unwrap();
        let (name, address) = backend.nodes().remove(0);
        let manager = backend.manager(0, address).unwrap();
        let unused = Pool::builder().node(name, manager).build().unwrap();
        let mut statistics = unused.statistics().nodes.remove(0);
        let pool = &mut statistics.pool;
        (pool.started, pool.direct, pool.waited) = (11, 6, 2);
        (pool.timed_out, pool.cancelled, pool.failed) = (1, 1, 1);
        pool.created = 2;
        let totals = &mut statistics.breaker.totals;
        (totals.successes, totals.stale) = (4, 2);
        let mut rest = State::default();
        (rest.size, rest.idle) = (2, 2);
        let server = Sessions {
            begun: Some(2),
            open: 2,
        };
        Evidence {
            max_size: 2,
            last: vec![statistics.clone()],
            nodes: vec![NodeEvidence { statistics, rest }],
            sizes: Sizes {
                looks: 1,
                broken: None,
            },
            users: Counts {
                asked: 11,
                attempts: 8,
                answered: 5,
                wrong: 0,
                refused: 1,
                unserved: 2,
                broken: 1,
                late: 2,
            },
            server,
            after: Sessions { open: 0, ..server },
        }
    }

    #[tokio::test]
    async fn a_kept_contract_is_found_kept() {
        let findings = judge(&kept().await);
        assert_eq!(findings.len(), 8);
        assert!(findings.iter().all(|it| it.kept), "{findings:#?}");
    }

    #[tokio::test]
    async fn each_breach_breaks_its_own_promise() {
        let breaches: [(Breach, &[&str]); 20] = [
            (|it| it.last[0].pool.started += 1, &["every acquire"]),
            (|it| it.last[0].pool.direct += 1, &["every acquire"]),
            (|it| it.users.asked += 1, &["every call"]),
            (|it| it.users.unserved += 1, &["every call"]),
            (|it| it.users.refused -= 1, &["every call"]),
            (
                |it| it.last[0].breaker.totals.successes = 6,
                &["the breakers'"],
            ),
            (|it| it.last[0].breaker.totals.stale = 0, &["the breakers'"]),
            (|it| it.sizes.looks = 0, &["the sizes"]),
            (
                |it| it.sizes.broken = Some(State::default()),
                &["the sizes"],
            ),
            (
                |it| (it.nodes[0].rest.idle, it.nodes[0].rest.leased) = (1, 1),
                &["the sizes"],
            ),
            (|it| it.nodes[0].rest.waiting = 1, &["the sizes"]),
            (|it| it.nodes[0].rest.connecting = 1, &["the sizes"]),
            (|it| it.server.begun = Some(3), &["connections opened"]),
            (
                |it| it.nodes[0].statistics.pool.created = 3,
                &["connections opened", "connections open,"],
            ),
            (|it| it.server.open = 1, &["connections open,"]),
            (
                |it| (it.nodes[0].rest.size, it.nodes[0].rest.idle) = (1, 1),
                &["the sizes", "connections open,"],
            ),
            (|it| it.after.open = 1, &["none left"]),
            (
                |it| (it.users.answered, it.users.wrong) = (4, 1),
                &["no reply"],
            ),
            (
                |it| (it.users.answered, it.users.broken) = (0, 6),
                &["no reply", "the breakers'"],
            ),
            (|it| it.max_size = 3, &["the sizes"]),
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
        assert_eq!(findings.len(), 7);
        assert!(findings.iter().all(|it| it.kept), "{findings:#?}");
    }

    #[test]
    fn a_size_that_does_not_add_up_breaks_the_rule() {
        assert!(adds_up(&State::default()));
        let mut state = State::default();
        (state.size, state.idle) = (2, 1);
        assert!(!adds_up(&state));
        state.leased = 1;
        assert!(adds_up(&state));
        assert!(is_whole(&state, 2) && !is_whole(&state, 3));
    }
}
