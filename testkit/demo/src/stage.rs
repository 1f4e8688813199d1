//! What the acts do to the servers.

use std::io;
use std::time::Duration;

use testkit::proxy::{Admission, Direction, Fault, Proxy};

use crate::backend::{Backend, WORK};
use crate::gates::VICTIM;
use crate::script::Act;

/// Begins the fault of an act.
pub(crate) async fn begin<B: Backend>(act: Act, backend: &B, proxies: &[Proxy]) -> io::Result<()> {
    backend.set_lanes(act.lanes());
    match act {
        Act::Steady | Act::Overload | Act::Shutdown => {}
        Act::Slow => proxies[VICTIM].set(Direction::Down, LATE),
        Act::Failing => {
            proxies[VICTIM].admit(Admission::Reset).await?;
            proxies[VICTIM].reset_all().await;
        }
        Act::Late => {
            for proxy in proxies {
                proxy.set(Direction::Down, TOO_LATE);
            }
        }
        Act::Gone => {
            for proxy in proxies {
                proxy.admit(Admission::Refuse).await?;
                proxy.reset_all().await;
            }
        }
        Act::Back => {
            for proxy in proxies {
                proxy.heal().await?;
            }
        }
    }
    Ok(())
}

/// Ends it, except that of [`Act::Gone`], which [`Act::Back`] ends.
pub(crate) async fn end<B: Backend>(act: Act, backend: &B, proxies: &[Proxy]) -> io::Result<()> {
    backend.set_lanes(Act::Steady.lanes());
    match act {
        Act::Slow => proxies[VICTIM].set(Direction::Down, Fault::Pass),
        Act::Failing => proxies[VICTIM].heal().await?,
        Act::Late => {
            for proxy in proxies {
                proxy.set(Direction::Down, Fault::Pass);
            }
        }
        _ => {}
    }
    Ok(())
}

/// With the work itself, ten times what a call takes.
const LATE: Fault = Fault::Delay {
    latency: Duration::from_millis(9 * WORK.as_millis() as u64),
    jitter: Duration::ZERO,
};

/// Longer than any caller waits.
const TOO_LATE: Fault = Fault::Delay {
    latency: Duration::from_millis(600),
    jitter: Duration::ZERO,
};
