//! The breaker, written as naively as possible.
//!
//! It keeps every result for ever and counts again whenever it is asked. It knows neither the limit nor the modes; those have tests of their own.

use breaker::{Config, Degraded, OpenTime, Outcome, Rejected, State, Window};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Time { buckets: u32, width_ms: u64 },
    Count(u32),
}

#[derive(Clone, Copy, Debug)]
pub struct Params {
    pub shape: Shape,
    pub minimum: u32,
    pub rate: Option<f64>,
    pub row: Option<u32>,
    pub open_ms: u64,
    pub probes: u32,
    pub successes: u32,
    pub deadline_ms: u64,
    /// Enter, leave, hold.
    pub degraded: Option<(f64, f64, u64)>,
}

impl Params {
    pub fn config(&self) -> Config {
        let mut degraded = Degraded::default();
        if let Some((enter, leave, hold_ms)) = self.degraded {
            (degraded.enter, degraded.leave) = (enter, leave);
            degraded.hold = Duration::from_millis(hold_ms);
        }
        Config::new()
            .window(match self.shape {
                Shape::Time { buckets, width_ms } => Window::Time {
                    buckets,
                    width: Duration::from_millis(width_ms),
                },
                Shape::Count(calls) => Window::Count { calls },
            })
            .minimum_calls(self.minimum)
            .failure_rate(self.rate)
            .consecutive(self.row)
            .open_time(OpenTime::Constant(Duration::from_millis(self.open_ms)))
            .half_open(self.probes, self.successes)
            .half_open_deadline(Duration::from_millis(self.deadline_ms))
            .degraded(self.degraded.map(|_| degraded))
    }
}

#[derive(Clone, Debug)]
pub struct Model {
    params: Params,
    pub state: State,
    pub epoch: u64,
    results: Vec<(u64, bool)>,
    open_until_ms: u64,
    deadline_ms: u64,
    probes: u32,
    calm: Option<(u64, u32)>,
}

impl Model {
    pub fn new(params: Params) -> Self {
        Self {
            params,
            state: State::Closed,
            epoch: 0,
            results: Vec::new(),
            open_until_ms: 0,
            deadline_ms: 0,
            probes: 0,
            calm: None,
        }
    }

    pub fn admit(&mut self, now_ms: u64) -> Result<u64, ()> {
        self.expire(now_ms);
        if self.state == State::Open && now_ms >= self.open_until_ms {
            self.turn(State::HalfOpen, now_ms);
        }
        match self.state {
            State::Open => Err(()),
            State::HalfOpen if self.probes == self.params.probes => Err(()),
            State::HalfOpen => {
                self.probes += 1;
                Ok(self.epoch)
            }
            State::Closed | State::Degraded => Ok(self.epoch),
        }
    }

    /// What a call that is refused now is told.
    pub fn refusal(&self, now_ms: u64) -> Rejected {
        let left = |until_ms: u64| Duration::from_millis(until_ms - now_ms);
        match self.state {
            State::Open => Rejected::Open {
                retry_after: left(self.open_until_ms),
            },
            _ => Rejected::ProbesBusy {
                retry_after: left(self.deadline_ms),
            },
        }
    }

    pub fn settle(&mut self, epoch: u64, outcome: Option<Outcome>, now_ms: u64) {
        self.expire(now_ms);
        if epoch != self.epoch {
            return;
        }
        let good = match outcome {
            Some(Outcome::Success) => true,
            Some(Outcome::Failure) => false,
            _ => {
                if self.state == State::HalfOpen {
                    self.probes -= 1;
                }
                return;
            }
        };
        self.results.push((now_ms, good));
        let p = self.params;
        if self.state == State::HalfOpen {
            let successes = self.results.iter().filter(|result| result.1).count() as u32;
            let failures = self.results.len() as u32 - successes;
            if successes >= p.successes {
                self.turn(State::Degraded, now_ms);
            } else if failures > p.probes - p.successes {
                self.turn(State::Open, now_ms);
            }
            return;
        }
        let (good_ones, bad_ones, row) = self.count(now_ms);
        let total = good_ones + bad_ones;
        let rate = if total == 0 {
            0.0
        } else {
            f64::from(bad_ones) / f64::from(total)
        };
        if p.row.is_some_and(|k| row >= k)
            || total >= p.minimum && p.rate.is_some_and(|threshold| rate >= threshold)
        {
            self.turn(State::Open, now_ms);
            return;
        }
        let Some((enter, leave, hold_ms)) = p.degraded else {
            return;
        };
        if self.state == State::Closed {
            if total >= p.minimum && rate >= enter {
                self.turn(State::Degraded, now_ms);
            }
        } else if rate >= leave {
            self.calm = None;
        } else {
            let (since, results) = self.calm.unwrap_or((now_ms, 0));
            self.calm = Some((since, results + 1));
            if good && now_ms - since >= hold_ms && results + 1 >= p.minimum {
                self.turn(State::Closed, now_ms);
            }
        }
    }

    /// Good and bad results in the window, and how many bad ones end it in a row.
    pub fn count(&self, now_ms: u64) -> (u32, u32, u32) {
        let kept: Vec<bool> = match self.params.shape {
            Shape::Time { buckets, width_ms } => {
                let newest = now_ms / width_ms;
                let inside =
                    |result: &&(u64, bool)| result.0 / width_ms + u64::from(buckets) > newest;
                self.results
                    .iter()
                    .filter(inside)
                    .map(|result| result.1)
                    .collect()
            }
            Shape::Count(calls) => self
                .results
                .iter()
                .rev()
                .take(calls as usize)
                .map(|result| result.1)
                .collect(),
        };
        let good = kept.iter().filter(|good| **good).count() as u32;
        let bad = kept.len() as u32 - good;
        let row = match self.params.shape {
            Shape::Time { .. } => {
                if good == 0 {
                    bad
                } else {
                    0
                }
            }
            Shape::Count(_) => self
                .results
                .iter()
                .rev()
                .take_while(|result| !result.1)
                .count() as u32,
        };
        (good, bad, row)
    }

    fn expire(&mut self, now_ms: u64) {
        if self.state == State::HalfOpen && now_ms >= self.deadline_ms {
            let successes = self.results.iter().filter(|result| result.1).count() as u32;
            let p = self.params;
            let fair = successes * p.probes >= p.successes * self.results.len() as u32;
            let to = if successes > 0 && fair {
                State::Degraded
            } else {
                State::Open
            };
            self.turn(to, now_ms);
        }
    }

    fn turn(&mut self, to: State, now_ms: u64) {
        if (self.state, to) != (State::Closed, State::Degraded) {
            self.epoch += 1;
            self.results.clear();
        }
        self.calm = None;
        self.state = to;
        match to {
            State::Open => self.open_until_ms = now_ms + self.params.open_ms,
            State::HalfOpen => {
                self.deadline_ms = now_ms + self.params.deadline_ms;
                self.probes = 0;
            }
            State::Degraded if self.params.degraded.is_none() => self.turn(State::Closed, now_ms),
            State::Degraded | State::Closed => {}
        }
    }
}
