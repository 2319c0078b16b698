//! The program `e2e held FILE PROGRAM [ARGUMENT...]`: the first to come writes its process number into FILE and
//! stands still until it gets SIGCONT; then, as every other at once, it becomes PROGRAM.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use rustix::process::{Signal, getpid, kill_process};

pub(crate) fn run(file: &Path, program: &str, args: &[&str]) -> Result<()> {
    match File::create_new(file) {
        Ok(mut file) => {
            write!(file, "{}", getpid())?;
            kill_process(getpid(), Signal::STOP)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    Err(Command::new(program).args(args).exec().into())
}
