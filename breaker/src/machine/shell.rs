//! What [`Breaker`](crate::Breaker) needs of the machine.
//!
//! It counts successes and calls in flight beside it, and asks what may wait.

use std::time::Duration;

use super::{Machine, Opening};
use crate::config::nanos;
use crate::event::{Change, Event};
use crate::state::{Mode, State};
use crate::window::Counts;

impl Machine {
    pub(crate) fn on_counted(&mut self, successes: u64, in_flight: u64) {
        self.evidence.record_successes(successes);
        self.totals.successes += successes;
        self.in_flight = in_flight;
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) const fn open_until_ns(&self) -> u64 {
        self.open_until_ns
    }

    /// The opening that has just been made: its event is the last one that tells of any.
    pub(crate) fn opening(&self) -> Opening {
        let left_ns = |until_ns: u64| until_ns.saturating_sub(self.opened_ns);
        let hint_ns = left_ns(self.hint_until_ns);
        Opening {
            openings: self.openings,
            counts: self
                .events
                .iter()
                .rfind(|event| opens(event))
                .map_or_else(Counts::default, |event| event.counts),
            hint: (hint_ns > 0).then(|| Duration::from_nanos(hint_ns)),
            configured: Duration::from_nanos(left_ns(self.open_until_ns)),
        }
    }

    /// The open time of `epoch` has been decided elsewhere.
    pub(crate) fn on_open_time(&mut self, epoch: u64, time: Duration) {
        if self.state != State::Open || self.epoch != epoch {
            return;
        }
        self.open_until_ns = self
            .opened_ns
            .saturating_add(nanos(time))
            .max(self.hint_until_ns);
        let told = Duration::from_nanos(self.open_until_ns.saturating_sub(self.opened_ns));
        for event in self.events.iter_mut().rev() {
            if let Change::Transition {
                open_for: Some(open_for),
                ..
            } = &mut event.change
            {
                *open_for = told;
                break;
            }
        }
        self.check();
    }

    pub(crate) const fn period_end_ns(&self) -> u64 {
        self.evidence.period_end_ns()
    }

    /// Whether calls in flight must be counted.
    pub(crate) const fn counts_calls(&self) -> bool {
        self.config.degraded.is_some()
    }

    /// Whether a call may be admitted without asking the machine.
    pub(crate) const fn admits_all(&self) -> bool {
        self.config.slow.is_none()
            && match self.mode {
                Mode::Automatic => matches!(self.state, State::Closed),
                Mode::ForcedClosed | Mode::MetricsOnly => true,
                Mode::ForcedOpen => false,
            }
    }

    /// Whether a success within the current period may be told later, because it decides nothing:
    /// it can only when it makes the results enough for the failures among them to be judged.
    pub(crate) fn defers_success(&self) -> bool {
        let counts = self.evidence.counts();
        let few = counts.total() < u64::from(self.config.minimum_calls);
        let decides = self.mode == Mode::Automatic && few && counts.total() > counts.successes;
        self.admits_all() && !decides
    }
}

const fn opens(event: &Event) -> bool {
    matches!(
        event.change,
        Change::Transition {
            to: State::Open,
            ..
        }
    )
}
