//! A server that answers with any bytes: every call of the adapter ends, and none panics.
#![no_main]

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use pool_core::{CloseReason, Manager, Pool};
use pool_postgres::{Config, PgConnection, PgManager};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be built").block_on(async {
        let folder = TempDir::new().expect("a folder can be made");
        let socket = folder.path().join(".s.PGSQL.5432");
        let listener = UnixListener::bind(socket).expect("a socket can be made");
        let folder = folder.path().to_str().expect("its name is plain");
        let config = Config::new(folder, "role").password("secret");
        let manager = PgManager::new(config).expect("a good configuration");
        let (calls, answers) = bytes.split_at(bytes.len().min(4));
        tokio::select! {
            error = serve(listener, answers) => panic!("the server is out of order: {error:?}"),
            ended = timeout(Duration::from_secs(10), call(manager, calls)) => {
                ended.expect("every call ends");
            }
        }
    });
});

/// What a user and the pool do with a connection, whatever comes back.
async fn call(manager: PgManager, calls: &[u8]) {
    let pool = Pool::builder(manager)
        .build()
        .expect("a good configuration");
    let manager = pool.manager();
    let Ok(mut connection) = pool.dedicated().await else {
        return;
    };
    for which in calls.iter().flat_map(|byte| [byte & 15, byte >> 4]) {
        let _ = match which {
            0 => drop(connection.simple_query("SELECT 1").await),
            1 => drop(connection.query("SELECT $1::int4", &[&1_i32]).await),
            2 => drop(connection.prepare_cached("SELECT 1").await),
            3 => drop(connection.execute("SELECT", &[]).await),
            4 => drop(connection.batch_execute("SELECT").await),
            5 => drop(connection.transaction().await),
            6 => drop(copy(&connection).await),
            // Left midway.
            7 => drop(poll!(Box::pin(connection.simple_query("SELECT 1")))),
            8 => drop(poll!(Box::pin(connection.prepare_cached("SELECT 2")))),
            9 => drop(manager.is_valid(&mut connection).await),
            10 | 11 => drop(manager.reset(&mut connection).await),
            12 => drop(connection.cancel().await),
            _ => break,
        };
        // As the pool does before it lends the connection again.
        if manager.has_broken(&mut connection) {
            break;
        }
        if manager.needs_reset(&mut connection) && manager.reset(&mut connection).await.is_ok() {
            assert!(!manager.needs_reset(&mut connection), "clean after a reset");
        }
    }
    manager.close(connection, CloseReason::Invalidated).await;
}

async fn copy(connection: &PgConnection) -> Result<(), ()> {
    let sink = connection.copy_in("COPY item FROM STDIN").await;
    let mut sink = Box::pin(sink.map_err(drop)?);
    let sent = futures_util::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"1\n")).await;
    sent.map_err(drop)?;
    sink.as_mut().finish().await.map(drop).map_err(drop)
}

/// The first to come is logged in and answered; the others, who want to cancel, are not.
async fn serve(listener: UnixListener, answers: &[u8]) -> io::Error {
    let (stream, _) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => return error,
    };
    let cancels = async {
        loop {
            match listener.accept().await {
                Ok((mut stream, _)) => drop(stream.read(&mut [0; 64]).await),
                Err(error) => return error,
            }
        }
    };
    tokio::select! {
        error = cancels => error,
        () = answer(stream, answers) => unreachable!("it stays until the client is done"),
    }
}

/// Sends one batch after each thing that is asked, and soon when nothing is.
async fn answer(mut stream: UnixStream, answers: &[u8]) {
    let mut answers = answers.iter().copied();
    let mut batch = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec();
    while !batch.is_empty() {
        let _ = timeout(Duration::from_millis(2), stream.read(&mut [0; 1024])).await;
        if stream.write_all(&batch).await.is_err() {
            break;
        }
        batch = next_batch(&mut answers);
    }
    // What is unread would make the end of the stream a reset.
    let _ = stream.shutdown().await;
    while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
    drop(stream);
    poll_fn(|_| Poll::Pending).await
}

/// Messages up to a ReadyForQuery, now and then with any bytes between.
fn next_batch(bytes: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut batch = Vec::new();
    while let Some(kind) = bytes.next() {
        let tags = b"ZRKSETDC123tnsIGHWNAdcVv";
        let tag = match kind & 31 {
            31 => bytes.next().unwrap_or(b'Z'),
            pick => tags[usize::from(pick) % tags.len()],
        };
        let body: Vec<u8> = match (tag, kind >> 6) {
            (b'Z', 0 | 1) => vec![[b'I', b'T'][usize::from(kind >> 6)]],
            (_, 0) => vec![],
            _ => {
                let length = bytes.next().unwrap_or(0) % 64;
                bytes.by_ref().take(length.into()).collect()
            }
        };
        if kind >> 6 < 3 {
            batch.push(tag);
            batch.extend((body.len() as u32 + 4).to_be_bytes());
        }
        batch.extend(body);
        if tag == b'Z' {
            break;
        }
    }
    batch
}
