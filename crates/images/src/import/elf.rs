//! Whether a program needs nothing but the kernel
//! (<https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.intro.html>).

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

const MAGIC: &[u8] = b"\x7fELF";
const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const BIG_ENDIAN: u8 = 2;
const EXECUTABLE: u16 = 2;
/// Also of shared libraries, which have no entry.
const POSITION_INDEPENDENT: u16 = 3;
const SEGMENT_INTERPRETER: u32 = 3;
/// A program has a dozen.
const SEGMENTS_MAX: u16 = 512;
const INTERPRETER_BYTES_MAX: u64 = 4096;
/// By the names that Rust has for architectures: `e_machine`.
const MACHINES: [(&str, u16); 9] = [
    ("x86_64", 62),
    ("x86", 3),
    ("aarch64", 183),
    ("arm", 40),
    ("riscv64", 243),
    ("s390x", 22),
    ("powerpc64", 21),
    ("loongarch64", 258),
    ("mips64", 8),
];

#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    #[error("it cannot be read")]
    Read { source: io::Error },
    #[error("it is damaged: {why}")]
    Damaged { why: &'static str },
    #[error("it is no program, but an object or a library")]
    NoProgram,
    #[error("it is for another processor than this machine's")]
    OtherMachine,
    #[error(
        "it is linked dynamically and wants {}: import a directory that has that and the libraries too, or run it \
         with image: localhost/host, which has those of this machine",
        interpreter.display()
    )]
    Dynamic { interpreter: PathBuf },
}

/// A header's fields, of either class and byte order.
struct Header {
    is_64: bool,
    is_big: bool,
    bytes: [u8; 64],
}

pub(super) fn is_elf(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match file.read_exact_at(&mut magic, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| magic == MAGIC),
    }
}

/// Fails unless it is a program for this machine, linked statically.
pub(super) fn check(file: &File) -> Result<(), ElfError> {
    let header = Header::read(file)?;
    let (kind, machine) = (header.number(16, 2), header.number(18, 2));
    let entry = if header.is_64 { header.number(24, 8) } else { header.number(24, 4) };
    let is_program = kind == u64::from(EXECUTABLE) || kind == u64::from(POSITION_INDEPENDENT) && entry != 0;
    if !is_program {
        return Err(ElfError::NoProgram);
    }
    let own = MACHINES.iter().find(|(name, _)| *name == std::env::consts::ARCH);
    if own.is_some_and(|(_, own)| u64::from(*own) != machine) {
        return Err(ElfError::OtherMachine);
    }
    match interpreter(file, &header)? {
        Some(interpreter) => Err(ElfError::Dynamic { interpreter }),
        None => Ok(()),
    }
}

impl Header {
    fn read(file: &File) -> Result<Self, ElfError> {
        let mut bytes = [0; 64];
        read_at(file, &mut bytes, 0)?;
        let is_64 = match bytes[4] {
            CLASS_32 => false,
            CLASS_64 => true,
            _ => return Err(ElfError::Damaged { why: "its class is unknown" }),
        };
        Ok(Self { is_64, is_big: bytes[5] == BIG_ENDIAN, bytes })
    }

    fn number(&self, at: usize, length: usize) -> u64 {
        self.decode(&self.bytes[at..at + length])
    }

    fn decode(&self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}

/// The loader it names.
fn interpreter(file: &File, header: &Header) -> Result<Option<PathBuf>, ElfError> {
    let (table, entry_bytes, count) = if header.is_64 {
        (header.number(32, 8), header.number(54, 2), header.number(56, 2))
    } else {
        (header.number(28, 4), header.number(42, 2), header.number(44, 2))
    };
    if count > u64::from(SEGMENTS_MAX) {
        return Err(ElfError::Damaged { why: "it has too many segments" });
    }
    for n in 0..count {
        let mut segment = [0; 40];
        let at = table
            .checked_add(n * entry_bytes)
            .ok_or(ElfError::Damaged { why: "its segments are nowhere" })?;
        read_at(file, &mut segment[..if header.is_64 { 40 } else { 32 }], at)?;
        if header.decode(&segment[..4]) != u64::from(SEGMENT_INTERPRETER) {
            continue;
        }
        let (offset, length) = if header.is_64 {
            (header.decode(&segment[8..16]), header.decode(&segment[32..40]))
        } else {
            (header.decode(&segment[4..8]), header.decode(&segment[16..20]))
        };
        let length = usize::try_from(length.min(INTERPRETER_BYTES_MAX)).unwrap_or_default();
        let mut path = vec![0; length];
        read_at(file, &mut path, offset)?;
        path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(length));
        return Ok(Some(std::ffi::OsString::from_vec(path).into()));
    }
    Ok(None)
}

fn read_at(file: &File, bytes: &mut [u8], at: u64) -> Result<(), ElfError> {
    match file.read_exact_at(bytes, at) {
        // Beyond the end, or beyond what can be the end of any file.
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) => {
            Err(ElfError::Damaged { why: "it is cut off" })
        }
        read => read.map_err(|source| ElfError::Read { source }),
    }
}
