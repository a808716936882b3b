//! rkvs in a Rust program: one key, many keys, a save in the background, and an error.
//!
//!     RKVS_LIB_DIR=<where librkvs.so is> cargo run

mod ffi;
mod rkvs;

use rkvs::{BatchMode, Manager, Queue};
use std::{env, error::Error, fs, process, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::temp_dir().join(format!("rkvs-example-rust-{}", process::id()));
    fs::create_dir(&directory)?;
    let outcome = run(directory.to_str().ok_or("a path that is not UTF-8")?);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn run(directory: &str) -> Result<(), Box<dyn Error>> {
    println!("rkvs {}", rkvs::version());

    // A store that starts empty, because there is no such file yet.
    let manager = Manager::open(directory, "store.rkvs")?;
    let users = manager.create_namespace("users", 1024)?;

    // One key. A value is the store's own memory, and stays valid whatever happens to the key.
    users.put("alice", "admin")?;
    let alice = users.get("alice")?.ok_or("alice is gone")?;
    users.put("alice", "user")?;
    println!("alice was {}", String::from_utf8_lossy(&alice));
    assert_eq!(&*alice, b"admin");
    assert!(users.get("nobody")?.is_none());

    // Many keys: written all or none, read as far as they are there.
    users.set_multiple(&[("bob", "user"), ("carol", "auditor"), ("empty", "")])?;
    let keys = ["carol", "nobody", "empty"];
    let found = users.get_multiple(&keys, BatchMode::BestEffort)?;
    for (key, value) in keys.iter().zip(&found) {
        match value {
            Some(value) => println!("{key}: {:?}", String::from_utf8_lossy(value)),
            None => println!("{key}: not there"),
        }
    }
    assert_eq!(found[0].as_deref(), Some(&b"auditor"[..]));
    assert!(found[1].is_none());
    assert_eq!(found[2].as_deref(), Some(&b""[..]));

    // The same read with all or nothing fails, and says at which key.
    let error = users.get_multiple(&keys, BatchMode::AllOrNothing).err().ok_or("read all")?;
    assert_eq!((error.code, error.index), (ffi::RKVS_NOT_FOUND, Some(1)));

    // A save in the background. The program goes on, and hears of the end through a queue.
    let queue = Queue::new()?;
    manager.save_all_async("store.rkvs", &queue, 42)?;
    users.put("dave", "came too late for this save, or just in time")?;
    let saved = queue.next(Duration::from_secs(60))?.ok_or("the save takes too long")?;
    saved.result?;
    assert_eq!(saved.tag, 42);
    println!("saved (tag {})", saved.tag);

    // An error has a code for the program and a message for people.
    let error = users.put("large", [0; 2000]).expect_err("it is larger than 1,024 bytes");
    println!("refused: {error}");
    assert_eq!(error.code, ffi::RKVS_E_VALUE_TOO_LARGE);
    assert!(error.message.contains("1024"));
    assert!(users.get("large")?.is_none());

    // And what was saved is there again.
    manager.close()?;
    assert!(users.get("alice").is_err());
    let reopened = Manager::open(directory, "store.rkvs")?.get_namespace("users")?;
    assert_eq!(reopened.get("carol")?.as_deref(), Some(&b"auditor"[..]));
    println!("carol is back");
    Ok(())
}
