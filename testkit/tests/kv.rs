//! The key-value server and its client.

use std::io::ErrorKind;
use std::time::Duration;

use testkit::kv::{Client, Counters, Server};
use tokio::time::Instant;

#[tokio::test]
async fn commands_are_answered_and_counted() {
    let server = Server::start().await.unwrap();
    let mut client = Client::connect(server.address()).await.unwrap();
    assert_eq!(client.get("k").await.unwrap(), None);
    client.set("k", "a b").await.unwrap();
    assert_eq!(client.get("k").await.unwrap().as_deref(), Some("a b"));
    assert_eq!(client.echo(u64::MAX).await.unwrap(), u64::MAX);
    client.ping().await.unwrap();
    client.sleep(Duration::from_millis(1)).await.unwrap();
    assert_eq!(
        server.counters(),
        Counters {
            accepted: 1,
            live: 1,
            max_live: 1,
            commands: 6
        }
    );
    client.quit().await.unwrap();
    while server.counters().live > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.counters(),
        Counters {
            accepted: 1,
            live: 0,
            max_live: 1,
            commands: 7
        }
    );
}

#[tokio::test]
async fn killed_connections_are_gone_when_the_call_returns() {
    let server = Server::start().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(server.address()).await.unwrap();
        client.ping().await.unwrap();
        clients.push(client);
    }
    assert_eq!(server.counters().live, 3);
    server.kill_all().await;
    assert_eq!(
        server.counters(),
        Counters {
            accepted: 3,
            live: 0,
            max_live: 3,
            commands: 3
        }
    );
    for client in &mut clients {
        assert!(client.ping().await.is_err());
        assert!(client.is_broken());
    }
    Client::connect(server.address())
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refusing_server_keeps_what_it_has_and_comes_back_on_its_port() {
    let server = Server::start().await.unwrap();
    let mut client = Client::connect(server.address()).await.unwrap();
    client.ping().await.unwrap();
    server.refuse().await;
    let error = Client::connect(server.address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    client.ping().await.unwrap();
    server.accept().await.unwrap();
    server.accept().await.unwrap();
    Client::connect(server.address())
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_slow_server_answers_late() {
    let server = Server::start().await.unwrap();
    let mut client = Client::connect(server.address()).await.unwrap();
    server.slow(Duration::from_millis(30));
    let start = Instant::now();
    client.ping().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn an_abandoned_command_breaks_the_connection() {
    let server = Server::start().await.unwrap();
    let mut client = Client::connect(server.address()).await.unwrap();
    client.ping().await.unwrap();
    assert!(!client.is_broken());
    // Polled once: the server has no turn before the command is given up.
    tokio::select! {
        biased;
        _ = client.sleep(Duration::from_millis(1)) => panic!("answered by nobody"),
        () = std::future::ready(()) => {}
    }
    assert!(client.is_broken());
    // And rightly so: the late reply reaches the wrong caller.
    assert_eq!(
        client.echo(1).await.unwrap_err().kind(),
        ErrorKind::InvalidData
    );
}

#[tokio::test]
async fn a_connection_closed_by_the_server_is_seen_without_a_round_trip() {
    let server = Server::start().await.unwrap();
    let mut client = Client::connect(server.address()).await.unwrap();
    client.ping().await.unwrap();
    server.kill_all().await;
    while !client.is_broken() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn work_is_done_on_so_many_lanes() {
    let server = Server::start().await.unwrap();
    let time = Duration::from_millis(20);
    server.work(2, time);
    let started = Instant::now();
    let mut echoes = tokio::task::JoinSet::new();
    for id in 0..6 {
        let mut client = Client::connect(server.address()).await.unwrap();
        echoes.spawn(async move { assert_eq!(client.echo(id).await.unwrap(), id) });
    }
    echoes.join_all().await;
    assert!(started.elapsed() >= 3 * time, "{:?}", started.elapsed());
}
