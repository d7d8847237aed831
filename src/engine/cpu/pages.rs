//! Large pages under the arena: planes are spread over a gigabyte, and with small pages most of what is read needs an address
//! looked up first.

/// Asks the system to back untouched memory with large pages. A hint: where it is refused or unknown nothing changes.
#[cfg(target_os = "linux")]
pub fn large<T>(memory: &[T]) {
    /// Bytes of a large page; what lies before the first whole one and behind the last stays as it is.
    const PAGE: usize = 1 << 21;
    let first = memory.as_ptr().addr().next_multiple_of(PAGE);
    let end = (memory.as_ptr().addr() + size_of_val(memory)) / PAGE * PAGE;
    if first < end {
        // SAFETY: the range lies inside the slice, and the advice changes neither its contents nor who may use it.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
pub fn large<T>(_: &[T]) {}
