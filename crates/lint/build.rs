//! The pages of the rules, so that the program can print them without its repository.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "it reads the pages when the program is built"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let docs = root.join("../../docs/lint");
    println!("cargo::rerun-if-changed={}", docs.display());
    let entries = fs::read_dir(&docs).expect("docs/lint is there");
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of docs/lint").path()).collect();
    pages.sort();
    let mut table = String::from("&[\n");
    for page in pages.iter().filter(|page| page.extension().is_some_and(|held| held == "md")) {
        let id = page.file_stem().expect("a page has a name").to_string_lossy();
        let _ = writeln!(table, "    ({id:?}, include_str!({:?})),", page.display().to_string());
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    fs::write(out.join("pages.rs"), table).expect("what cargo gives can be written to");
}
