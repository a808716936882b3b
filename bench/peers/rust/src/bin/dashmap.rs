//! dashmap, with values that are shared and immutable like those of the others.

use dashmap::DashMap;
use peers::{serve, Error, Store};
use std::sync::Arc;

struct Dash(DashMap<String, Arc<[u8]>>);

impl Store for Dash {
    type Handle = Option<Arc<[u8]>>;

    async fn new(_shards: usize) -> Result<Self, Error> {
        Ok(Dash(DashMap::new()))
    }
    async fn get(&self, key: &str) -> Option<Self::Handle> {
        self.0.get(key).map(|value| Some(value.clone()))
    }
    async fn copy(&self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key).map(|value| value.to_vec())
    }
    async fn exists(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
    async fn set(&self, key: &str, value: &[u8]) -> Option<Self::Handle> {
        let value: Arc<[u8]> = value.into();
        if let Some(mut old) = self.0.get_mut(key) {
            return Some(Some(std::mem::replace(&mut *old, value)));
        }
        self.0.insert(key.to_string(), value).map(Some)
    }
    async fn update(&self, key: &str, value: &[u8]) -> bool {
        let value: Arc<[u8]> = value.into();
        match self.0.get_mut(key) {
            Some(mut old) => {
                let _old = std::mem::replace(&mut *old, value);
                true
            }
            None => false,
        }
    }
    async fn delete(&self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }
    async fn consume(&self, key: &str) -> Option<Self::Handle> {
        self.0.remove(key).map(|(_, value)| Some(value))
    }
    // It has no batches: a loop is what its users write.
    async fn get_batch(&self, keys: Vec<String>, _all: bool) -> usize {
        let handles: Vec<_> = keys.iter().filter_map(|key| self.0.get(key).map(|v| v.clone())).collect();
        handles.len()
    }
    async fn set_batch(&self, keys: Vec<String>, value: &[u8], _all: bool) -> usize {
        let mut done = 0;
        for key in keys {
            self.0.insert(key, value.into());
            done += 1;
        }
        done
    }
    async fn delete_batch(&self, keys: Vec<String>, _all: bool) -> usize {
        keys.iter().filter(|key| self.0.remove(*key).is_some()).count()
    }
    async fn consume_batch(&self, keys: Vec<String>, _all: bool) -> usize {
        let values: Vec<_> = keys.iter().filter_map(|key| self.0.remove(key)).collect();
        values.len()
    }
    async fn other(_store: Option<&Arc<Self>>, _words: &[&str]) -> Result<String, Error> {
        Err("unknown command".into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve::<Dash>().await
}
