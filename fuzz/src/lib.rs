//! What the programs of the fuzzer share: the functions of `tests/it/corpus`, and an allocator that ends the process where an
//! input takes more memory than its kind may.

#[path = "../../tests/it/corpus/targets.rs"]
pub mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Does with `input` what the target `name` does.
pub fn run(name: &str, input: &[u8]) {
    let Some(target) = targets::TARGETS.iter().find(|t| t.name == name) else { panic!("no target {name}") };
    MOST.store(HELD.load(Relaxed).saturating_add(target.memory), Relaxed);
    (target.run)(input);
    MOST.store(usize::MAX, Relaxed);
}

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The system's allocator, with a bound on what is held. Memory that is asked for and never touched counts too.
struct Bounded;

#[global_allocator]
static BOUNDED: Bounded = Bounded;

fn take(bytes: usize) {
    if HELD.fetch_add(bytes, Relaxed).saturating_add(bytes) > MOST.load(Relaxed) {
        MOST.store(usize::MAX, Relaxed);
        let place = std::backtrace::Backtrace::capture();
        eprintln!("balloon: {bytes} bytes more are above the bound of this kind of input\n{place}");
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(old, layout) }
    }
}
