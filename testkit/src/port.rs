//! Ports that stay ours while the server behind them is down.
//!
//! Binding port 0, reading the number and closing leaves a gap in which another process, or an
//! outgoing connection, is given the same number. A [`Port`] closes it twice: its number lies below
//! the range from which the kernel takes ports by itself, and processes of this repository exclude
//! each other by an abstract socket that the kernel frees with the process.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net;

/// A loopback TCP port reserved for this process until dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: net::UnixListener,
}

impl Port {
    /// Reserves a port on which nobody listens.
    ///
    /// # Errors
    ///
    /// When every port below the ephemeral range is taken.
    pub fn reserve() -> io::Result<Self> {
        let first_ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
            .ok()
            .and_then(|range| range.split_whitespace().next()?.parse().ok())
            .unwrap_or(EPHEMERAL);
        let end = if first_ephemeral > START + 1_000 {
            first_ephemeral
        } else {
            EPHEMERAL
        };
        let count = u64::from(end - START);
        let offset = RandomState::new().hash_one(()) % count;
        (0..count)
            .filter_map(|step| u16::try_from(u64::from(START) + (offset + step) % count).ok())
            .find_map(Self::claim)
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no free port on loopback"))
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    fn claim(number: u16) -> Option<Self> {
        let name = net::SocketAddr::from_abstract_name(format!("holdfast-port-{number}")).ok()?;
        let claim = net::UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, number))).ok()?;
        Some(Self {
            number,
            _claim: claim,
        })
    }
}

/// Above the well-known ports.
const START: u16 = 10_240;
/// Where Linux starts its ephemeral range unless told otherwise.
const EPHEMERAL: u16 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_not_claimed_twice() {
        let port = Port::reserve().unwrap();
        assert!(Port::claim(port.number()).is_none());
        let number = port.number();
        drop(port);
        assert!(Port::claim(number).is_some());
    }

    #[test]
    fn a_port_with_a_listener_is_not_claimed() {
        let port = Port::reserve().unwrap();
        let number = port.number();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        drop(port);
        assert!(Port::claim(number).is_none());
    }
}
