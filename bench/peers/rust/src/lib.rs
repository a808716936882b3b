//! What the peers in Rust share: the commands that the benchmarks send.
//!
//! One command a line on standard input, one answer a line on standard output. Keys are
//! `key_0000000000` and so on, asked for in one random order; values are the letter v, so many
//! times. Answers of measurements are nanoseconds an operation, of all tasks together; where SAMPLED
//! is 1, those of single calls follow (of `mix`: each 16th). OP: get, copy, miss, exists, set,
//! update, insert, delete, consume. What changes which keys there are puts things back, unmeasured.
//!
//! - `fill KEYS VALUE_SIZE [SHARDS]`: a new store with these keys; `ok`
//! - `run OP FIRST COUNT SAMPLED`: COUNT calls, from the place FIRST of the order
//! - `batch OP SIZE ALL_OR_NOTHING FIRST COUNT SAMPLED`: COUNT keys in batches of SIZE
//! - `mix TASKS READ_PERCENT ZIPF COUNT SEED SAMPLED`: COUNT reads and overwrites in each task
//! - `batch_mix TASKS OP SIZE ALL_OR_NOTHING COUNT SAMPLED`: COUNT keys in batches in each task,
//!   which has keys of its own; every other batch of a delete or consume is a set that puts back what
//!   the one before removed
//! - `memory KEYS VALUE_SIZE SHARDS`: in a process that did nothing else; the bytes that resident
//!   memory grows by while a store is filled
//!
//! What else a peer understands is in its own file.

use std::fmt::Write as _;
use std::future::Future;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;

pub type Error = Box<dyn std::error::Error>;

/// A store under test. All functions may be called by several tasks at a time.
pub trait Store: Send + Sync + Sized + 'static {
    type Handle: Send + Default;
    fn new(shards: usize) -> impl Future<Output = Result<Self, Error>> + Send;
    fn get(&self, key: &str) -> impl Future<Output = Option<Self::Handle>> + Send;
    fn copy(&self, key: &str) -> impl Future<Output = Option<Vec<u8>>> + Send;
    fn exists(&self, key: &str) -> impl Future<Output = bool> + Send;
    fn set(&self, key: &str, value: &[u8]) -> impl Future<Output = Option<Self::Handle>> + Send;
    fn update(&self, key: &str, value: &[u8]) -> impl Future<Output = bool> + Send;
    fn delete(&self, key: &str) -> impl Future<Output = bool> + Send;
    fn consume(&self, key: &str) -> impl Future<Output = Option<Self::Handle>> + Send;
    /// Each: how many items were done.
    fn get_batch(&self, keys: Vec<String>, all: bool) -> impl Future<Output = usize> + Send;
    fn set_batch(
        &self,
        keys: Vec<String>,
        value: &[u8],
        all: bool,
    ) -> impl Future<Output = usize> + Send;
    fn delete_batch(&self, keys: Vec<String>, all: bool) -> impl Future<Output = usize> + Send;
    fn consume_batch(&self, keys: Vec<String>, all: bool) -> impl Future<Output = usize> + Send;
    /// A command that only this peer knows.
    fn other(
        store: Option<&Arc<Self>>,
        words: &[&str],
    ) -> impl Future<Output = Result<String, Error>>;
}

/// George Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

pub fn random_order(count: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    let mut order: Vec<u32> = (0..count as u32).collect();
    for i in (1..count).rev() {
        order.swap(i, (random.next() >> 16) as usize % (i + 1));
    }
    order
}

