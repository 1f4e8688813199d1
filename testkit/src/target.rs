//! The folder within cargo's target folder that is ours.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folder, made if need be: what is downloaded once and outlives a test lies here.
///
/// # Errors
///
/// When it cannot be made.
pub fn dir() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let built = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let beside_us = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let dir = built.map_or_else(beside_us, Path::to_owned).join("testkit");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}
