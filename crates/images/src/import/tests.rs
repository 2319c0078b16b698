//! Images made of files, and of what is none.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{Applets, ImportError, ImportOptions, ImportedProcess, elf};
use crate::archive::{Loaded, Source};
use crate::host::tests::Directory;
use crate::store::Store;
use registry::Reference;

struct Bed {
    directory: Directory,
    store: Store,
}

impl Bed {
    /// `None` where layers cannot be made.
    fn new() -> Option<Self> {
        let directory = Directory::for_owned_layers()?;
        let store = Store::new(&directory.path().join("images"));
        Some(Self { directory, store })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn import(&self, source: &Path, options: &ImportOptions) -> Result<Loaded, ImportError> {
        self.store.import(&Source::Path(source.to_owned()), options, &|| Ok(Vec::new()))
    }

    fn fs(&self, loaded: &Loaded) -> PathBuf {
        let config = self.store.image_config(loaded.id).unwrap().unwrap();
        config.layers[0].lower[0].clone()
    }
}

fn options(applets: Applets) -> ImportOptions {
    let name = Reference::parse("localhost/imported").unwrap();
    ImportOptions { name, applets, process: ImportedProcess::default() }
}

/// A program of this machine without any code: its header and one segment.
fn program(segment: u32) -> Vec<u8> {
    let mut elf = fs::read("/proc/self/exe").unwrap()[..64].to_vec();
    assert_eq!(elf[4], 2, "the tests are for machines of 64 bits");
    elf[32..40].copy_from_slice(&64_u64.to_ne_bytes());
    elf[54..56].copy_from_slice(&56_u16.to_ne_bytes());
    elf[56..58].copy_from_slice(&1_u16.to_ne_bytes());
    let loader = b"/lib/ld.so\0";
    elf.extend(segment.to_ne_bytes());
    elf.extend(0_u32.to_ne_bytes());
    elf.extend(120_u64.to_ne_bytes());
    elf.extend([0; 16]);
    elf.extend((loader.len() as u64).to_ne_bytes());
    elf.extend([0; 16]);
    elf.extend(loader);
    elf
}

#[test]
fn the_same_directory_is_the_same_image() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.path("source");
    fs::create_dir_all(source.join("etc")).unwrap();
    fs::write(source.join("etc/motd"), "hello").unwrap();
    symlink("motd", source.join("etc/link")).unwrap();
    let first = bed.import(&source, &options(Applets::Auto)).unwrap();
    assert_eq!(fs::read_to_string(bed.fs(&first).join("etc/link")).unwrap(), "hello");
    assert_eq!(bed.import(&source, &options(Applets::Auto)).unwrap(), first);
    let process = ImportedProcess { cmd: vec!["x".into()], ..ImportedProcess::default() };
    let other = bed.import(&source, &ImportOptions { process, ..options(Applets::Auto) }).unwrap();
    assert_ne!(other.id, first.id);
    assert_eq!(bed.store.image_config(first.id).unwrap(), None, "its name moved on");
    let image = bed.store.image_config(other.id).unwrap().unwrap();
    assert_eq!((image.cmd, image.env), (vec!["x".to_owned()], vec![]));
}

#[test]
fn a_program_with_its_links() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.path("tool");
    fs::write(&source, program(1)).unwrap();
    let loaded = bed.import(&source, &options(Applets::Auto)).unwrap();
    let image = bed.store.image_config(loaded.id).unwrap().unwrap();
    assert_eq!((image.entrypoint, image.cmd), (vec!["/bin/tool".to_owned()], vec![]));
    assert!(image.env[0].starts_with("PATH=") && image.passwd.starts_with("root:x:0:0:"));
    let named = Applets::Named(vec!["sh".into(), "ls".into(), "tool".into(), "sh".into()]);
    let loaded = bed.import(&source, &options(named)).unwrap();
    let files = bed.fs(&loaded);
    assert_eq!(fs::read_link(files.join("bin/sh")).unwrap(), Path::new("tool"));
    let mode = |path: &str| fs::symlink_metadata(files.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("root"), mode("bin/tool")), (0o1777, 0o700, 0o755));
    let image = bed.store.image_config(loaded.id).unwrap().unwrap();
    assert_eq!((image.entrypoint, image.cmd), (vec![], vec!["sh".to_owned()]));
    for bad in ["", "..", "a/b", "a b", "\u{e9}", &"x".repeat(65)] {
        let error = bed.import(&source, &options(Applets::Named(vec![bad.into()]))).unwrap_err();
        assert!(matches!(error, ImportError::Applets { .. }), "{bad:?}: {error}");
    }
}

