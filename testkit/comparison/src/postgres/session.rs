//! A session of tokio-postgres with what it has prepared, for the pools that bring no cache.

use std::collections::HashMap;

use tokio_postgres::{Client, Config, Error, NoTls, Statement};

/// A client and its statements.
pub(super) struct Session {
    pub(super) client: Client,
    prepared: HashMap<&'static str, Statement>,
}

impl Session {
    pub(super) async fn connect(config: &Config) -> Result<Self, Error> {
        let (client, driver) = config.connect(NoTls).await?;
        tokio::spawn(driver);
        Ok(Self {
            client,
            prepared: HashMap::new(),
        })
    }

    pub(super) async fn query(&mut self, sql: &'static str, id: i32) -> Result<i32, Error> {
        let statement = match self.prepared.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = self.client.prepare(sql).await?;
                self.prepared.insert(sql, statement.clone());
                statement
            }
        };
        self.client.query_one(&statement, &[&id]).await?.try_get(0)
    }
}
