//! What goes over the wire: how many requests are unanswered, and whether a transaction is open.
//!
//! The invariant: [`Traffic`] says what the bytes have said so far, whoever sent them and however.
//! Each answer ends in ReadyForQuery, which carries the transaction status; so the pool knows
//! without asking whether a connection came back in the middle of something. The driver keeps this
//! to itself, therefore its stream is wrapped. The cost is one look at the header of each message.
//!
//! The atomics carry plain facts and order nothing, so they are relaxed: a future that has seen an
//! answer got it through the driver's channel, which happened after the bytes were read here.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is known of a connection from its bytes.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Requests written and not answered to their end, those that only close statements excepted.
    pending: AtomicU32,
    /// The last status that the server has sent; 0 before the first.
    status: AtomicU8,
    /// Something was asked since the last [`rest`](Self::rest).
    used: AtomicBool,
    /// The server has answered that it has no TLS.
    no_tls: AtomicBool,
    /// The driver has lost count of the answers.
    spoiled: AtomicBool,
    /// Something has come since the last [`take_heard`](Self::take_heard).
    heard: AtomicBool,
}

impl Traffic {
    /// Whether the server still works on something that was sent to it.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Relaxed) > 0
    }

    /// Whether no transaction was open at the last answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.status.load(Relaxed) == b'I'
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Relaxed)
    }

    /// Forgets that the connection was used.
    pub(crate) fn rest(&self) {
        self.used.store(false, Relaxed);
    }

    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Relaxed)
    }

    /// Ends the connection, as an answer could reach the wrong request: after a refused COPY the
    /// driver sends a second Sync, which the server answers and the driver does not expect.
    pub(crate) fn spoil(&self) {
        self.spoiled.store(true, Relaxed);
    }

    /// Whether the server has said something since the last time this was asked.
    pub(crate) fn take_heard(&self) -> bool {
        let heard = self.heard.load(Relaxed);
        if heard {
            self.heard.store(false, Relaxed);
        }
        heard
    }

    pub(crate) fn has_no_tls(&self) -> bool {
        self.no_tls.load(Relaxed)
    }
}

/// A stream that notes in its [`Traffic`] what passes.
pub(crate) struct Wire<S> {
    stream: S,
    watch: Watch,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, traffic: Arc<Traffic>) -> Self {
        Self {
            stream,
            watch: Watch::new(traffic),
        }
    }

    /// The stream, for TLS to be laid over it.
    pub(crate) fn into_parts(self) -> (S, Arc<Traffic>) {
        (self.stream, self.watch.traffic)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
        this.watch.on_read(&buf.filled()[before..]);
        if this.watch.traffic.is_spoiled() {
            buf.set_filled(before);
            return Poll::Ready(Err(io::Error::other(
                "a refused COPY has been answered twice",
            )));
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.stream).poll_write(cx, buf));
        if let Ok(written) = result {
            this.watch.on_write(&buf[..written]);
        }
        Poll::Ready(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Reads both directions; owned by the driver's task alone.
#[derive(Debug)]
struct Watch {
    traffic: Arc<Traffic>,
    sent: Frames,
    received: Frames,
    /// The answers that will come, in order.
    expected: VecDeque<Request>,
    /// One byte will come that belongs to no message: the answer to a question for TLS.
    tls_answer: bool,
    /// Only statements have been closed since the last Sync.
    only_closed: bool,
    /// Nothing has been sent since the last Sync.
    fresh: bool,
    /// The last message sent was the end of a COPY.
    copy_ended: bool,
    /// The server takes the data of a COPY whose first Sync it has still to swallow or answer.
    copying: bool,
}

/// A request that ReadyForQuery will answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// Ended by Sync: worth waiting for or not, and whether it was the Sync after a COPY's data.
    Extended { closes: bool, after_copy: bool },
    /// A simple query, a function call or the login.
    Simple,
}

impl Watch {
    fn new(traffic: Arc<Traffic>) -> Self {
        Self {
            traffic,
            sent: Frames::new(true),
            received: Frames::new(false),
            expected: VecDeque::new(),
            tls_answer: false,
            only_closed: false,
            fresh: true,
            copy_ended: false,
            copying: false,
        }
    }

    fn on_write(&mut self, mut bytes: &[u8]) {
        while let Some(frame) = self.sent.next(&mut bytes) {
            let after_copy = std::mem::take(&mut self.copy_ended);
            match frame {
                Frame::Startup(TLS_REQUEST) => self.tls_answer = true,
                Frame::Startup(_) | Frame::Message(b'Q' | b'F', _) => self.expect(Request::Simple),
                Frame::Message(b'S', _) => {
                    let closes = self.only_closed && !self.fresh;
                    self.fresh = true;
                    // During a COPY the server has ignored the first Sync and answers this one.
                    if !(after_copy && self.copying) {
                        self.expect(Request::Extended { closes, after_copy });
                        self.spoil_if_answered_twice();
                    }
                }
                Frame::Message(tag, _) => {
                    self.only_closed = tag == b'C' && (self.fresh || self.only_closed);
                    self.fresh = false;
                    self.copy_ended = matches!(tag, b'c' | b'f');
                }
            }
        }
    }

