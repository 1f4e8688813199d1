//! What does the pool cost on a real PostgreSQL?
//!
//! Point queries by primary key, prepared once for each connection. The floor is what can be had
//! without a pool's promises: a semaphore, a stack and the driver. All contenders run in each round,
//! in rotated order, on the same server; the median and range over the rounds are shown, and the
//! ratio is taken within each round. The server is the wheel's PostgreSQL 18, and shares the machine.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures wall-clock time"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pool_postgres::tokio_postgres::{Client, Config, NoTls, Statement};
use pool_postgres::{PgManager, Pool};
use testkit::postgres::{Cluster, Version};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SQL: &str = "SELECT n FROM point WHERE id = $1";
const ROWS: i32 = 1000;
const SIZES: [usize; 3] = [2, 4, 8];
const TASKS: usize = 32;

/// What answers point queries.
#[derive(Clone)]
enum Contender {
    Floor(Arc<Floor>),
    Ours(Pool),
}

/// A semaphore and a stack.
struct Floor {
    permits: Semaphore,
    idle: Mutex<Vec<(Client, Statement)>>,
}

impl Contender {
    async fn query(&self, id: i32) -> i32 {
        match self {
            Self::Floor(floor) => {
                let permit = floor.permits.acquire().await.unwrap();
                let (client, statement) = floor.idle.lock().unwrap().pop().unwrap();
                let row = client.query_one(&statement, &[&id]).await.unwrap();
                floor.idle.lock().unwrap().push((client, statement));
                drop(permit);
                row.get(0)
            }
            Self::Ours(pool) => {
                let connection = pool.get().await.unwrap();
                let statement = connection.prepare_cached(SQL).await.unwrap();
                let row = connection.query_one(&statement, &[&id]).await.unwrap();
                row.get(0)
            }
        }
    }

    /// Queries in a second, with many tasks.
    async fn throughput(&self, span: Duration) -> f64 {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let this = self.clone();
            tasks.spawn(async move {
                let mut done = 0_u32;
                let mut id = i32::try_from(task).unwrap();
                while start.elapsed() < span {
                    id = (id * 31 + 7) % ROWS;
                    assert_eq!(this.query(id).await, id);
                    done += 1;
                }
                done
            });
        }
        let mut done = 0.0;
        while let Some(count) = tasks.join_next().await {
            done += f64::from(count.unwrap());
        }
        done / start.elapsed().as_secs_f64()
    }

    /// The median time of one query with one task, in microseconds.
    async fn median(&self, span: Duration) -> f64 {
        let this = self.clone();
        let measure = async move {
            let start = Instant::now();
            let mut times = Vec::new();
            while start.elapsed() < span {
                let begin = Instant::now();
                this.query(7).await;
                times.push(begin.elapsed().as_secs_f64() * 1e6);
            }
            middle(times).1
        };
        tokio::spawn(measure).await.unwrap()
    }
}

async fn floor(cluster: &Cluster, size: usize) -> Contender {
    let mut idle = Vec::new();
    for _ in 0..size {
        let stream = TcpStream::connect((cluster.host(), cluster.port()))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let mut config = Config::new();
        config.user(cluster.user()).dbname(cluster.database());
        let (client, driver) = config.connect_raw(stream, NoTls).await.unwrap();
        tokio::spawn(driver);
        let statement = client.prepare(SQL).await.unwrap();
        idle.push((client, statement));
    }
    Contender::Floor(Arc::new(Floor {
        permits: Semaphore::new(size),
        idle: Mutex::new(idle),
    }))
}

async fn ours(cluster: &Cluster, size: usize) -> Contender {
    let manager = PgManager::from_url(&cluster.url()).unwrap();
    let pool = Pool::builder(manager)
        .max_size(size)
        .min_idle(size)
        .build()
        .unwrap();
    pool.warm().await.unwrap();
    Contender::Ours(pool)
}

/// The least, the middle and the greatest.
fn middle(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    )
}

fn main() {
    // `cargo test --benches` only wants to see it run.
    let full = std::env::args().any(|argument| argument == "--bench");
    let (rounds, span) = if full { (61, 150) } else { (1, 20) };
    let span = Duration::from_millis(span);
    let cluster = Cluster::builder().version(Version::Wheel).start().unwrap();
    cluster
        .sql(&format!(
            "CREATE TABLE point AS SELECT i AS id, i AS n FROM generate_series(0, {ROWS}) i; \
             ALTER TABLE point ADD PRIMARY KEY (id); GRANT ALL ON point TO app; ANALYZE point"
        ))
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        println!("{TASKS} tasks, {rounds} rounds of {span:?}; median (range)");
        for size in SIZES {
            let contenders = [floor(&cluster, size).await, ours(&cluster, size).await];
            compare(&contenders, rounds, size, "queries/s", span, true).await;
        }
        println!("one task; time of one query");
        let contenders = [floor(&cluster, 1).await, ours(&cluster, 1).await];
        compare(&contenders, rounds, 1, "us", span, false).await;
    });
}

async fn compare(
    contenders: &[Contender; 2],
    rounds: usize,
    size: usize,
    unit: &str,
    span: Duration,
    throughput: bool,
) {
    let mut results = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let contender = &contenders[which];
            results[which].push(if throughput {
                contender.throughput(span).await
            } else {
                contender.median(span).await
            });
        }
    }
    let pairs = results[0].iter().zip(&results[1]);
    let ratio = middle(pairs.map(|(floor, ours)| ours / floor).collect());
    let [floor, ours] = results.map(middle);
    println!(
        "size {size}: floor {:.1} ({:.1} to {:.1}) {unit}, ours {:.1} ({:.1} to {:.1}) {unit}, \
         ratio {:.3} ({:.3} to {:.3})",
        floor.1, floor.0, floor.2, ours.1, ours.0, ours.2, ratio.1, ratio.0, ratio.2
    );
}
