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

    use super::{release_heap, release_program};

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

    #[test]
    fn the_program_goes_on_without_the_pages_it_had() {
        let program = std::env::current_exe().unwrap();
        let name = program.file_name().unwrap().to_str().unwrap();
        let full = resident_kb(name);
        release_program();
        assert!(resident_kb(name) < full);
    }
}
