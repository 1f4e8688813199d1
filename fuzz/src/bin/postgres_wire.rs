//! What the bytes of a connection say does not depend on how they are cut.
//!
//! It agrees with a naive reading of all of them.
#![no_main]

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::{Traffic, Wire};

#[allow(dead_code, reason = "the adapter uses all of it")]
#[path = "../../../adapters/postgres/src/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (cuts, records) = bytes.split_at(bytes.len().min(4));
    let records = records_of(records);
    let whole = play(&records, &[u8::MAX]);
    assert_eq!(facts(&whole), facts(&play(&records, &[1])));
    assert_eq!(facts(&whole), facts(&play(&records, cuts)));
    if let Some((pending, idle)) = read_naively(&records) {
        assert_eq!(whole.is_pending(), pending);
        assert_eq!(whole.is_idle(), idle);
        assert!(!whole.is_spoiled());
    }
});

struct Record {
    to_server: bool,
    bytes: Vec<u8>,
}

/// A login, then messages with any tag and length, now and then with any bytes instead.
fn records_of(bytes: &[u8]) -> Vec<Record> {
    let login = [0, 0, 0, 8, 0, 3, 0, 0].to_vec();
    let mut records = vec![Record {
        to_server: true,
        bytes: login,
    }];
    let mut bytes = bytes.iter().copied();
    while let Some(kind) = bytes.next() {
        let tags = b"QSPBEDCcfdFXHZGRSETDCNIK123";
        let tag = match kind >> 1 & 31 {
            31 => bytes.next().unwrap_or(b'Q'),
            pick => tags[usize::from(pick) % tags.len()],
        };
        let body: Vec<u8> = match kind >> 6 {
            0 => vec![b'I'],
            1 => vec![b'T'],
            _ => {
                let length = bytes.next().unwrap_or(0) % 32;
                bytes.by_ref().take(length.into()).collect()
            }
        };
        let length = (body.len() as u32 + 4).to_be_bytes();
        let bytes = if kind >> 6 == 3 {
            body
        } else {
            [&[tag][..], &length, &body].concat()
        };
        records.push(Record {
            to_server: kind & 1 == 0,
            bytes,
        });
    }
    records
}

fn play(records: &[Record], cuts: &[u8]) -> Arc<Traffic> {
    let traffic = Arc::new(Traffic::default());
    let line = Line::default();
    let mut wire = Wire::new(line.clone(), traffic.clone());
    let mut cuts = cuts.iter().cycle();
    let mut cx = Context::from_waker(Waker::noop());
    for record in records {
        let mut rest = &record.bytes[..];
        while !rest.is_empty() {
            let cut = usize::from(*cuts.next().unwrap_or(&1)).clamp(1, rest.len());
            let (chunk, others) = rest.split_at(cut);
            rest = others;
            let wire = Pin::new(&mut wire);
            if record.to_server {
                let written = wire.poll_write(&mut cx, chunk);
                assert!(matches!(written, Poll::Ready(Ok(length)) if length == chunk.len()));
                continue;
            }
            line.0.set(chunk.to_vec());
            let mut space = [0; 256];
            let mut space = ReadBuf::new(&mut space);
            let read = wire.poll_read(&mut cx, &mut space);
            // Once the driver has lost count, no byte reaches it.
            if traffic.is_spoiled() {
                assert!(matches!(read, Poll::Ready(Err(_))) && space.filled().is_empty());
            } else {
                assert_eq!(space.filled(), chunk);
            }
        }
    }
    traffic
}

fn facts(traffic: &Traffic) -> [bool; 5] {
    [
        traffic.is_pending(),
        traffic.is_idle(),
        traffic.is_used(),
        traffic.is_spoiled(),
        traffic.has_no_tls(),
    ]
}

/// Whether an answer is outstanding and no transaction open; nothing about COPY, TLS and lengths
/// that cannot be.
fn read_naively(records: &[Record]) -> Option<(bool, bool)> {
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    let (mut seen_sent, mut seen_received) = (0, 0);
    // The login is answered too.
    let mut outstanding = VecDeque::from([true]);
    let mut since_sync = Vec::new();
    let mut status = 0;
    for Record { to_server, bytes } in records {
        if *to_server {
            sent.extend(bytes);
            // The login is a message without a tag.
            let frames = frames(sent.get(8..)?)?;
            for (tag, _) in &frames[seen_sent..] {
                match tag {
                    b'Q' | b'F' => outstanding.push_back(true),
                    b'S' => {
                        let only_closed = since_sync.iter().all(|tag| *tag == b'C');
                        outstanding.push_back(since_sync.is_empty() || !only_closed);
                        since_sync.clear();
                    }
                    b'c' | b'f' => return None,
                    tag => since_sync.push(*tag),
                }
            }
            seen_sent = frames.len();
        } else {
            received.extend(bytes);
            let frames = frames(&received)?;
            for (tag, first) in &frames[seen_received..] {
                match tag {
                    b'Z' => {
                        status = *first;
                        outstanding.pop_front();
                    }
                    b'G' => return None,
                    _ => {}
                }
            }
            seen_received = frames.len();
        }
    }
    Some((outstanding.contains(&true), status == b'I'))
}

/// The tag and the first byte of the body of each message whose header is there.
fn frames(mut bytes: &[u8]) -> Option<Vec<(u8, u8)>> {
    let mut frames = Vec::new();
    while let Some(length) = bytes.get(1..5) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let first = bytes.get(5).copied();
        let is_ready = bytes[0] == b'Z';
        if length < if is_ready { 5 } else { 4 } {
            return None;
        }
        if is_ready && first.is_none() {
            break;
        }
        frames.push((bytes[0], first.unwrap_or(0)));
        bytes = bytes.get(1 + length..).unwrap_or_default();
    }
    Some(frames)
}

/// What was set last is read next; what is written is gone.
#[derive(Clone, Default)]
struct Line(Rc<Cell<Vec<u8>>>);

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        space.put_slice(&self.0.take());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
