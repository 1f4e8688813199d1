//! Which fault comes when, drawn from a seed.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Result;
use testkit::postgres::{Cluster, Shutdown};
use testkit::proxy::{Admission, Direction, Fault};

use crate::rig::Rig;
use crate::time::{self, Instant};

/// Draws faults and carries them out, one after another.
#[derive(Debug)]
pub(super) struct Script {
    chance: Chance,
    rig: Rig,
}

/// One fault, how long it lasts, and how long nothing is wrong afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    trouble: Trouble,
    lasts: Duration,
    rest: Duration,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trouble, lasts, .. } = self;
        write!(f, "{trouble:?} for {} ms", lasts.as_millis())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Refuse,
    Hang,
    ResetArrivals,
    CutAll,
    Strand,
    BlackHoleUp,
    BlackHoleDown,
    Slow,
    Throttle,
    CutSoon,
    HalfClose,
    Kill,
    StopPostmaster,
    RestartFast,
    RestartImmediate,
}

impl Trouble {
    const ALL: [Self; 15] = [
        Self::Refuse,
        Self::Hang,
        Self::ResetArrivals,
        Self::CutAll,
        Self::Strand,
        Self::BlackHoleUp,
        Self::BlackHoleDown,
        Self::Slow,
        Self::Throttle,
        Self::CutSoon,
        Self::HalfClose,
        Self::Kill,
        Self::StopPostmaster,
        Self::RestartFast,
        Self::RestartImmediate,
    ];
}

impl Script {
    pub(super) fn new(seed: u64, rig: Rig) -> Self {
        Self {
            chance: Chance(seed),
            rig,
        }
    }

    /// The next fault from its beginning to the end of the rest after it; neither goes past `end`.
    pub(super) async fn next(&mut self, end: Instant) -> Result<Stage> {
        let stage = self.chance.stage();
        let until = |span: Duration| span.min(end.saturating_duration_since(Instant::now()));
        self.begin(stage.trouble).await?;
        time::pause(until(stage.lasts)).await;
        self.end(stage.trouble).await?;
        time::pause(until(stage.rest)).await;
        Ok(stage)
    }

    /// Nothing is wrong from here on.
    pub(super) async fn heal(self) -> Result<Rig> {
        self.rig.proxy.heal().await?;
        self.rig.server.ask(Cluster::sigcont).await?;
        Ok(self.rig)
    }

    async fn begin(&self, trouble: Trouble) -> Result<()> {
        let Rig {
            server,
            proxy,
            name,
        } = &self.rig;
        match trouble {
            Trouble::Refuse => {
                proxy.admit(Admission::Refuse).await?;
                proxy.reset_all().await;
            }
            Trouble::Hang => {
                proxy.admit(Admission::Hang).await?;
                proxy.reset_all().await;
            }
            Trouble::ResetArrivals => {
                proxy.admit(Admission::Reset).await?;
                proxy.reset_all().await;
            }
            Trouble::CutAll => proxy.reset_all().await,
            Trouble::Strand => proxy.strand(),
            Trouble::BlackHoleUp => proxy.set(Direction::Up, Fault::BlackHole),
            Trouble::BlackHoleDown => proxy.set(Direction::Down, Fault::BlackHole),
            Trouble::Slow => proxy.set(
                Direction::Down,
                Fault::Delay {
                    latency: Duration::from_millis(30),
                    jitter: Duration::from_millis(40),
                },
            ),
            Trouble::Throttle => {
                let bytes_per_second = NonZeroU32::new(4_000).expect("not zero");
                proxy.set(Direction::Down, Fault::Throttle { bytes_per_second });
            }
            Trouble::CutSoon => proxy.set(Direction::Down, Fault::CutAfter { bytes: 4_000 }),
            Trouble::HalfClose => proxy.set(Direction::Down, Fault::HalfClose),
            Trouble::Kill => drop(server.terminate(name).await?),
            Trouble::StopPostmaster => {
                server.ask(Cluster::sigstop).await?;
                proxy.reset_all().await;
            }
            Trouble::RestartFast => server.ask(|it| it.restart(Shutdown::Fast)).await?,
            Trouble::RestartImmediate => server.ask(|it| it.restart(Shutdown::Immediate)).await?,
        }
        Ok(())
    }

    async fn end(&self, trouble: Trouble) -> Result<()> {
        let Rig { server, proxy, .. } = &self.rig;
        proxy.heal().await?;
        match trouble {
            Trouble::StopPostmaster => server.ask(Cluster::sigcont).await?,
            // They would stay at the server's side until it looks for them.
            Trouble::Strand | Trouble::HalfClose => proxy.reset_all().await,
            _ => {}
        }
        Ok(())
    }
}

/// SplitMix64.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn stage(&mut self) -> Stage {
        let kind = self.below(Trouble::ALL.len() as u64);
        Stage {
            trouble: Trouble::ALL[usize::try_from(kind).expect("there are few")],
            lasts: Duration::from_millis(500 + self.below(2_500)),
            rest: Duration::from_millis(500 + self.below(2_000)),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_faults_and_all_of_them_come() {
        let draw = |seed| {
            let mut chance = Chance(seed);
            (0..300).map(|_| chance.stage()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let drawn = draw(7);
        let comes = |trouble: &Trouble| drawn.iter().any(|stage| stage.trouble == *trouble);
        assert!(Trouble::ALL.iter().all(comes));
    }
}
