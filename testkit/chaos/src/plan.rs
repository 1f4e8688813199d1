//! Every experiment, what it says something about, and where it runs.

use std::pin::Pin;

use anyhow::Result;

use crate::faults::{
    cancelling, closing, connecting, expiry, failover, firewall, full, killing, leaks, lies, login,
    nonsense, overload, panics, restarts, runtimes, silence, storm, waiters,
};
use crate::finding::Finding;
use crate::server::Server;

/// Does something to a server and measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Experiment {
    pub(crate) name: &'static str,
    /// The rows of the contract that it bears on.
    pub(crate) rows: &'static [&'static str],
    pub(crate) place: Place,
    /// Whether the others have to be silent meanwhile.
    pub(crate) alone: bool,
    pub(crate) run: Run,
}

pub(crate) type Run = fn(Server) -> Pin<Box<dyn Future<Output = Result<Vec<Finding>>> + Send>>;

/// The server that an experiment needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One that is left as it is: experiments are told apart by the names of their sessions.
    Shared,
    /// One that may be restarted.
    Rough,
    /// One with room for 30.
    Small,
    /// One that is given a replica.
    Replicated,
    /// One of a process of its own.
    Apart,
    /// The same, in a network of its own that has a firewall.
    Walled,
}

impl Place {
    pub(crate) const ALL: [Self; 6] = [
        Self::Shared,
        Self::Rough,
        Self::Small,
        Self::Replicated,
        Self::Apart,
        Self::Walled,
    ];
}

const fn experiment(
    name: &'static str,
    rows: &'static [&'static str],
    place: Place,
    run: Run,
) -> Experiment {
    Experiment {
        name,
        rows,
        place,
        alone: false,
        run,
    }
}

const fn alone(experiment: Experiment) -> Experiment {
    Experiment {
        alone: true,
        ..experiment
    }
}

/// In the order in which those of one place run.
pub(crate) const EXPERIMENTS: [Experiment; 30] = {
    use Place::{Apart, Replicated, Rough, Shared, Small, Walled};
    [
        alone(experiment(
            "refused",
            &["connect", "bar-refused"],
            Shared,
            |it| Box::pin(connecting::refused(it)),
        )),
        experiment("hanging", &["connect", "bar-hang"], Shared, |it| {
            Box::pin(connecting::hanging(it))
        }),
        experiment("steps", &["connect"], Shared, |it| {
            Box::pin(connecting::steps(it))
        }),
        experiment("login", &["password"], Shared, |it| {
            Box::pin(login::refused(it))
        }),
        experiment("midway", &["cancelled", "bar-cancelled"], Shared, |it| {
            Box::pin(cancelling::midway(it))
        }),
        experiment("each-poll", &["cancelled"], Shared, |it| {
            Box::pin(cancelling::at_each_poll(it))
        }),
        experiment("leaving", &["cancelled"], Shared, |it| {
            Box::pin(cancelling::while_connecting(it))
        }),
        experiment("killed", &["killed", "bar-killed"], Shared, |it| {
            Box::pin(killing::all(it))
        }),
        experiment("row", &["killed"], Shared, |it| {
            Box::pin(killing::in_a_row(it))
        }),
        experiment("silence", &["black-hole", "bar-black-hole"], Shared, |it| {
            Box::pin(silence::by_default(it))
        }),
        experiment("idle-silence", &["black-hole"], Shared, |it| {
            Box::pin(silence::idle(it))
        }),
        experiment("dead-guards", &["black-hole"], Shared, |it| {
            Box::pin(silence::returned(it))
        }),
        experiment("expiry", &["idle-timeout", "bar-idle"], Shared, |it| {
            Box::pin(expiry::idle_sessions(it))
        }),
        experiment("panics", &["panic"], Shared, |it| {
            Box::pin(panics::everywhere(it))
        }),
        experiment("runtimes", &["runtime"], Shared, |it| {
            Box::pin(runtimes::any_order(it))
        }),
        experiment("lies", &["health"], Shared, |it| Box::pin(lies::told(it))),
        alone(experiment("storm", &["storm"], Shared, |it| {
            Box::pin(storm::incidents(it))
        })),
        experiment("nonsense", &["config"], Shared, |it| {
            Box::pin(nonsense::refused(it))
        }),
        experiment("forgotten", &["leak"], Shared, |it| {
            Box::pin(leaks::forgotten(it))
        }),
        experiment("nested", &["leak"], Shared, |it| {
            Box::pin(leaks::nested(it))
        }),
        experiment("closing", &["shutdown"], Shared, |it| {
            Box::pin(closing::under_load(it))
        }),
        experiment("closing-well", &["shutdown"], Shared, |it| {
            Box::pin(closing::in_good_order(it))
        }),
        alone(experiment("overload", &["slow", "bar-slow"], Small, |it| {
            Box::pin(overload::tenfold(it))
        })),
        experiment("full", &["full", "bar-full"], Small, |it| {
            Box::pin(full::too_many(it))
        }),
        experiment("stopped", &["connect"], Rough, |it| {
            Box::pin(connecting::stopped(it))
        }),
        experiment("restart", &["killed", "bar-restart"], Rough, |it| {
            Box::pin(restarts::restarted(it))
        }),
        experiment("crash", &["killed"], Rough, |it| {
            Box::pin(restarts::crashed(it))
        }),
        experiment("failover", &["killed"], Replicated, |it| {
            Box::pin(failover::promoted(it))
        }),
        alone(experiment("waiters", &["waiters"], Apart, |it| {
            Box::pin(waiters::hundred_thousand(it))
        })),
        experiment("firewall", &["connect", "black-hole"], Walled, |it| {
            Box::pin(firewall::vanished(it))
        }),
    ]
};

/// Rows that nothing here measures, and why.
pub(crate) const UNMEASURED: [(&str, &str); 0] = [];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::contract::ROWS;

    #[test]
    fn every_row_of_the_contract_is_measured_or_says_why_not() {
        let rows: BTreeSet<_> = ROWS.iter().map(|row| row.key).collect();
        assert_eq!(rows.len(), ROWS.len(), "keys are unique");
        let measured: BTreeSet<_> = EXPERIMENTS.iter().flat_map(|it| it.rows).copied().collect();
        let not: BTreeSet<_> = UNMEASURED.iter().map(|(row, _)| *row).collect();
        assert!(measured.is_disjoint(&not), "either measured or not");
        let known: BTreeSet<_> = measured.union(&not).copied().collect();
        assert_eq!(known, rows);
    }

    #[test]
    fn names_of_experiments_are_unique() {
        let names: BTreeSet<_> = EXPERIMENTS.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), EXPERIMENTS.len());
    }
}
