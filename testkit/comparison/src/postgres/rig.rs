//! The server, its data, and the runtime of its clients.

use std::io;

use testkit::postgres::{Cluster, Version};
use tokio::runtime::Runtime;
use tokio_postgres::Config;

use crate::work::crowd::two_threads;

/// A cluster of our own, with the tables of the workloads.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
}

impl Rig {
    /// PostgreSQL 18 with pgvector, with room for so many connections.
    pub(crate) fn start(connections: u32) -> io::Result<Self> {
        let cluster = Cluster::builder()
            .version(Version::Wheel)
            .max_connections(connections)
            .setting("shared_buffers", "128MB")
            .start()?;
        cluster.sql(&format!(
            "CREATE TABLE point AS SELECT i AS id, i AS n FROM generate_series(0, {POINTS}) i; \
             ALTER TABLE point ADD PRIMARY KEY (id); GRANT ALL ON point TO app; ANALYZE point"
        ))?;
        Ok(Self { cluster })
    }

    /// Vectors to search, as long as those of small language models, and an index that makes each
    /// search work for its answer: some milliseconds, so that fifty at once on two cores hold their
    /// connections for 50 to 200 ms. So few rows the planner would rather read one by one.
    pub(crate) fn vectors(&self) -> io::Result<()> {
        let vector = format!(
            "(SELECT array_agg(random() + 0 * (i + j)) \
             FROM generate_series(1, {DIMENSIONS}) j)::vector({DIMENSIONS})"
        );
        self.cluster.sql(&format!(
            "CREATE EXTENSION IF NOT EXISTS vector; SELECT setseed(0.5); \
             CREATE TABLE item AS SELECT i AS id, {vector} AS v \
             FROM generate_series(0, {ITEMS}) i; \
             ALTER TABLE item ADD PRIMARY KEY (id); \
             CREATE INDEX ON item USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32); \
             GRANT ALL ON item TO app; ANALYZE item; \
             ALTER ROLE app SET hnsw.ef_search = 1000; \
             ALTER ROLE app SET enable_seqscan = off"
        ))?;
        Ok(())
    }

    /// How tokio-postgres finds the server.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host(self.cluster.host())
            .port(self.cluster.port())
            .user(self.cluster.user())
            .dbname(self.cluster.database());
        config
    }
}

/// Two threads, as the cores that clients and server share.
pub(crate) fn runtime() -> Runtime {
    two_threads()
}

/// A point query: gives its parameter back.
pub(crate) const POINT: &str = "SELECT n FROM point WHERE id = $1";

/// A search for the nearest neighbours of an item; the nearest is the item itself.
pub(crate) const SEARCH: &str =
    "SELECT id FROM item ORDER BY v <-> (SELECT v FROM item WHERE id = $1) LIMIT 1";

pub(crate) const POINTS: i32 = 1_000;
const ITEMS: i32 = 10_000;
const DIMENSIONS: i32 = 384;
