//! Finds librkvs.so: in RKVS_LIB_DIR (a build tree, an unpacked tarball), or else where pkg-config
//! says that it is installed.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=RKVS_LIB_DIR");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo:rustc-link-lib=dylib=rkvs");

    let dir = env::var("RKVS_LIB_DIR").unwrap_or_else(|_| installed());
    if !dir.is_empty() {
        println!("cargo:rustc-link-search=native={dir}");
        // Found there at run time, too.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
    }
}

fn installed() -> String {
    let output = Command::new("pkg-config")
        .args(["--variable=libdir", "rkvs"])
        .output()
        .expect("RKVS_LIB_DIR is not set and there is no pkg-config");
    assert!(output.status.success(), "RKVS_LIB_DIR is not set and pkg-config does not know rkvs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
