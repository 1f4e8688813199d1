//! Calls that have not ended and are slow already.
//!
//! Starts are counted by period, an eighth of the threshold wide. When a period is so old that even
//! its last call is slow, its count joins `overdue`. No list of calls, no matter how many.

const PERIODS: u64 = 9;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    width_ns: u64,
    period: u64,
    running: [u64; PERIODS as usize],
    overdue: u64,
}

impl Overdue {
    pub(crate) fn new(threshold_ns: u64) -> Self {
        Self {
            width_ns: threshold_ns.div_ceil(PERIODS - 1).max(1),
            period: 0,
            running: [0; PERIODS as usize],
            overdue: 0,
        }
    }

    pub(crate) fn advance(&mut self, now_ns: u64) {
        let period = now_ns / self.width_ns;
        let steps = period.saturating_sub(self.period);
        for step in 1..=steps.min(PERIODS) {
            self.overdue += std::mem::take(&mut self.running[index(self.period + step)]);
        }
        self.period = self.period.max(period);
    }

    /// A call starts. Returns when, which is not before the period that it is counted in.
    pub(crate) fn start(&mut self, now_ns: u64) -> u64 {
        self.advance(now_ns);
        self.running[index(self.period)] += 1;
        now_ns.max(self.period * self.width_ns)
    }

    /// A call ends that started at `started_ns`, as [`start`](Self::start) returned it.
    pub(crate) fn finish(&mut self, started_ns: u64) {
        let period = started_ns / self.width_ns;
        if self.period - period < PERIODS {
            self.running[index(period)] -= 1;
        } else {
            self.overdue -= 1;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.running = [0; PERIODS as usize];
        self.overdue = 0;
    }

    pub(crate) const fn count(&self) -> u64 {
        self.overdue
    }
}

const fn index(period: u64) -> usize {
    (period % PERIODS) as usize
}
