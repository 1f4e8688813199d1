//! A listening socket that can be shut and opened again, and the sessions that came through it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::port::Port;

/// Serves each connection in a task of its own; all end with the door.
pub(crate) struct Door {
    port: Port,
    serve: Serve,
    sessions: Arc<Mutex<JoinSet<()>>>,
    /// Taken while the door is shut.
    listening: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

type Serve = Arc<dyn Fn(Socket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Door {
    /// Listens on a free port of loopback.
    pub(crate) async fn open<F>(
        serve: impl Fn(Socket) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let door = Self {
            port: Port::reserve()?,
            serve: Arc::new(move |socket| Box::pin(serve(socket))),
            sessions: Arc::default(),
            listening: tokio::sync::Mutex::new(None),
        };
        door.reopen().await?;
        Ok(door)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// Closes the listening socket: from here on the kernel refuses. Sessions go on.
    pub(crate) async fn shut(&self) {
        if let Some(task) = self.listening.lock().await.take() {
            task.abort();
            // The socket is closed once the task is gone.
            let _ = task.await;
        }
    }

    /// Listens again on the same port. Does nothing while open.
    pub(crate) async fn reopen(&self) -> io::Result<()> {
        let mut listening = self.listening.lock().await;
        if listening.is_some() {
            return Ok(());
        }
        let listener = listen(self.address()).await?;
        let (serve, sessions) = (self.serve.clone(), self.sessions.clone());
        *listening = Some(tokio::spawn(async move {
            // An accept fails when the peer has already left; the next one is another matter.
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let mut sessions = lock(&sessions);
                    while sessions.try_join_next().is_some() {}
                    sessions.spawn(serve(Socket::new(stream)));
                }
            }
        }));
        Ok(())
    }

    /// Ends every session, by reset, and waits until they are gone.
    pub(crate) async fn cut(&self) {
        let mut sessions = std::mem::take(&mut *lock(&self.sessions));
        sessions.shutdown().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(task) = self.listening.get_mut().take() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

/// The port is ours, so whoever still listens there is a child that this process has just forked:
/// until it runs its own program it holds our old socket too.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no event: the kernel tells nobody that a port is free"
)]
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..TRIES {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(PAUSE).await,
            result => return result,
        }
    }
    TcpListener::bind(address).await
}

/// A connection that ends by reset unless it is [closed](Socket::close) in good order.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    closed: bool,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it, small replies wait 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            closed: false,
        }
    }

    pub(crate) fn close(mut self) {
        self.closed = true;
    }
}

impl Deref for Socket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.stream.set_zero_linger();
        }
    }
}

/// The tests' locks guard plain values, which a panic cannot leave half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two seconds in all: a fork takes milliseconds.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_waits_for_a_forked_child_to_let_go_of_its_port() {
        let port = Port::reserve().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let held = std::net::TcpListener::bind(address).unwrap();
        let (listener, ()) = tokio::join!(listen(address), async { drop(held) });
        assert_eq!(listener.unwrap().local_addr().unwrap(), address);
    }
}
