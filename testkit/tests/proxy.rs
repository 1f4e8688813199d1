//! Each fault of the proxy, on loopback.

use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::time::Duration;

use testkit::kv::{Client, Server};
use testkit::proxy::{Admission, Direction, Fault, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn pass_changes_nothing_and_counts_bytes() {
    let (server, proxy) = rig().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.ping().await.unwrap();
    client.quit().await.unwrap();
    assert_eq!(server.counters().accepted, 1);
    let seen = proxy.counters();
    assert_eq!((seen.accepted, seen.up, seen.down), (1, 10, 9));
}

#[tokio::test]
async fn refuse_refuses_and_spares_the_living() {
    let (_server, proxy) = rig().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.ping().await.unwrap();
    proxy.admit(Admission::Refuse).await.unwrap();
    let error = Client::connect(proxy.address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    client.ping().await.unwrap();
    proxy.heal().await.unwrap();
    Client::connect(proxy.address())
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[tokio::test]
async fn hang_accepts_in_silence_and_goes_on_when_healed() {
    let (server, proxy) = rig().await;
    proxy.admit(Admission::Hang).await.unwrap();
    let mut client = Client::connect(proxy.address()).await.unwrap();
    let mut ping = Box::pin(client.ping());
    timeout(WHILE, &mut ping).await.unwrap_err();
    assert_eq!(server.counters().accepted, 0);
    proxy.heal().await.unwrap();
    ping.await.unwrap();
}

#[tokio::test]
async fn reset_on_arrival_resets() {
    let (server, proxy) = rig().await;
    proxy.admit(Admission::Reset).await.unwrap();
    // The reset may overtake the connect.
    if let Ok(mut client) = Client::connect(proxy.address()).await {
        client.ping().await.unwrap_err();
    }
    assert_eq!(server.counters().accepted, 0);
}

#[tokio::test]
async fn reset_all_resets_both_ends() {
    let (server, proxy) = rig().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.ping().await.unwrap();
    proxy.reset_all().await;
    assert!(matches!(
        client.ping().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    ));
    gone(&server).await;
}

#[tokio::test]
async fn a_black_hole_swallows_one_direction_and_gives_back_when_healed() {
    for direction in [Direction::Up, Direction::Down] {
        let (server, proxy) = rig().await;
        let mut client = Client::connect(proxy.address()).await.unwrap();
        client.ping().await.unwrap();
        proxy.set(direction, Fault::BlackHole);
        let mut ping = Box::pin(client.ping());
        timeout(WHILE, &mut ping).await.unwrap_err();
        let heard = if direction == Direction::Up { 1 } else { 2 };
        assert_eq!(server.counters().commands, heard, "{direction:?}");
        proxy.heal().await.unwrap();
        ping.await.unwrap();
    }
}

#[tokio::test]
async fn an_end_does_not_pass_a_black_hole() {
    let (server, proxy) = rig().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.ping().await.unwrap();
    proxy.set(Direction::Up, Fault::BlackHole);
    drop(client);
    timeout(WHILE, gone(&server)).await.unwrap_err();
    proxy.heal().await.unwrap();
    gone(&server).await;
}

// In paused time, which only the delays move: how busy the machine is does not matter.
#[tokio::test(start_paused = true)]
async fn delay_is_paid_once_by_bytes_in_flight_together() {
    let (_server, proxy) = rig().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let latency = Duration::from_millis(100);
    proxy.set(
        Direction::Up,
        Fault::Delay {
            latency,
            jitter: Duration::from_millis(10),
        },
    );
    let start = Instant::now();
    for _ in 0..20 {
        client.write_all(b"PING\n").await.unwrap();
        tokio::task::yield_now().await;
    }
    client.read_exact(&mut [0; 20 * 5]).await.unwrap();
    let took = start.elapsed();
    // One after the other they would take two seconds.
    assert!(took >= latency && took < latency * 10, "{took:?}");
}

#[tokio::test]
async fn throttle_bounds_the_rate() {
    let (_server, proxy) = rig().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.ping().await.unwrap();
    proxy.set(
        Direction::Down,
        Fault::Throttle {
            bytes_per_second: number(1_000),
        },
    );
    client.set("k", &"x".repeat(100)).await.unwrap();
    let start = Instant::now();
    client.get("k").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn drip_lets_one_byte_through_at_a_time_until_healed() {
    let (_server, proxy) = rig().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    proxy.set(
        Direction::Down,
        Fault::Drip {
            interval: Duration::from_millis(10),
        },
    );
    let start = Instant::now();
    client.ping().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
    proxy.set(
        Direction::Down,
        Fault::Drip {
            interval: Duration::from_secs(3_600),
        },
    );
    let mut ping = Box::pin(client.ping());
    timeout(WHILE, &mut ping).await.unwrap_err();
    proxy.heal().await.unwrap();
    ping.await.unwrap();
}

#[tokio::test]
async fn cut_after_delivers_so_many_bytes_and_resets() {
    let (server, proxy) = rig().await;
    proxy.set(Direction::Down, Fault::CutAfter { bytes: 7 });
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(b"PING\nPING\n").await.unwrap();
    let mut heard = Vec::new();
    let error = loop {
        let mut byte = [0];
        match client.read_exact(&mut byte).await {
            Ok(_) => heard.push(byte[0]),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // A reset may overtake what was sent before it.
    assert!(b"PONG\nPO".starts_with(&heard), "{heard:?}");
    assert_eq!(proxy.counters().down, 7);
    gone(&server).await;
}

#[tokio::test]
async fn corruption_is_repeated_by_its_seed() {
    let mut seen = Vec::new();
    for seed in [5, 5, 6] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap(), seed)
            .await
            .unwrap();
        proxy.set(Direction::Up, Fault::Corrupt { one_in: number(10) });
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut bytes = [0_u8; 4_000];
        client.write_all(&bytes).await.unwrap();
        server.read_exact(&mut bytes).await.unwrap();
        let changed = bytes.iter().filter(|byte| **byte != 0).count();
        assert!((300..500).contains(&changed), "{changed} of 4000");
        assert!(bytes.iter().all(|byte| byte.count_ones() <= 1));
        seen.push(bytes);
    }
    assert!(seen[0] == seen[1]);
    assert!(seen[1] != seen[2]);
}

#[tokio::test]
async fn half_close_ends_one_direction_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), 0)
        .await
        .unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.set(Direction::Down, Fault::HalfClose);
    assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 0);
    client.write_all(b"still here").await.unwrap();
    let mut heard = [0; 10];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still here");
}

