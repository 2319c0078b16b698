//! What becomes of every system call, and of some with arguments that filters look at.

use linux_sys::inspect::{Attempt, Table, attempt};
use serde_json::{Map, Value, json};

/// No call takes it for a pointer, a descriptor, a number of anything or a set of flags.
const NOTHING: usize = usize::MAX;
/// Past the newest call that any filter here can know.
const NUMBER_MAX: u32 = 470;

pub(super) fn outcomes() -> Value {
    let mut all = Map::new();
    all.insert("native".to_owned(), table(Table::Native, &UNTRIED));
    all.insert("arguments".to_owned(), arguments());
    #[cfg(target_arch = "x86_64")]
    {
        all.insert("i386".to_owned(), table(Table::I386, &UNTRIED_I386));
        all.insert("x32".to_owned(), x32());
    }
    Value::Object(all)
}

// Those that wait, fork, write all files back, or make something that outlives them.
/// pause, fork, vfork, msgget, sync.
#[cfg(target_arch = "x86_64")]
const UNTRIED: [u32; 5] = [34, 57, 58, 68, 162];
/// sync, msgget.
#[cfg(not(target_arch = "x86_64"))]
const UNTRIED: [u32; 2] = [81, 186];
/// fork, pause, sync, sigsuspend, vfork, msgget.
#[cfg(target_arch = "x86_64")]
const UNTRIED_I386: [u32; 6] = [2, 29, 36, 72, 190, 399];

fn table(table: Table, untried: &[u32]) -> Value {
    let numbers = (0..=NUMBER_MAX).filter(|number| !untried.contains(number));
    numbers.map(|number| (number.to_string(), json!(attempted(table, number, NOTHING)))).collect()
}

/// Of a few calls, with the bit that marks the x32 table.
#[cfg(target_arch = "x86_64")]
fn x32() -> Value {
    const X32: u32 = 1 << 30;
    [0, 1, 39, 59, 165, 512, 547]
        .map(|number: u32| (number.to_string(), json!(attempted(Table::Native, X32 | number, NOTHING))))
        .into_iter()
        .collect()
}

#[cfg(target_arch = "x86_64")]
const SOCKET_PERSONALITY_CLONE: [u32; 3] = [41, 135, 56];
#[cfg(not(target_arch = "x86_64"))]
const SOCKET_PERSONALITY_CLONE: [u32; 3] = [198, 92, 220];

fn arguments() -> Value {
    const FAMILIES: usize = 48;
    const PERSONALITIES: [usize; 9] =
        [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff, 0x4_0000, 0x40_0000, 0x2_0009, 0x1_0000_0000];
    /// NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}, and a high half that the kernel ignores.
    const CLONE_FLAGS: [usize; 9] = [
        0x80,
        0x2_0000,
        0x200_0000,
        0x400_0000,
        0x800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
        0x1_0002_0000,
    ];
    let [socket, personality, clone] = SOCKET_PERSONALITY_CLONE;
    let of = |number: u32, argument: usize| json!(attempted(Table::Native, number, argument));
    let families = (0..FAMILIES).map(|family| (format!("socket {family}"), of(socket, family)));
    let personalities =
        PERSONALITIES.map(|value| (format!("personality {value:#x}"), of(personality, value)));
    let flags = CLONE_FLAGS.map(|value| (format!("clone {value:#x}"), of(clone, value)));
    families.chain(personalities).chain(flags).collect()
}

fn attempted(table: Table, number: u32, argument: usize) -> String {
    match attempt(table, number, argument) {
        Ok(Attempt::Succeeded) => "ok".to_owned(),
        Ok(Attempt::Failed(errno)) => super::errno(errno),
        Ok(Attempt::Ended(status)) => format!("{status:?}"),
        Err(error) => format!("untried: {error}"),
    }
}
