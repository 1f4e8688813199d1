//! A thread that does something now and then, until it is told to stop.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Something that happens now and then. Dropping it stops it, after a last time.
#[derive(Debug)]
#[must_use = "dropping it stops it"]
pub struct Periodic {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Periodic {
    pub(crate) fn spawn(
        name: &str,
        period: Duration,
        mut action: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            loop {
                let is_last = stopped.recv_timeout(period) != Err(RecvTimeoutError::Timeout);
                action();
                if is_last {
                    return;
                }
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Periodic {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the action was reported by the panic hook.
            _ = thread.join();
        }
    }
}
