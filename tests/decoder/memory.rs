//! How much memory this thread holds, and held at most.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread holds now; what another thread frees counts there.
pub(crate) fn held() -> isize {
    HELD.get()
}

/// Begins to look for the most that is held.
pub(crate) fn watch() {
    PEAK.set(HELD.get());
}

/// The most that was held since [`watch`].
pub(crate) fn peak() -> isize {
    PEAK.get()
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

/// The system's memory, counted by thread.
struct Counting;

#[global_allocator]
static MEMORY: Counting = Counting;

#[expect(unsafe_code, reason = "counting memory takes an allocator; each call goes to the system's as it came")]
// SAFETY: every method hands its arguments on unchanged, and the counters neither allocate nor have a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks may exist for a moment.
        count(size.cast_signed());
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(at, layout) }
    }
}