#[tokio::test]
async fn strand_silences_those_who_are_there_for_ever_and_nobody_else() {
    let (server, proxy) = rig().await;
    let mut old = Client::connect(proxy.address()).await.unwrap();
    old.ping().await.unwrap();
    proxy.strand();
    let mut new = Client::connect(proxy.address()).await.unwrap();
    new.ping().await.unwrap();
    assert!(timeout(WHILE, old.ping()).await.is_err());
    proxy.heal().await.unwrap();
    assert!(timeout(WHILE, old.ping()).await.is_err());
    new.ping().await.unwrap();
    proxy.reset_all().await;
    gone(&server).await;
}

#[tokio::test]
async fn redirect_leads_new_connections_elsewhere() {
    let (first, proxy) = rig().await;
    let second = Server::start().await.unwrap();
    let mut old = Client::connect(proxy.address()).await.unwrap();
    old.ping().await.unwrap();
    proxy.redirect(second.address());
    Client::connect(proxy.address())
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
    old.ping().await.unwrap();
    assert_eq!(
        (first.counters().accepted, second.counters().accepted),
        (1, 1)
    );
}

/// Long enough for anything on loopback that is going to happen.
const WHILE: Duration = Duration::from_millis(100);

async fn rig() -> (Server, Proxy) {
    let server = Server::start().await.expect("loopback has ports");
    let proxy = Proxy::start(server.address(), 1)
        .await
        .expect("loopback has ports");
    (server, proxy)
}

async fn gone(server: &Server) {
    while server.counters().live > 0 {
        tokio::task::yield_now().await;
    }
}

fn number(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).expect("no test asks for 0")
}
