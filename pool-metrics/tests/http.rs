//! The page over a real socket: what the pure decision about a request cannot show.

#![cfg(feature = "http")]

use std::io::{Read, Write};
use std::net::TcpStream;

use pool_metrics::{Endpoint, Registry};

fn ask(serving: &pool_metrics::Serving, header: &str) -> String {
    let mut stream = TcpStream::connect(serving.address()).expect("it listens");
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\n{header}\r\n").expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    response
}

#[test]
fn the_page_is_for_those_who_have_the_token() {
    let endpoint = Endpoint::loopback(0).token("right");
    let serving = endpoint.serve(Registry::new()).unwrap();
    assert!(serving.address().ip().is_loopback());
    assert!(ask(&serving, "").starts_with("HTTP/1.1 401 "));
    let page = ask(&serving, "authorization: Bearer right\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("\npool_metrics_dropped 0\n"));
}

#[test]
fn serving_stops_when_it_is_dropped_whichever_thread_is_woken_first() {
    for _ in 0..100 {
        let serving = Endpoint::loopback(0).serve(Registry::new()).unwrap();
        ask(&serving, "");
        let address = serving.address();
        drop(serving);
        assert!(TcpStream::connect(address).is_err());
    }
}
