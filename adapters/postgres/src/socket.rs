//! The socket below everything: moved by the driver's task, and looked at from outside.
//!
//! The driver learns that the server has hung up when its task gets to run. On a busy machine a
//! caller may be handed the connection before that; the kernel knows already, and is asked here.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A socket of either kind. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket(Arc<Stream>);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Looks at a socket that another task moves.
#[derive(Debug)]
pub(crate) struct Peephole(Weak<Stream>);

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Arc::new(Stream::Tcp(stream)))
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self(Arc::new(Stream::Unix(stream)))
    }
}

impl Socket {
    pub(crate) fn peephole(&self) -> Peephole {
        Peephole(Arc::downgrade(&self.0))
    }
}

impl Stream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Reads once. Less than there was room for is all there is: the socket counts as not ready
    /// from before that read, which spares another to be told so, as in tokio's own streams.
    fn try_read(&self, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        let room = buf.remaining();
        let mut last = None;
        let mut judge = |read: io::Result<usize>| match read {
            Ok(length) if 0 < length && length < room => {
                last = Some(length);
                Err(io::ErrorKind::WouldBlock.into())
            }
            read => read,
        };
        let readable = Interest::READABLE;
        let read = match self {
            Self::Tcp(stream) => stream.try_io(readable, || judge(stream.try_read_buf(buf))),
            Self::Unix(stream) => stream.try_io(readable, || judge(stream.try_read_buf(buf))),
        };
        last.map_or(read, Ok)
    }
}

impl Peephole {
    /// Whether the session is over, as far as the kernel knows: the other side has hung up, or says
    /// unasked that it will, by an error or the notice of an immediate shutdown. Through TLS only
    /// the first is seen; no record of it begins with either letter.
    pub(crate) fn is_over(&self) -> bool {
        let Some(stream) = self.0.upgrade() else {
            return true;
        };
        let fd = match &*stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        };
        let mut said = [0; 128];
        match recv(fd, &mut said, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => true,
            Ok(_) => match said[0] {
                b'E' => true,
                b'N' => said.windows(SHUTDOWN.len()).any(|it| it == SHUTDOWN),
                _ => false,
            },
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            if let Some(read) = settled(self.0.try_read(buf)) {
                return Poll::Ready(read.map(drop));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let written = match &*self.0 {
                Stream::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_write(buf)
                }
                Stream::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_write(buf)
                }
            };
            if let Some(written) = settled(written) {
                return Poll::Ready(written);
            }
        }
    }

    /// What is written has been given to the kernel.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &*self.0 {
            Stream::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Stream::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
        })
    }
}

/// None when the socket was not ready after all.
fn settled(result: io::Result<usize>) -> Option<io::Result<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}

/// The field of a notice for the codes 57P01 to 57P05, all of which end the session.
const SHUTDOWN: &[u8] = b"\0C57P0";

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What is seen through the hole after the other side has said something, or hung up.
    async fn seen(said: Option<&[u8]>) -> bool {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = Socket::from(ours);
        let peephole = socket.peephole();
        assert!(!peephole.is_over());
        match said {
            Some(said) => theirs.write_all(said).await.unwrap(),
            None => drop(theirs),
        }
        peephole.is_over()
    }

    #[tokio::test]
    async fn a_session_is_over_when_the_server_hangs_up_or_complains_unasked() {
        assert!(seen(None).await);
        assert!(seen(Some(b"E\0\0\0\x08FATA")).await);
        assert!(seen(Some(b"N\0\0\0\x40SWARNING\0VWARNING\0C57P02\0M")).await);
        assert!(!seen(Some(b"N\0\0\0\x40SWARNING\0VWARNING\0C01000\0M")).await);
        assert!(!seen(Some(b"\x17\x03\x03")).await, "TLS");
    }

    #[tokio::test]
    async fn looking_takes_nothing_away() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut socket = Socket::from(ours);
        theirs.write_all(b"Error").await.unwrap();
        assert!(socket.peephole().is_over());
        let mut read = [0; 5];
        socket.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"Error");
    }

    /// A read that leaves nothing is the last until more has come.
    #[tokio::test]
    async fn a_socket_that_was_emptied_is_not_read_again() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut socket = Socket::from(ours);
        let mut read = [0; 8];
        for said in [&b"less"[..], b"just all", b"less"] {
            theirs.write_all(said).await.unwrap();
            assert_eq!(socket.read(&mut read).await.unwrap(), said.len());
            let ready = poll_fn(|cx| Poll::Ready(socket.0.poll_read_ready(cx))).await;
            assert_eq!(ready.is_pending(), said.len() < read.len());
        }
    }

    #[tokio::test]
    async fn the_socket_is_closed_with_its_owner_and_not_with_the_last_look() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = Socket::from(ours);
        let peephole = socket.peephole();
        drop(socket);
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
        assert!(peephole.is_over());
    }

    /// More than the kernel takes at once, both ways at the same time.
    #[tokio::test]
    async fn what_is_written_arrives_whole_and_in_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Socket::from(ours), Socket::from(theirs));
        let sent: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
        let write = async {
            ours.write_all(&sent).await.unwrap();
            ours.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(write, theirs.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent);
    }
}
