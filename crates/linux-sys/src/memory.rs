//! Giving back memory that this process needed only for a while.

use std::ffi::{c_int, c_void};

/// Gives free pages of the heap back to the kernel. Costs a system call per run of free pages.
pub fn release_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches only what the allocator holds as free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unmaps the pages of this program's code and constants, which come back one by one as they are used, from
/// the page cache as a rule. What ran only once is then no longer held in memory for this process.
pub fn release_program() {
    // SAFETY: the callback is called before this returns, and has no data.
    unsafe { libc::dl_iterate_phdr(Some(release_first_object), std::ptr::null_mut()) };
}

/// What of the stack is looked at below where it is: deeper calls are rare, and what they took stays.
const STACK_BYTES: usize = 256 << 10;

/// Gives back what deeper calls than this one took of the stack of the process's first thread, up to 256 KiB. Costs one system call;
/// does nothing in other threads, whose stacks may have something else right below.
#[inline(never)]
pub fn release_stack() {
    if rustix::thread::gettid() != rustix::process::getpid() {
        return;
    }
    let page_bytes = rustix::param::page_size();
    let here = 0_u8;
    // A page is left for this function and what it calls.
    let end = ((&raw const here as usize) & !(page_bytes - 1)).saturating_sub(page_bytes);
    let start = end.saturating_sub(STACK_BYTES);
    // SAFETY: this is the process's first thread, below whose stack the kernel keeps at least 128 MiB free for it. The pages are
    // below every frame that is in use, this function's own and that of the call with its red zone among them, since a whole
    // page lies between; whoever calls next writes there before reading. Where the stack has not grown to, nothing is
    // mapped, and the kernel only says so.
    unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
}

/// The first object is the program itself. Never writable segments: their changes would be lost.
unsafe extern "C" fn release_first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut c_void,
) -> c_int {
    const STOP: c_int = 1;
    // SAFETY: the C library passes a valid description of a loaded object, with its table of segments.
    let (base, segments) = unsafe {
        let info = &*info;
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    for segment in segments {
        if segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0 {
            let page_bytes = rustix::param::page_size() as u64;
            let start = (base + segment.p_vaddr) & !(page_bytes - 1);
            let end = base + segment.p_vaddr + segment.p_memsz;
            // SAFETY: these pages are mapped from the program's file and were never changed, so they read
            // the same when they come back.
            unsafe { libc::madvise(start as *mut c_void, (end - start) as usize, libc::MADV_DONTNEED) };
        }
    }
    STOP
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;

    use super::{release_heap, release_program, release_stack};
    use crate::namespace::Namespaces;
    use crate::process::{ExitStatus, clone_child, wait};

    /// Resident kB of the mappings whose line in `/proc/self/smaps` holds `word`.
    fn resident_kb(word: &str) -> u64 {
        let mut inside = false;
        let mut sum = 0;
        for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
            match line.strip_prefix("Rss:") {
                Some(rss) if inside => {
                    sum += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
                }
                Some(_) => {}
                None if line.contains('-') => inside = line.contains(word),
                None => {}
            }
        }
        sum
    }

    #[test]
    fn free_heap_below_what_is_used_is_given_back() {
        const BLOCKS: usize = 16 << 10;
        let mut blocks: Vec<_> = (0..BLOCKS).map(|_| vec![1_u8; 4 << 10]).collect();
        let last = blocks.pop();
        let full = resident_kb("rw-p");
        drop(blocks);
        release_heap();
        assert!(resident_kb("rw-p") + 32 * 1_024 < full);
        drop(last);
    }

    /// Deep enough to touch so much, and of use to the compiler.
    #[inline(never)]
    fn deep(bytes: usize) -> usize {
        let block = std::hint::black_box([1_u8; 4 << 10]);
        if bytes == 0 {
            usize::from(block[7])
        } else {
            deep(bytes.saturating_sub(block.len())) + usize::from(block[9])
        }
    }

    /// In a process of its own, which has one thread and nobody beside it.
    #[test]
    fn what_deep_calls_took_of_the_stack_is_given_back() {
        let child = clone_child(Namespaces::NONE, None, || {
            assert!(deep(200 << 10) > 50);
            let full = resident_kb("rw-p");
            release_stack();
            assert!(resident_kb("rw-p") + 150 <= full);
            assert!(deep(200 << 10) > 50);
            0
        });
        assert_eq!(wait(child.unwrap().pidfd.as_fd()).unwrap(), ExitStatus::Code(0));
    }

    #[test]
    fn the_program_goes_on_without_the_pages_it_had() {
        let program = std::env::current_exe().unwrap();
        let name = program.file_name().unwrap().to_str().unwrap();
        let full = resident_kb(name);
        release_program();
        assert!(resident_kb(name) < full);
    }
}
