//! Memory for rows that is used again. Rows of one node take megabytes, are let go a few nodes later, and the next node asks
//! for as much: fresh memory from the operating system would cost more time than many a node does.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Values of rows. When they are let go, their memory is kept for whoever asks next.
#[derive(Clone, Default)]
pub struct Buffer(Vec<f32>);

/// Memory that nobody uses at the moment.
static KEPT: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// At most so many values are kept, 96 MiB of them.
const MOST: usize = 24 << 20;

/// Smaller memory is cheap to get and is not kept.
const LEAST: usize = 16 << 10;

impl Buffer {
    /// `n` zeros.
    pub fn zeros(n: usize) -> Self {
        match (n >= LEAST).then(|| taken(n)).flatten() {
            Some(mut values) => {
                values.clear();
                values.resize(n, 0.0);
                Self(values)
            }
            None => Self(vec![0.0; n]),
        }
    }

    /// `n` values of whatever was there before, for whoever writes them all.
    pub fn any(n: usize) -> Self {
        match (n >= LEAST).then(|| taken(n)).flatten() {
            Some(mut values) => {
                values.resize(n, 0.0);
                Self(values)
            }
            None => Self(vec![0.0; n]),
        }
    }

    /// Room for `n` values, and none yet.
    pub fn room(n: usize) -> Self {
        let mut values = (n >= LEAST).then(|| taken(n)).flatten().unwrap_or_else(|| Vec::with_capacity(n));
        values.clear();
        Self(values)
    }

    /// The values, so that some can be added.
    pub fn list(&mut self) -> &mut Vec<f32> {
        &mut self.0
    }
}

/// The smallest memory that is kept and holds `n` values, if it holds no more than twice as many.
fn taken(n: usize) -> Option<Vec<f32>> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |v: &&Vec<f32>| v.capacity() >= n && v.capacity() <= 2 * n;
    let found = kept.iter().filter(fits).map(Vec::capacity).min()?;
    let at = kept.iter().position(|v| v.capacity() == found)?;
    Some(kept.swap_remove(at))
}

impl From<Vec<f32>> for Buffer {
    fn from(values: Vec<f32>) -> Self {
        Self(values)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        if values.capacity() < LEAST || values.capacity() > MOST {
            return;
        }
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(values);
        // The oldest go first.
        let mut total: usize = kept.iter().map(Vec::capacity).sum();
        let surplus = kept.iter().take_while(|v| {
            let over = total > MOST;
            total -= if over { v.capacity() } else { 0 };
            over
        });
        let surplus = surplus.count();
        drop(kept.drain(..surplus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_as_zeros_and_is_bounded() {
        let size = 3 * LEAST + 1;
        let mut first = Buffer::zeros(size);
        first.iter_mut().for_each(|v| *v = 7.0);
        drop(first);
        let again = Buffer::zeros(size - 5);
        assert!(again.len() == size - 5 && again.iter().all(|v| *v == 0.0));
        drop(vec![Buffer::zeros(MOST / 3), Buffer::zeros(MOST / 3), Buffer::zeros(MOST / 3), Buffer::zeros(MOST / 3)]);
        drop(Buffer::zeros(MOST + 1));
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(kept.iter().map(Vec::capacity).sum::<usize>() <= MOST);
    }
}
