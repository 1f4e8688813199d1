//! Events for `tracing`.

use crate::event::{Change, Event};

pub(crate) fn emit(name: Option<&str>, event: &Event) {
    let sequence = event.sequence;
    let failure_rate = event.counts.failure_rate();
    match event.change {
        Change::Transition {
            from,
            to,
            cause,
            open_for,
        } => tracing::warn!(
            breaker = name,
            sequence,
            %from,
            %to,
            %cause,
            failure_rate,
            results = event.counts.total(),
            open_for = ?open_for,
            "breaker changed state"
        ),
        Change::Mode { from, to } => {
            tracing::warn!(breaker = name, sequence, %from, %to, "breaker mode was set");
        }
        Change::Configured { evidence_kept } => {
            tracing::info!(
                breaker = name,
                sequence,
                evidence_kept,
                "breaker was configured"
            );
        }
    }
}
