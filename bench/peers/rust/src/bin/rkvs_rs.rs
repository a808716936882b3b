//! The Rust crate `rkvs`. The only argument is the directory for its files. Beyond the commands of
//! `peers`:
//!
//! - `save`: `save_all`; seconds, and seconds until the file is synced too (the crate does not)
//! - `load`: `initialize` of a new store with the file; seconds, and the number of keys
//! - `resize SHARDS`: `resize_shards`; seconds
//! - `counts`: the number of keys of each shard

use peers::{serve, Error, Store};
use rkvs::namespace::{BatchMode, Namespace};
use rkvs::{NamespaceConfig, StorageManager};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FILE: &str = "peer.bin";

fn directory() -> PathBuf {
    std::env::args().nth(1).unwrap_or_else(|| ".".into()).into()
}

fn mode(all: bool) -> BatchMode {
    if all {
        BatchMode::AllOrNothing
    } else {
        BatchMode::BestEffort
    }
}

struct Rkvs {
    manager: Arc<StorageManager>,
    namespace: Arc<Namespace>,
}

impl Store for Rkvs {
    type Handle = Arc<Vec<u8>>;

    async fn new(shards: usize) -> Result<Self, Error> {
        let manager = StorageManager::builder().with_persistence(directory()).build().await?;
        manager.initialize(None).await?;
        // 0 = its default, which is 4.
        let config = (shards != 0).then(|| {
            let config = NamespaceConfig::default();
            config.set_shard_count(shards);
            config
        });
        manager.create_namespace("bench", config).await?;
        let namespace = manager.namespace("bench").await?;
        Ok(Rkvs { manager, namespace })
    }
    async fn get(&self, key: &str) -> Option<Self::Handle> {
        self.namespace.get(key).await
    }
    async fn copy(&self, key: &str) -> Option<Vec<u8>> {
        self.namespace.get(key).await.map(|value| value.to_vec())
    }
    async fn exists(&self, key: &str) -> bool {
        self.namespace.exists(key).await
    }
    async fn set(&self, key: &str, value: &[u8]) -> Option<Self::Handle> {
        self.namespace.set(key, value.to_vec()).await.expect("set")
    }
    async fn update(&self, key: &str, value: &[u8]) -> bool {
        self.namespace.update(key, value.to_vec()).await.is_ok()
    }
    async fn delete(&self, key: &str) -> bool {
        self.namespace.delete(key).await
    }
    async fn consume(&self, key: &str) -> Option<Self::Handle> {
        self.namespace.consume(key).await
    }
    async fn get_batch(&self, keys: Vec<String>, all: bool) -> usize {
        self.namespace.get_multiple(keys, mode(all)).await.total_processed
    }
    async fn set_batch(&self, keys: Vec<String>, value: &[u8], all: bool) -> usize {
        let items = keys.into_iter().map(|key| (key, value.to_vec())).collect();
        self.namespace.set_multiple(items, mode(all)).await.total_processed
    }
    async fn delete_batch(&self, keys: Vec<String>, all: bool) -> usize {
        self.namespace.delete_multiple(keys, mode(all)).await.total_processed
    }
    async fn consume_batch(&self, keys: Vec<String>, all: bool) -> usize {
        self.namespace.consume_multiple(keys, mode(all)).await.total_processed
    }

    async fn other(store: Option<&Arc<Self>>, words: &[&str]) -> Result<String, Error> {
        match *words {
            ["save"] => {
                let start = Instant::now();
                store.ok_or("nothing to save")?.manager.save_all(FILE).await?;
                let saved = start.elapsed();
                // save_all() drops its file without waiting for the last write.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let start = Instant::now();
                std::fs::File::open(directory().join(FILE))?.sync_all()?;
                Ok(format!("{} {}", saved.as_secs_f64(), (saved + start.elapsed()).as_secs_f64()))
            }
            ["load"] => {
                let start = Instant::now();
                let manager = StorageManager::builder().with_persistence(directory()).build().await?;
                manager.initialize(Some(FILE)).await?;
                let seconds = start.elapsed().as_secs_f64();
                Ok(format!("{seconds} {}", manager.get_total_key_count().await?))
            }
            ["resize", shards] => {
                let start = Instant::now();
                store.ok_or("nothing to resize")?.namespace.resize_shards(shards.parse()?).await?;
                Ok(start.elapsed().as_secs_f64().to_string())
            }
            ["counts"] => {
                let counts = store.ok_or("nothing")?.namespace.get_shard_key_counts().await;
                Ok(counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" "))
            }
            _ => Err("unknown command".into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve::<Rkvs>().await
}