    fn on_read(&mut self, mut bytes: &[u8]) {
        if !bytes.is_empty() {
            self.traffic.heard.store(true, Relaxed);
        }
        if self.tls_answer && !bytes.is_empty() {
            self.tls_answer = false;
            self.traffic.no_tls.store(bytes[0] == b'N', Relaxed);
            bytes = &bytes[1..];
        }
        while let Some(frame) = self.received.next(&mut bytes) {
            match frame {
                Frame::Message(b'Z', status) => {
                    self.copying = false;
                    self.traffic.status.store(status, Relaxed);
                    if let Some(answered) = self.expected.pop_front() {
                        self.count(answered, u32::wrapping_sub);
                    }
                    self.spoil_if_answered_twice();
                }
                Frame::Message(b'G', _) => self.on_copy_in(),
                _ => {}
            }
        }
    }

    /// The Sync after a COPY's data is next in line: the server has answered the first one, as it
    /// has never entered the COPY, and will answer this one too.
    fn spoil_if_answered_twice(&self) {
        let next = self.expected.front();
        let after_copy = |next: &Request| {
            matches!(
                next,
                Request::Extended {
                    after_copy: true,
                    ..
                }
            )
        };
        if next.is_some_and(after_copy) {
            self.traffic.spoil();
        }
    }

    /// The server enters a COPY from us and ignores the Sync that came with the request. If the
    /// Sync after the data is under way already, that one alone will be answered.
    fn on_copy_in(&mut self) {
        let (first, second) = (self.expected.front(), self.expected.get(1));
        if !matches!(first, Some(Request::Extended { .. })) {
            return;
        }
        if matches!(
            second,
            Some(Request::Extended {
                after_copy: true,
                ..
            })
        ) {
            let swallowed = self.expected.pop_front().expect("it was looked at");
            self.count(swallowed, u32::wrapping_sub);
        } else {
            self.copying = true;
        }
    }

    fn expect(&mut self, request: Request) {
        self.expected.push_back(request);
        self.count(request, u32::wrapping_add);
    }

    fn count(&self, request: Request, change: fn(u32, u32) -> u32) {
        if !matches!(request, Request::Extended { closes: true, .. }) {
            // This is the only writer.
            let pending = change(self.traffic.pending.load(Relaxed), 1);
            self.traffic.pending.store(pending, Relaxed);
            self.traffic.used.store(true, Relaxed);
        }
    }
}

/// Finds the messages of one direction in chunks cut anywhere.
#[derive(Debug)]
struct Frames {
    header: [u8; 8],
    have: usize,
    /// Bytes of the current body that are still to come.
    body: usize,
    /// The next message is of the kind without a tag that begins a connection.
    startup: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// The protocol version or request code.
    Startup(u32),
    /// The tag, and for ReadyForQuery the status.
    Message(u8, u8),
}

impl Frames {
    fn new(startup: bool) -> Self {
        Self {
            header: [0; 8],
            have: 0,
            body: 0,
            startup,
        }
    }

    /// Takes bytes up to the header of the next message; none when they end before.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = self.body.min(bytes.len());
        self.body -= skipped;
        *bytes = &bytes[skipped..];
        loop {
            let wanted = self.header_len();
            if self.have == wanted && self.have > 0 {
                break;
            }
            let (&byte, rest) = bytes.split_first()?;
            self.header[self.have] = byte;
            self.have += 1;
            *bytes = rest;
        }
        let have = std::mem::take(&mut self.have);
        let word = |at: usize| {
            let bytes = self.header[at..at + 4].try_into();
            u32::from_be_bytes(bytes.expect("four bytes"))
        };
        // A length counts itself and the body, but no tag.
        if self.startup {
            let (len, code) = (word(0) as usize, word(4));
            self.body = len.saturating_sub(have);
            self.startup = code == TLS_REQUEST;
            return Some(Frame::Startup(code));
        }
        self.body = (word(1) as usize + 1).saturating_sub(have);
        let status = if have > 5 { self.header[5] } else { 0 };
        Some(Frame::Message(self.header[0], status))
    }

    fn header_len(&self) -> usize {
        if self.startup {
            8
        } else if self.have > 0 && self.header[0] == b'Z' {
            6
        } else {
            5
        }
    }
}