/// As in bench/workload.h.
fn zipf_order(count: usize, length: usize) -> Vec<u32> {
    const THETA: f64 = 0.99;
    let n = count as f64;
    let zeta: f64 = (1..=count).map(|i| (1.0 / i as f64).powf(THETA)).sum();
    let zeta_2 = 1.0 + 0.5f64.powf(THETA);
    let eta = (1.0 - (2.0 / n).powf(1.0 - THETA)) / (1.0 - zeta_2 / zeta);
    let place = random_order(count, 7);
    let mut random = Random::new(8);
    (0..length)
        .map(|_| {
            let u = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
            let rank = if u * zeta < 1.0 {
                0
            } else if u * zeta < zeta_2 {
                1
            } else {
                (n * (eta * u - eta + 1.0).powf(1.0 / (1.0 - THETA))) as usize
            };
            place[rank.min(count - 1)]
        })
        .collect()
}

struct Filled<S> {
    store: Arc<S>,
    keys: Arc<Vec<String>>,
    absent: Vec<String>,
    uniform: Arc<Vec<u32>>,
    zipf: Option<Arc<Vec<u32>>>,
    value: Arc<Vec<u8>>,
}

impl<S: Store> Filled<S> {
    async fn new(count: usize, size: usize, shards: usize) -> Result<Self, Error> {
        let result = Filled {
            store: Arc::new(S::new(shards).await?),
            keys: Arc::new((0..count).map(|i| format!("key_{i:010}")).collect()),
            absent: (0..count).map(|i| format!("no__{i:010}")).collect(),
            uniform: Arc::new(random_order(count, 2)),
            zipf: None,
            value: Arc::new(vec![b'v'; size]),
        };
        for i in random_order(count, 1) {
            result.store.set(&result.keys[i as usize], &result.value).await;
        }
        Ok(result)
    }
    fn place(&self, i: usize) -> usize {
        self.uniform[i % self.uniform.len()] as usize
    }

    async fn one(&self, op: &str, i: usize) -> Result<(), Error> {
        let key = self.keys[self.place(i)].as_str();
        let right = match op {
            "get" => self.store.get(key).await.is_some(),
            "copy" => self.store.copy(key).await.is_some(),
            "miss" => self.store.get(&self.absent[self.place(i)]).await.is_none(),
            "exists" => self.store.exists(key).await,
            "set" => self.store.set(key, &self.value).await.is_some(),
            "update" => self.store.update(key, &self.value).await,
            "insert" => self.store.set(key, &self.value).await.is_none(),
            "delete" => self.store.delete(key).await,
            "consume" => self.store.consume(key).await.is_some(),
            _ => return Err("unknown operation".into()),
        };
        right.then_some(()).ok_or_else(|| "the store gave a wrong answer".into())
    }

    /// The string of the operation is looked at in each call: some 2 ns, which all pay.
    async fn run(&self, op: &str, first: usize, count: usize, sampled: bool) -> Result<String, Error> {
        let step = match op {
            "insert" | "delete" | "consume" => count.min(self.keys.len() / 2).max(1),
            _ => count,
        };
        let mut samples = String::new();
        let mut seconds = 0.0;
        let mut done = 0;
        while done < count {
            let from = first + done;
            if op == "insert" {
                for i in from..from + step {
                    self.one("delete", i).await?;
                }
            }
            let start = Instant::now();
            if sampled {
                for i in from..from + step {
                    let before = Instant::now();
                    self.one(op, i).await?;
                    write!(samples, " {}", before.elapsed().as_nanos())?;
                }
            } else {
                for i in from..from + step {
                    self.one(op, i).await?;
                }
            }
            seconds += start.elapsed().as_secs_f64();
            if op == "delete" || op == "consume" {
                for i in from..from + step {
                    self.one("insert", i).await?;
                }
            }
            done += step;
        }
        Ok(format!("{}{samples}", seconds * 1e9 / done as f64))
    }

