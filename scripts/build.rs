//! Asks the linker for what makes a broker that has just started smaller, where it can do that:
//!
//! - The functions that run at start, by `start-order.ld`, lie side by side. The kernel brings in at least 64 KiB of code
//!   around each that is called; scattered over the whole program they cost 5 MB of memory.
//! - Addresses to relocate are written as bitmaps, which are a hundredth of the list that is otherwise read at start.
//!
//! Whatever of them a program that does nothing cannot be linked or started with is left out: then the broker is bigger
//! and otherwise the same.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn main() -> Result<(), String> {
    let order = "scripts/start-order.ld";
    println!("cargo:rerun-if-changed=scripts/build.rs");
    println!("cargo:rerun-if-changed={order}");
    // Programs for other machines cannot be tried here. Others than release ones are to be linked fast.
    if env::var("PROFILE").as_deref() != Ok("release") || env::var("HOST") != env::var("TARGET") {
        return Ok(());
    }
    let (Some(root), Some(out)) = (path("CARGO_MANIFEST_DIR"), path("OUT_DIR")) else {
        return Ok(());
    };
    // Of the arguments that cargo keeps for later builds it mends only paths in its output folder after a move.
    let copy = out.join("start-order.ld");
    fs::copy(root.join(order), &copy)
        .map_err(|error| format!("{order} cannot be copied to {}: {error}", copy.display()))?;
    for argument in [
        format!("-Wl,-T,{}", copy.display()),
        "-Wl,-z,pack-relative-relocs".to_owned(),
    ] {
        if works(&argument) {
            println!("cargo:rustc-link-arg-bins={argument}");
        } else {
            println!(
                "cargo:warning=linked without {argument}, which does not work here: the broker takes more memory at start"
            );
        }
    }
    Ok(())
}

/// Whether a program can be linked with this argument, by the linker that links the broker, and runs.
fn works(argument: &str) -> bool {
    let (Some(rustc), Some(folder)) = (path("RUSTC"), path("OUT_DIR")) else {
        return false;
    };
    let (source, program) = (folder.join("trial.rs"), folder.join("trial"));
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let mut link = Command::new(rustc);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    link.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Some(linker) = path("RUSTC_LINKER") {
        link.arg(format!("-Clinker={}", linker.display()));
    }
    link.args(["--edition", "2024"])
        .arg(format!("-Clink-arg={argument}"));
    link.arg("-o").arg(&program).arg(&source);
    succeeds(&mut link) && succeeds(&mut Command::new(&program))
}

fn succeeds(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(|value| Path::new(&value).to_owned())
}
