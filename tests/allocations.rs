//! What the steady path may allocate: one block of memory for a chunk, nothing for a frame.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, Instant},
};

use pulse_bridge::{
    clock,
    stream::{Output, Stream},
};

#[path = "../benches/hot_path/call.rs"]
mod call;
#[path = "../benches/hot_path/phone.rs"]
mod phone;

/// Frames in a chunk of 60 ms.
const FRAMES_A_CHUNK: usize = 3;
/// Frames after which everything that grows once has grown.
const WARM: usize = 300;

#[test]
fn a_frame_allocates_nothing_and_a_chunk_its_own_bytes_only() {
    let texts: Vec<String> = (0..phone::FRAMES).map(|frame| phone::media(frame, "")).collect();
    let start = clock::now();
    let mut stream = call::started(start);
    let mut chunks = 0;
    texts[..WARM].iter().zip(0..).for_each(|(text, frame)| drop(passed(&mut stream, text, frame, start)));
    let mut by_frame = Vec::with_capacity(phone::FRAMES);
    for (text, frame) in texts.iter().zip(0..).skip(WARM) {
        let before = allocations();
        let chunk = passed(&mut stream, text, frame, start);
        chunks += usize::from(chunk.is_some());
        by_frame.push(allocations() - before);
    }
    assert_eq!(chunks, (phone::FRAMES - WARM) / FRAMES_A_CHUNK);
    assert!(by_frame.iter().all(|count| *count <= 1), "no frame allocates more than its chunk's bytes");
    assert_eq!(by_frame.iter().sum::<usize>(), chunks, "and only one frame of a chunk allocates them");
}

#[test]
fn a_chunk_on_its_way_to_the_speech_service_is_shared_and_not_copied() {
    let minute = call::Minute::new();
    let mut call = call::Call::new(&minute);
    (0..WARM).for_each(|_| call.frame());
    let before = allocations();
    (WARM..phone::FRAMES).for_each(|_| call.frame());
    let chunks = (phone::FRAMES - WARM) / FRAMES_A_CHUNK;
    // Its bytes, and the count of those who hold them: link, backlog and socket.
    assert_eq!(allocations() - before, 2 * chunks);
    assert!(call.written() > (phone::FRAMES * phone::FRAME_BYTES) as u64, "all audio has come out");
}

/// The chunk that a frame completes.
fn passed(stream: &mut Stream, text: &str, frame: u32, start: Instant) -> Option<bytes::Bytes> {
    stream.handle_text(text, start + Duration::from_millis(20) * frame);
    let mut passed = None;
    while let Some(output) = stream.poll_output() {
        if let Output::Audio { chunk, .. } = output {
            passed = Some(chunk.audio);
        }
    }
    passed
}

/// Blocks of memory that this thread has asked for.
fn allocations() -> usize {
    ALLOCATIONS.get()
}

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's memory, counted by thread.
struct Counting;

#[global_allocator]
static MEMORY: Counting = Counting;

#[expect(unsafe_code, reason = "counting allocations takes an allocator; each call goes to the system's as it came")]
// SAFETY: every method hands its arguments on unchanged, and the counter neither allocates nor has a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(at, layout) }
    }
}