    async fn batch(
        &self,
        op: &str,
        size: usize,
        all: bool,
        first: usize,
        count: usize,
        sampled: bool,
    ) -> Result<String, Error> {
        let batches = (count / size).max(1);
        let mut samples = String::new();
        let mut seconds = 0.0;
        for b in 0..batches {
            let from = first + b * size;
            let start = Instant::now();
            let keys: Vec<String> =
                (from..from + size).map(|i| self.keys[self.place(i)].clone()).collect();
            let done = do_batch(&*self.store, op, keys, &self.value, all).await;
            let took = start.elapsed();
            if done != Some(size) {
                return Err("a batch failed".into());
            }
            seconds += took.as_secs_f64();
            if sampled {
                write!(samples, " {}", took.as_nanos())?;
            }
            if op == "delete" || op == "consume" {
                for i in from..from + size {
                    self.one("insert", i).await?;
                }
            }
        }
        Ok(format!("{}{samples}", seconds * 1e9 / (batches * size) as f64))
    }

    async fn mix(
        &mut self,
        tasks: usize,
        reads: u64,
        zipf: bool,
        count: usize,
        seed: u64,
        sampled: bool,
    ) -> Result<String, Error> {
        let order = if zipf {
            let length = 1 << 20;
            self.zipf.get_or_insert_with(|| Arc::new(zipf_order(self.keys.len(), length))).clone()
        } else {
            self.uniform.clone()
        };
        let ready = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for t in 0..tasks {
            let (store, keys, value) = (self.store.clone(), self.keys.clone(), self.value.clone());
            let (order, ready, go) = (order.clone(), ready.clone(), go.clone());
            workers.push(tokio::spawn(async move {
                let mut random = Random::new(seed * 131 + t as u64);
                let mut at = (random.next() >> 20) as usize % order.len();
                let mut taken = Vec::with_capacity(if sampled { count / 16 + 1 } else { 0 });
                ready.fetch_add(1, Ordering::Relaxed);
                while !go.load(Ordering::Acquire) {
                    tokio::task::yield_now().await;
                }
                for i in 0..count {
                    let read = (random.next() >> 32) % 100 < reads;
                    let key = &keys[order[at] as usize];
                    at = if at + 1 == order.len() { 0 } else { at + 1 };
                    let start = (sampled && i % 16 == 0).then(Instant::now);
                    if read {
                        assert!(store.get(key).await.is_some());
                    } else {
                        store.set(key, &value).await;
                    }
                    if let Some(start) = start {
                        taken.push(start.elapsed().as_nanos() as u64);
                    }
                }
                taken
            }));
        }
        while ready.load(Ordering::Relaxed) != tasks {
            tokio::task::yield_now().await;
        }
        let start = Instant::now();
        go.store(true, Ordering::Release);
        let mut samples = String::new();
        let mut all = Vec::new();
        for worker in workers {
            all.push(worker.await?);
        }
        let seconds = start.elapsed().as_secs_f64();
        for ns in all.into_iter().flatten() {
            write!(samples, " {ns}")?;
        }
        Ok(format!("{}{samples}", seconds * 1e9 / (tasks * count) as f64))
    }
}

async fn do_batch<S: Store>(
    store: &S,
    op: &str,
    keys: Vec<String>,
    value: &[u8],
    all: bool,
) -> Option<usize> {
    Some(match op {
        "get" => store.get_batch(keys, all).await,
        "set" => store.set_batch(keys, value, all).await,
        "delete" => store.delete_batch(keys, all).await,
        "consume" => store.consume_batch(keys, all).await,
        _ => return None,
    })
}

