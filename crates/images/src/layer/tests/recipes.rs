//! Archives made again of what may have changed since.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::archives::Tar;
use super::bed::Bed;
use crate::layer::{LayerError, repack};

fn error(bed: &Bed) -> Option<LayerError> {
    repack(&bed.fs(), &bed.recipe(), io::sink()).err()
}

fn archive() -> Vec<u8> {
    Tar::new()
        .directory("./")
        .file("displaced", "one")
        .file("dir/file", "content")
        .file("displaced", "two")
        .symlink("link", "dir")
        .file("link/x", "below a link")
        .end()
}

#[test]
fn a_file_that_changed_is_named() {
    type Change = fn(&Path) -> io::Result<()>;
    let changes: [(&str, Change); 8] = [
        ("gone", |path| fs::remove_file(path)),
        ("longer", |path| fs::write(path, "content!")),
        ("shorter", |path| fs::write(path, "conten")),
        ("other", |path| fs::write(path, "Content")),
        ("directory", |path| fs::remove_file(path).and_then(|()| fs::create_dir(path))),
        ("link", |path| fs::remove_file(path).and_then(|()| symlink("../other", path))),
        ("FIFO", |path| {
            fs::remove_file(path)?;
            let mode = rustix::fs::Mode::RWXU;
            Ok(rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)?)
        }),
        ("link to the same outside", |path| {
            fs::rename(path, path.with_file_name("../../same"))?;
            symlink("../../same", path)
        }),
    ];
    for (case, change) in changes {
        let Some(bed) = Bed::new() else { return };
        bed.unpack(&archive()).unwrap();
        let path = bed.fs().join("dir/file");
        change(&path).unwrap();
        match error(&bed) {
            Some(LayerError::Changed { path: named }) => assert_eq!(named, path, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}

/// Attributes are in the recipe; what else is in the directory is not asked for.
#[test]
fn other_changes_do_no_harm() {
    let Some(bed) = Bed::new() else { return };
    let archive = archive();
    bed.unpack(&archive).unwrap();
    fs::set_permissions(bed.fs().join("dir/file"), Permissions::from_mode(0o600)).unwrap();
    fs::write(bed.fs().join("new"), "").unwrap();
    bed.check_repack(&archive);
}

#[test]
fn a_damaged_recipe_never_makes_another_archive() {
    let Some(bed) = Bed::new() else { return };
    let archive = archive();
    bed.unpack(&archive).unwrap();
    let recipe = fs::read(bed.recipe()).unwrap();
    let check = |damaged: &[u8], case: &str| {
        fs::write(bed.recipe(), damaged).unwrap();
        let mut again = vec![];
        match repack(&bed.fs(), &bed.recipe(), &mut again) {
            Ok(_) => assert!(again == archive, "{case}"),
            Err(LayerError::DamagedRecipe { path, .. }) => assert_eq!(path, bed.recipe(), "{case}"),
            // A path in it may name another file.
            Err(LayerError::Changed { .. }) => {}
            Err(error) => panic!("{case}: {error}"),
        }
        bed.check_outside();
    };
    for length in 0..recipe.len() {
        check(&recipe[..length], &format!("{length} bytes"));
    }
    for at in 0..recipe.len() {
        for bit in [0x01, 0x80] {
            let mut damaged = recipe.clone();
            damaged[at] ^= bit;
            check(&damaged, &format!("byte {at} {bit:x}"));
        }
    }
    check(&[&recipe[..], &[0; 100]].concat(), "longer");
}

#[test]
fn a_recipe_that_was_not_finished_is_known() {
    let Some(bed) = Bed::new() else { return };
    let archive = Tar::new().file("a", "content").file("../x", "").end();
    bed.unpack(&archive).unwrap_err();
    let error = error(&bed).unwrap().to_string();
    assert!(error.contains("is damaged: it was not finished"), "{error}");
}
