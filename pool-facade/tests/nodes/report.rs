//! What happened in a world, before, during and after its incident.

/// Counts of one run.
pub(crate) struct Report {
    phase: Phase,
    /// Latencies of the good ones, by the phase in which they ended.
    latencies: [Vec<u64>; 3],
    bad: [u64; 3],
    requests: [u64; 3],
    attempts: [u64; 3],
    to_node: [Vec<u64>; 3],
    /// Attempts per node and tenth of a second after the incident.
    after: Vec<Vec<u64>>,
    ended_at: u64,
    /// When each request ended, after the incident, and whether well.
    endings: Vec<(u64, bool)>,
    pub(crate) changes: usize,
}

#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Before,
    During,
    After,
}

use Phase::{After, Before, During};

impl Report {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            phase: Before,
            latencies: Default::default(),
            bad: [0; 3],
            requests: [0; 3],
            attempts: [0; 3],
            to_node: [vec![0; nodes], vec![0; nodes], vec![0; nodes]],
            after: Vec::new(),
            ended_at: 0,
            endings: Vec::new(),
            changes: 0,
        }
    }

    pub(crate) fn begin(&mut self) {
        self.phase = During;
    }

    pub(crate) fn end(&mut self, now: u64) {
        self.phase = After;
        self.ended_at = now;
    }

    pub(crate) fn on_request(&mut self) {
        self.requests[self.phase as usize] += 1;
    }

    pub(crate) fn on_attempt(&mut self, node: usize, now: u64) {
        self.attempts[self.phase as usize] += 1;
        self.to_node[self.phase as usize][node] += 1;
        if matches!(self.phase, After) {
            let bin = ((now - self.ended_at) / BIN) as usize;
            let nodes = self.to_node[0].len();
            self.after
                .resize_with(self.after.len().max(bin + 1), || vec![0; nodes]);
            self.after[bin][node] += 1;
        }
    }

    pub(crate) fn on_end(&mut self, took: u64, now: u64, good: bool) {
        if matches!(self.phase, After) {
            self.endings.push((now - self.ended_at, good));
        }
        if good {
            self.latencies[self.phase as usize].push(took);
        } else {
            self.bad[self.phase as usize] += 1;
        }
    }

    pub(crate) fn on_changes(&mut self, changes: usize) {
        self.changes += changes;
    }

    /// Share of the requests that ended well.
    pub(crate) fn success(&self, phase: Phase) -> f64 {
        let good = self.latencies[phase as usize].len() as f64;
        good / (good + self.bad[phase as usize] as f64)
    }

    /// The same of those that ended from so many seconds after the incident on.
    pub(crate) fn success_after_s(&self, seconds: f64) -> f64 {
        let late = self
            .endings
            .iter()
            .filter(|(at, _)| *at as f64 >= seconds * 1e9);
        let (good, all) = late.fold((0u64, 0u64), |(good, all), (_, it)| {
            (good + u64::from(*it), all + 1)
        });
        good as f64 / all as f64
    }

    pub(crate) fn attempts_per_request(&self, phase: Phase) -> f64 {
        self.attempts[phase as usize] as f64 / self.requests[phase as usize] as f64
    }

    /// Milliseconds within which this share of the good ones was served.
    pub(crate) fn quantile_ms(&self, phase: Phase, share: f64) -> f64 {
        let mut latencies = self.latencies[phase as usize].clone();
        latencies.sort_unstable();
        let at = (latencies.len() as f64 * share) as usize;
        latencies
            .get(at)
            .map_or(f64::NAN, |latency| *latency as f64 / 1e6)
    }

    /// Share of the attempts that went to a node.
    pub(crate) fn share(&self, phase: Phase, node: usize) -> f64 {
        let all: u64 = self.to_node[phase as usize].iter().sum();
        self.to_node[phase as usize][node] as f64 / all as f64
    }

    /// Seconds after the end of the incident until a node gets this part of its fair share of a
    /// tenth of a second's calls; `None` if never.
    pub(crate) fn back_after_s(&self, node: usize, part: f64) -> Option<f64> {
        let back = self.after.iter().position(|bin| {
            let fair = bin.iter().sum::<u64>() as f64 / bin.len() as f64;
            bin[node] as f64 >= part * fair
        })?;
        Some(back as f64 * BIN as f64 / 1e9)
    }
}

const BIN: u64 = 100_000_000;