/// The code of SSLRequest, as the protocol has it.
const TLS_REQUEST: u32 = 80_877_103;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Way {
        Out,
        In,
    }
    use Way::{In, Out};

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag][..], &len, body].concat()
    }

    fn login() -> Vec<(Way, Vec<u8>)> {
        let startup = [
            &12_u32.to_be_bytes()[..],
            &196_608_u32.to_be_bytes(),
            b"abcd",
        ]
        .concat();
        vec![
            (
                Out,
                [8_u32.to_be_bytes(), TLS_REQUEST.to_be_bytes()].concat(),
            ),
            (In, b"N".to_vec()),
            (Out, startup),
            (In, message(b'R', &[0; 4])),
            (In, message(b'Z', b"I")),
        ]
    }

    fn tags(way: Way, tags: &str) -> Vec<(Way, Vec<u8>)> {
        tags.bytes()
            .map(|tag| (way, message(tag, b"some body")))
            .collect()
    }

    fn ready(status: u8) -> Vec<(Way, Vec<u8>)> {
        vec![(In, message(b'Z', &[status]))]
    }

    /// Plays `parts` in chunks of `size` bytes and gives (pending, status).
    fn play(parts: &[Vec<(Way, Vec<u8>)>], size: usize) -> (u32, u8) {
        let traffic = traffic_of(parts, size);
        (traffic.pending.load(Relaxed), traffic.status.load(Relaxed))
    }

    fn spoils(parts: &[Vec<(Way, Vec<u8>)>]) -> bool {
        traffic_of(parts, 4).is_spoiled()
    }

    fn traffic_of(parts: &[Vec<(Way, Vec<u8>)>], size: usize) -> Arc<Traffic> {
        let traffic = Arc::new(Traffic::default());
        let mut watch = Watch::new(traffic.clone());
        for (way, bytes) in login().iter().chain(parts.iter().flatten()) {
            for chunk in bytes.chunks(size) {
                match way {
                    Out => watch.on_write(chunk),
                    In => watch.on_read(chunk),
                }
            }
        }
        traffic
    }

    #[test]
    fn requests_are_pending_until_their_ready_comes() {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(play(&[], size), (0, b'I'));
            assert_eq!(play(&[tags(Out, "Q")], size), (1, b'I'));
            let two = [tags(Out, "QPDS"), tags(In, "C"), ready(b'T')];
            assert_eq!(play(&two, size), (1, b'T'));
            let done = [&two[..], &[tags(In, "1tT"), ready(b'E')]].concat();
            assert_eq!(play(&done, size), (0, b'E'));
        }
    }

    #[test]
    fn closing_statements_is_nothing_to_wait_for() {
        assert_eq!(play(&[tags(Out, "CS")], 5), (0, b'I'));
        assert_eq!(play(&[tags(Out, "CSBES")], 5), (1, b'I'));
        assert_eq!(play(&[tags(Out, "CSBES"), ready(b'I')], 5), (1, b'I'));
        assert_eq!(play(&[tags(Out, "CBES")], 5), (1, b'I'));
        assert_eq!(play(&[tags(Out, "BECS")], 5), (1, b'I'));
        assert_eq!(play(&[tags(Out, "S")], 5), (1, b'I'));
    }

    #[test]
    fn a_copy_of_two_syncs_has_one_answer() {
        let enter = [tags(Out, "BES"), tags(In, "2G")];
        let inside = [&enter[..], &[tags(Out, "dd")]].concat();
        assert_eq!(play(&inside, 4), (1, b'I'));
        for end in ["cS", "fS"] {
            let sent = [&inside[..], &[tags(Out, end)]].concat();
            assert_eq!(play(&sent, 4), (1, b'I'));
            let done = [&sent[..], &[ready(b'I')]].concat();
            assert_eq!(play(&done, 4), (0, b'I'));
            let next = [&done[..], &[tags(Out, "BES")]].concat();
            assert_eq!(play(&next, 4), (1, b'I'));
        }
    }

    #[test]
    fn a_copy_given_up_early_has_one_answer_if_it_was_entered() {
        let sent = tags(Out, "BESfS");
        let entered = [sent, tags(In, "2G")];
        assert_eq!(play(&entered, 4), (1, b'I'));
        assert_eq!(play(&[&entered[..], &[ready(b'I')]].concat(), 4).0, 0);
        assert!(!spoils(&[&entered[..], &[ready(b'I')]].concat()));
    }

    #[test]
    fn a_copy_never_entered_spoils_the_connection() {
        let (refused, given_up) = ([tags(In, "E"), ready(b'I')].concat(), tags(Out, "fS"));
        assert!(spoils(&[
            tags(Out, "BES"),
            given_up.clone(),
            refused.clone()
        ]));
        assert!(spoils(&[tags(Out, "BES"), refused.clone(), given_up]));
        assert!(!spoils(&[
            tags(Out, "BES"),
            refused,
            tags(Out, "BES"),
            ready(b'I')
        ]));
    }

    #[test]
    fn a_refusal_of_tls_is_noted() {
        let traffic = Arc::new(Traffic::default());
        let mut watch = Watch::new(traffic.clone());
        watch.on_write(&login()[0].1);
        assert!(!traffic.has_no_tls());
        watch.on_read(b"N");
        assert!(traffic.has_no_tls());
    }
}
