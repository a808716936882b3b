//! The Rust crate `rkvs` as a process that save_bench starts and tells what to do.
//!
//! One command a line on standard input, one answer a line on standard output:
//!
//! - `fill COUNT VALUE_SIZE`: a new store with that many keys, default configuration; `ok`
//! - `save`: `save_all`; seconds, and seconds until the file is synced too (the crate does not)
//! - `drop`: the store goes, the file stays; `ok`
//! - `load`: `initialize` of a new store with the file; seconds, and the number of keys
//!
//! The only argument is the directory.

use rkvs::StorageManager;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Error = Box<dyn std::error::Error>;

const FILE: &str = "peer.bin";

/// Inserts in an order that has nothing to do with the keys', as the other side does.
async fn fill(directory: &Path, count: u64, size: usize) -> Result<Arc<StorageManager>, Error> {
    let store = StorageManager::builder().with_persistence(directory.into()).build().await?;
    store.initialize(None).await?;
    store.create_namespace("bench", None).await?;
    let namespace = store.namespace("bench").await?;
    // A step without a common divisor with the count comes by every key once.
    let mut step = (count as f64 * 0.618) as u64 | 1;
    while gcd(step, count) != 1 {
        step += 2;
    }
    let mut i = 0;
    for _ in 0..count {
        namespace.set(&format!("key_{i:010}"), vec![b'v'; size]).await?;
        i = (i + step) % count;
    }
    Ok(store)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

async fn save(store: &StorageManager, directory: &Path) -> Result<(f64, f64), Error> {
    let start = Instant::now();
    store.save_all(FILE).await?;
    let saved = start.elapsed();
    // save_all() drops its file without waiting for the last write.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    std::fs::File::open(directory.join(FILE))?.sync_all()?;
    Ok((saved.as_secs_f64(), (saved + start.elapsed()).as_secs_f64()))
}

async fn load(directory: &Path) -> Result<(f64, usize), Error> {
    let start = Instant::now();
    let store = StorageManager::builder().with_persistence(directory.into()).build().await?;
    store.initialize(Some(FILE)).await?;
    let seconds = start.elapsed().as_secs_f64();
    Ok((seconds, store.get_total_key_count().await?))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: rkvs_rs DIRECTORY")?);
    let mut store = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["fill", count, size] => {
                drop(store.take());
                store = Some(fill(&directory, count.parse()?, size.parse()?).await?);
                "ok".to_string()
            }
            ["save"] => {
                let store = store.as_deref().ok_or("nothing to save")?;
                let (saved, synced) = save(store, &directory).await?;
                format!("{saved} {synced}")
            }
            ["drop"] => {
                store = None;
                "ok".to_string()
            }
            ["load"] => {
                let (seconds, keys) = load(&directory).await?;
                format!("{seconds} {keys}")
            }
            _ => return Err("unknown command".into()),
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