#[test]
fn what_is_refused_as_a_program() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.path("tool");
    let good = program(1);
    let changed = |at: usize, value: &[u8]| {
        let mut elf = good.clone();
        elf[at..at + value.len()].copy_from_slice(value);
        elf
    };
    for (content, part) in [
        (program(3), "is linked dynamically and wants /lib/ld.so: import a directory"),
        (changed(16, &1_u16.to_ne_bytes()), "it is no program"),
        (changed(18, &0xfefe_u16.to_ne_bytes()), "another processor"),
        (changed(4, &[9]), "its class is unknown"),
        (changed(56, &u16::MAX.to_ne_bytes()), "too many segments"),
        (changed(32, &u64::MAX.to_ne_bytes()), "it is cut off"),
        (good[..100].to_vec(), "it is cut off"),
        (good[..5].to_vec(), "it is cut off"),
    ] {
        fs::write(&source, content).unwrap();
        let error = bed.import(&source, &options(Applets::Auto)).unwrap_err();
        let chain = ports::PortError::chain(&error).0;
        assert!(chain.contains(part), "{chain}, not {part}");
    }
    // Nobody may not even look at it.
    fs::write(&source, &good).unwrap();
    fs::set_permissions(&source, Permissions::from_mode(0o700)).unwrap();
    let error = bed.import(&source, &options(Applets::Asked)).unwrap_err();
    assert!(ports::PortError::chain(&error).0.contains("as in --applets sh,ls,cat"), "{error}");
    fs::write(&source, "text").unwrap();
    let error = bed.import(&source, &options(Applets::Asked)).unwrap_err();
    assert!(matches!(error, ImportError::NoProgram { .. }), "{error}");
    let error = bed.import(&source, &options(Applets::Auto)).unwrap_err();
    assert!(ports::PortError::chain(&error).0.contains("cannot unpack it"), "{error:?}");
    let host = Reference::parse("localhost/host").unwrap();
    let error = bed.import(&source, &ImportOptions { name: host, ..options(Applets::Auto) }).unwrap_err();
    assert!(error.to_string().contains("it is built in"), "{error}");
}

/// It is what a pipe gives when the program before it has failed.
#[test]
fn nothing_is_no_archive() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.path("nothing");
    fs::write(&source, "").unwrap();
    let error = bed.import(&source, &options(Applets::Auto)).unwrap_err();
    assert!(matches!(error, ImportError::Empty), "{error}");
    let compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()).finish();
    fs::write(&source, compressed.unwrap()).unwrap();
    let error = bed.import(&source, &options(Applets::Auto)).unwrap_err();
    assert!(matches!(error, ImportError::Empty), "{error}");
    // The two blocks of zeros that end an archive of no files.
    fs::write(&source, [0; 1024]).unwrap();
    bed.import(&source, &options(Applets::Auto)).unwrap();
}

#[test]
fn an_empty_file_is_no_program() {
    let directory = Directory::new();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(!elf::is_elf(&mut fs::File::open(path).unwrap()).unwrap());
}

#[test]
fn a_directory_that_holds_the_store_is_refused() {
    let Some(bed) = Bed::new() else { return };
    let above = bed.directory.path().join("images/..");
    let refused = bed.import(&above, &options(Applets::Auto)).expect_err("the store would be in it");
    assert!(matches!(refused, ImportError::HoldsStore { .. }), "{refused}");
}
