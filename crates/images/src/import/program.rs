//! The files of an image that is one program.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::Path;

use super::ImportedProcess;
use crate::tar_writer::TarWriter;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SHELL: &str = "sh";
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\nnobody:x:65534:\n";
/// Each after the one it is in.
const DIRECTORIES: [(&str, u32); 11] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// What it is called in `/bin`.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The archive of the whole image. `program` is read from its beginning.
pub(super) fn write(
    name: &str,
    program: &mut File,
    applets: &[String],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut tar = TarWriter::new(out);
    for (path, mode) in DIRECTORIES {
        tar.directory(path, mode)?;
    }
    tar.file("etc/passwd", 0o644, PASSWD)?;
    tar.file("etc/group", 0o644, GROUP)?;
    let bytes = program.metadata()?.len();
    program.rewind()?;
    tar.stream(&format!("bin/{name}"), 0o755, bytes, |mut out| io::copy(program, &mut out))?;
    for applet in applets {
        tar.link(&format!("bin/{applet}"), name)?;
    }
    tar.finish().map(drop)
}

/// A shell where it is one; otherwise the program itself.
pub(super) fn process(name: &str, applets: &[String]) -> ImportedProcess {
    let process = ImportedProcess { env: vec![PATH.to_owned()], ..ImportedProcess::default() };
    if applets.iter().any(|applet| applet == SHELL) {
        ImportedProcess { cmd: vec![SHELL.to_owned()], ..process }
    } else {
        ImportedProcess { entrypoint: vec![format!("/bin/{name}")], ..process }
    }
}
