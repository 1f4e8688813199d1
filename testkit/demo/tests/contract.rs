//! The demo, too short to watch.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use demo::{Act, Backend, Embedded, KvManager, Postgres, Report, Screen, Script, Sessions, show};
use pool_facade::pool_core::{Abandoned, ConnectContext, Manager};
use testkit::kv::Client;
use testkit::postgres::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept_on_the_embedded_servers() {
    let (report, shown) = run(Embedded::start().await.unwrap()).await;
    assert!(report.kept(), "{shown}");
    assert!(shown.contains("The contract was kept."), "{shown}");
    // Every kind of trouble was there, so each promise was put to the test.
    let users = report.evidence.users;
    for happened in [users.answered, users.refused, users.unserved, users.late] {
        assert_ne!(happened, 0, "{users:?}");
    }
    for act in [Act::Failing, Act::Gone] {
        let (_, it) = report.acts.iter().find(|(it, _)| *it == act).unwrap();
        assert!(it.nodes.iter().any(|node| node.connects > 0), "{shown}");
    }
    // What is shown is plain and fits its page.
    assert!(!shown.contains('\x1b'));
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept_on_a_postgres_of_ours_and_of_others() {
    let (report, shown) = run(Postgres::start().await.unwrap()).await;
    assert!(report.kept(), "{shown}");

    let cluster = tokio::task::spawn_blocking(Cluster::launch);
    let cluster = cluster.await.unwrap().unwrap();
    let (report, shown) = run(Postgres::at(&cluster.url()).await.unwrap()).await;
    assert!(report.kept(), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_lends_on_what_was_left_midway_breaks_the_contract() {
    let (report, shown) = run(Careless(Embedded::start().await.unwrap())).await;
    assert!(!report.kept(), "{shown}");
    assert_ne!(report.evidence.users.wrong, 0, "{shown}");
    assert!(shown.contains("BROKEN  no reply went"), "{shown}");
    assert!(shown.contains("The contract was broken."), "{shown}");
}

async fn run<B: Backend>(backend: B) -> (Report, String) {
    let shown = Shown::default();
    let mut screen = Screen::plain(shown.clone());
    let report = show(backend, Script::brief(), &mut screen)
        .await
        .expect("the servers can be reached");
    screen.verdict(&report).expect("memory takes all");
    let shown = String::from_utf8_lossy(&shown.bytes()).into_owned();
    (report, shown)
}

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("writing does not panic")
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The embedded servers behind a manager that does not care in what state connections come back.
struct Careless(Embedded);

impl Backend for Careless {
    type Manager = CarelessManager;

    fn name(&self) -> String {
        self.0.name()
    }

    fn nodes(&self) -> Vec<(String, SocketAddr)> {
        self.0.nodes()
    }

    fn manager(&self, node: usize, proxy: SocketAddr) -> io::Result<CarelessManager> {
        self.0.manager(node, proxy).map(CarelessManager)
    }

    fn set_lanes(&self, lanes: usize) {
        self.0.set_lanes(lanes);
    }

    async fn echo(&self, connection: &mut Marked, id: u64) -> io::Result<u64> {
        let reply = self.0.echo(&mut connection.client, id).await;
        connection.lost = reply.is_err();
        reply
    }

    async fn sessions(&self) -> io::Result<Sessions> {
        self.0.sessions().await
    }
}

struct CarelessManager(KvManager);

/// Knows that it is lost once somebody has found out, and never that a reply is outstanding.
struct Marked {
    client: Client,
    lost: bool,
}

impl Manager for CarelessManager {
    type Connection = Marked;
    type Error = io::Error;

    async fn connect(&self, context: ConnectContext) -> io::Result<Marked> {
        let client = self.0.connect(context).await?;
        Ok(Marked {
            client,
            lost: false,
        })
    }

    fn has_broken(&self, connection: &mut Marked) -> bool {
        connection.lost
    }

    fn on_abandoned(&self) -> Abandoned {
        Abandoned::Keep
    }
}
