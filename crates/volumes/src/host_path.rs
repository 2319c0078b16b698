//! hostPath: a file or directory of the host (<https://kubernetes.io/docs/concepts/storage/volumes/#hostpath>).
//! What is made here stays when the pod is gone.

use std::fs::{self, DirBuilder, FileType, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path};

use podspec::HostPathType;

use crate::{VolumeError, failed_to_make};

const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Checks that `path`, links followed, is what `kind` says, and makes it where `kind` allows. With
/// no type nothing is checked, and a directory is made where there is nothing, as containerd does.
pub(crate) fn check(path: &str, kind: HostPathType) -> Result<(), VolumeError> {
    let location = Path::new(path);
    if location.components().any(|component| component == Component::ParentDir) {
        return Err(VolumeError::Backsteps { path: path.to_owned() });
    }
    let found = match fs::metadata(location) {
        Ok(found) => Some(found.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(VolumeError::Stat { path: location.to_owned(), source }),
    };
    match (kind, found) {
        (HostPathType::Unset | HostPathType::DirectoryOrCreate, None) => make_directory(location),
        (HostPathType::FileOrCreate, None) => make_file(location),
        (HostPathType::Unset, Some(_)) => Ok(()),
        (_, found) => {
            let (matches, expected) = expectation(kind);
            let fits = found.is_some_and(|found| matches(&found));
            if fits { Ok(()) } else { Err(VolumeError::WrongType { path: path.to_owned(), expected }) }
        }
    }
}

/// The test a type makes, and what it is called when it fails.
fn expectation(kind: HostPathType) -> (fn(&FileType) -> bool, &'static str) {
    match kind {
        HostPathType::Unset => (|_| true, "anything"),
        HostPathType::DirectoryOrCreate | HostPathType::Directory => (FileType::is_dir, "a directory"),
        HostPathType::FileOrCreate | HostPathType::File => (FileType::is_file, "a file"),
        HostPathType::Socket => (|found| found.is_socket(), "a socket file"),
        HostPathType::CharDevice => (|found| found.is_char_device(), "a character device"),
        HostPathType::BlockDevice => (|found| found.is_block_device(), "a block device"),
    }
}

fn make_directory(path: &Path) -> Result<(), VolumeError> {
    let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
    made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)))
        .map_err(failed_to_make(path))
}

/// The directory it is in has to be there.
fn make_file(path: &Path) -> Result<(), VolumeError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    made.and_then(|file| file.set_permissions(Permissions::from_mode(FILE_MODE)))
        .map_err(failed_to_make(path))
}
