//! One direction of one connection.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::chance::Chance;
use super::fault::Fault;

/// Moves the bytes of one direction until its end, which it passes on. An error is the sender's
/// reset, the receiver's, or the cut that the fault asked for.
pub(super) async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    faults: watch::Receiver<Fault>,
    chance: Chance,
    arrived: &AtomicU64,
) -> io::Result<()> {
    let (chunks, queue) = mpsc::channel(QUEUE);
    let outlet = Outlet {
        to,
        faults: faults.clone(),
        chance: chance.clone(),
        sent: 0,
        shut: false,
    };
    tokio::try_join!(
        intake(from, faults, chance, chunks),
        outlet.run(queue, arrived)
    )
    .map(drop)
}

/// Bytes on their way, and when they are due; or how the stream ended.
type Chunk = io::Result<(Instant, Vec<u8>)>;

/// Reads on while earlier bytes are still on their way: latency must not cost throughput.
async fn intake(
    mut from: ReadHalf<'_>,
    faults: watch::Receiver<Fault>,
    mut chance: Chance,
    chunks: mpsc::Sender<Chunk>,
) -> io::Result<()> {
    let mut due = Instant::now();
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match from.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let delay = match *faults.borrow() {
                    Fault::Delay { latency, jitter } => {
                        let jitter_ns = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX);
                        latency + Duration::from_nanos(chance.below(jitter_ns.saturating_add(1)))
                    }
                    _ => Duration::ZERO,
                };
                due = due.max(Instant::now() + delay);
                Ok((due, buffer[..count].to_vec()))
            }
            // In line with the bytes before it: a reset does not pass a black hole either.
            Err(error) => Err(error),
        };
        let ended = chunk.is_err();
        if chunks.send(chunk).await.is_err() || ended {
            return Ok(());
        }
    }
}

struct Outlet<'a> {
    to: WriteHalf<'a>,
    faults: watch::Receiver<Fault>,
    chance: Chance,
    sent: u64,
    shut: bool,
}

impl Outlet<'_> {
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<Chunk>,
        arrived: &AtomicU64,
    ) -> io::Result<()> {
        loop {
            let fault = *self.faults.borrow_and_update();
            if fault == Fault::HalfClose {
                self.shut().await?;
            }
            let chunk = tokio::select! {
                biased;
                _ = self.faults.changed() => continue,
                chunk = queue.recv(), if fault != Fault::BlackHole => chunk,
            };
            match chunk.transpose()? {
                None => return self.shut().await,
                Some((due, bytes)) => {
                    sleep_until(due).await;
                    self.deliver(bytes, arrived).await?;
                }
            }
        }
    }

    async fn deliver(&mut self, mut bytes: Vec<u8>, arrived: &AtomicU64) -> io::Result<()> {
        while !bytes.is_empty() && !self.shut {
            let mut count = bytes.len();
            let mut pause = Duration::ZERO;
            let fault = *self.faults.borrow_and_update();
            match fault {
                Fault::Pass | Fault::Delay { .. } => {}
                Fault::BlackHole => pause = Duration::MAX,
                Fault::Throttle { bytes_per_second } => {
                    let rate = bytes_per_second.get();
                    count = count.min((rate / SLICES).max(1) as usize);
                    pause = Duration::from_secs(count as u64) / rate;
                }
                Fault::Drip { interval } => (count, pause) = (1, interval),
                Fault::CutAfter { bytes } => {
                    let rest =
                        usize::try_from(bytes.saturating_sub(self.sent)).unwrap_or(usize::MAX);
                    if rest == 0 {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    count = count.min(rest);
                }
                Fault::Corrupt { one_in } => {
                    for byte in &mut bytes {
                        if self.chance.below(one_in.get().into()) == 0 {
                            *byte ^= 1 << self.chance.below(8);
                        }
                    }
                }
                Fault::HalfClose => return self.shut().await,
            }
            if !pause.is_zero() && self.changes_within(pause).await {
                continue;
            }
            self.to.write_all(&bytes[..count]).await?;
            self.sent += count as u64;
            arrived.fetch_add(count as u64, Ordering::Relaxed);
            bytes.drain(..count);
        }
        Ok(())
    }

    /// Waits, but not longer than the fault stays as it is.
    async fn changes_within(&mut self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.faults.changed())
            .await
            .is_ok()
    }

    async fn shut(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.shut, true) {
            self.to.shutdown().await?;
        }
        Ok(())
    }
}

/// Chunks on their way at most; behind that the sender feels the receiver.
const QUEUE: usize = 64;
const CHUNK: usize = 16 * 1024;
/// Portions in which a second's worth of a throttled stream arrives.
const SLICES: u32 = 50;
