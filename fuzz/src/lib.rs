//! What the programs of the fuzzer share: the functions of `tests/it/corpus`, and an allocator that ends the process where an
//! input takes more memory than its kind may.

#[path = "../../tests/it/corpus/targets.rs"]
pub mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError};

/// Does with `input` what the target `name` does. A panic that leaves the target ends the process, which is how the fuzzer knows of it;
/// one that the library catches, as it does where a decoder of pictures panics, is none.
pub fn run(name: &str, input: &[u8]) {
    static HOOK: Once = Once::new();
    // The fuzzer's own hook ends the process at any panic.
    HOOK.call_once(|| panic::set_hook(Box::new(|info| *LAST.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string())));
    let Some(target) = targets::TARGETS.iter().find(|t| t.name == name) else {
        eprintln!("no target {name}");
        std::process::abort();
    };
    MOST.store(HELD.load(Relaxed).saturating_add(target.memory), Relaxed);
    let done = panic::catch_unwind(|| (target.run)(input));
    MOST.store(usize::MAX, Relaxed);
    if done.is_err() {
        eprintln!("{}", LAST.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
}

/// What the last panic said.
static LAST: Mutex<String> = Mutex::new(String::new());

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