impl<S: Store> Filled<S> {
    async fn batch_mix(
        &self,
        tasks: usize,
        op: &str,
        size: usize,
        all: bool,
        count: usize,
        sampled: bool,
    ) -> Result<String, Error> {
        // An even number, so that what was removed is there again.
        let batches = (count / size / 2 * 2).max(2);
        let share = (self.keys.len() / tasks).max(size);
        let ready = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for t in 0..tasks {
            let (store, keys, value) = (self.store.clone(), self.keys.clone(), self.value.clone());
            let (order, ready, go) = (self.uniform.clone(), ready.clone(), go.clone());
            let op = op.to_string();
            workers.push(tokio::spawn(async move {
                let removes = op == "delete" || op == "consume";
                let mut taken = Vec::with_capacity(batches);
                ready.fetch_add(1, Ordering::Relaxed);
                while !go.load(Ordering::Acquire) {
                    tokio::task::yield_now().await;
                }
                for b in 0..batches {
                    let sets_back = removes && b % 2 != 0;
                    let place = if sets_back { b - 1 } else { b };
                    let from = t * share + place * size % (share - size + 1);
                    let start = Instant::now();
                    let list: Vec<String> = (from..from + size)
                        .map(|i| keys[order[i % order.len()] as usize].clone())
                        .collect();
                    let op = if sets_back { "set" } else { op.as_str() };
                    let done = do_batch(&*store, op, list, &value, all).await;
                    taken.push(start.elapsed().as_nanos() as u64);
                    assert_eq!(done, Some(size));
                }
                taken
            }));
        }
        while ready.load(Ordering::Relaxed) != tasks {
            tokio::task::yield_now().await;
        }
        let start = Instant::now();
        go.store(true, Ordering::Release);
        let mut all_taken = Vec::new();
        for worker in workers {
            all_taken.push(worker.await?);
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut samples = String::new();
        if sampled {
            for ns in all_taken.into_iter().flatten() {
                write!(samples, " {ns}")?;
            }
        }
        Ok(format!("{}{samples}", seconds * 1e9 / (tasks * batches * size) as f64))
    }
}

fn resident_bytes() -> Result<usize, Error> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = text.split(' ').nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * 4096)
}

async fn memory<S: Store>(count: usize, size: usize, shards: usize) -> Result<String, Error> {
    let store = S::new(shards).await?;
    let value = vec![b'v'; size];
    let mut step = (count as f64 * 0.618) as usize | 1;
    while gcd(step, count) != 1 {
        step += 2;
    }
    let before = resident_bytes()?;
    let mut i = 0;
    for _ in 0..count {
        store.set(&format!("key_{i:010}"), &value).await;
        i = (i + step) % count;
    }
    Ok((resident_bytes()? - before).to_string())
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

/// Does what standard input says until it ends.
pub async fn serve<S: Store>() -> Result<(), Error> {
    let mut filled: Option<Filled<S>> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let none = "nothing is filled";
        let answer = match words[..] {
            ["fill", count, size, ref shards @ ..] => {
                drop(filled.take());
                let shards = shards.first().unwrap_or(&"0").parse()?;
                filled = Some(Filled::new(count.parse()?, size.parse()?, shards).await?);
                "ok".to_string()
            }
            ["run", op, first, count, sampled] => {
                let filled = filled.as_ref().ok_or(none)?;
                filled.run(op, first.parse()?, count.parse()?, sampled == "1").await?
            }
            ["batch", op, size, all, first, count, sampled] => {
                let filled = filled.as_ref().ok_or(none)?;
                let (size, first, count) = (size.parse()?, first.parse()?, count.parse()?);
                filled.batch(op, size, all == "1", first, count, sampled == "1").await?
            }
            ["mix", tasks, reads, zipf, count, seed, sampled] => {
                let filled = filled.as_mut().ok_or(none)?;
                let (tasks, reads, count) = (tasks.parse()?, reads.parse()?, count.parse()?);
                filled.mix(tasks, reads, zipf == "1", count, seed.parse()?, sampled == "1").await?
            }
            ["batch_mix", tasks, op, size, all, count, sampled] => {
                let filled = filled.as_ref().ok_or(none)?;
                let (tasks, size, count) = (tasks.parse()?, size.parse()?, count.parse()?);
                filled.batch_mix(tasks, op, size, all == "1", count, sampled == "1").await?
            }
            ["memory", count, size, shards] => {
                memory::<S>(count.parse()?, size.parse()?, shards.parse()?).await?
            }
            ["drop"] => {
                filled = None;
                "ok".to_string()
            }
            _ => S::other(filled.as_ref().map(|filled| &filled.store), &words).await?,
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
