//! Builds the worker's program, static, so that the library can carry it.
//!
//! Cargo cannot depend on the program of another package yet, so this runs cargo. The program has a target folder of
//! its own beside the usual ones, which `build`, `check`, `clippy` and every profile share: it is built once. It
//! is not below the folder of one build script, of which each of those has another.
#![expect(clippy::disallowed_methods, reason = "a build script has no `Host`")]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// Names a finished program, for whoever packages one for another architecture or without a nested build.
const GIVEN: &str = "BOXWRIGHT_WORKER_PROGRAM";

fn main() {
    println!("cargo::rerun-if-env-changed={GIVEN}");
    let carried = PathBuf::from(variable("OUT_DIR")).join("boxwright-worker");
    let program = match env::var_os(GIVEN).filter(|path| !path.is_empty()) {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path).unwrap_or_else(|error| panic!("{GIVEN}={}: {error}", path.display()))
        }
        // Steps run on Linux. A program for another system carries none, and says so when it is asked for it.
        None if variable("CARGO_CFG_TARGET_OS") != "linux" => Vec::new(),
        None => build(),
    };
    // Worked out once here, and not by every command that runs a step.
    let digest = Sha256::digest(&program);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=BOXWRIGHT_WORKER_DIGEST={digest}");
    // Left alone when it is the same, so that nothing is compiled again for it.
    if fs::read(&carried).ok().as_deref() != Some(&program) {
        fs::write(&carried, program).expect("the output folder can be written");
    }
}

fn build() -> Vec<u8> {
    let target = variable("TARGET");
    let folder = target_folder().join("boxwright-worker");
    let manifest = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../worker/Cargo.toml");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", "boxwright-worker"]);
    cargo.args(["--bin", "boxwright-worker", "--profile", "worker", "--target", &target]);
    cargo.arg("--target-dir").arg(&folder).arg("--manifest-path").arg(manifest);
    // What this build was told about itself is not for that one. The job server is: both share the cores.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_this =
            ["CARGO_CFG_", "CARGO_FEATURE_", "DEP_"].iter().any(|start| text.starts_with(start));
        let flags =
            ["RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"];
        if of_this || flags.contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    // A static program runs in any root file system, and in none. With the target named, the flag does not reach
    // build scripts and macros, which cannot be static.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    let status = cargo.status().unwrap_or_else(|error| panic!("cannot start cargo: {error}"));
    assert!(status.success(), "the worker's program does not build: see above");

    let program = folder.join(target).join("worker/boxwright-worker");
    let sources = fs::read_to_string(program.with_extension("d")).expect("cargo lists the sources");
    for source in sources_of(&sources) {
        println!("cargo::rerun-if-changed={source}");
    }
    for manifest in
        ["../worker/Cargo.toml", "../core/Cargo.toml", "../image/Cargo.toml", "../../Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={manifest}");
    }
    fs::read(program).expect("cargo has built the program")
}

/// Returns the files that a makefile's rule lists, without escapes.
fn sources_of(rule: &str) -> Vec<String> {
    let files = rule.split_once(": ").map_or("", |(_, files)| files).trim();
    let words = files.replace("\\ ", "\0");
    words.split_whitespace().map(|word| word.replace('\0', " ")).collect()
}

/// Returns the folder that all builds of this workspace share: above `PROFILE/build/PACKAGE/out`.
fn target_folder() -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    let build = out.ancestors().find(|folder| folder.file_name() == Some("build".as_ref()));
    let shared = build.and_then(|build| build.parent()?.parent());
    // With a layout that is not known, our own folder serves as well, only not for others.
    shared.unwrap_or(&out).to_owned()
}

fn variable(name: &str) -> String {
    let value: OsString = env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    value.into_string().unwrap_or_else(|_| panic!("{name} is not UTF-8"))
}
