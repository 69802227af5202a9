//! Tiles: samples that are computed and recorded together. Sample i belongs to tile i / T, at slot i % T, whichever other
//! samples are wanted:
//!
//!   T = 3:   tile 0 = samples 0 1 2,   tile 1 = samples 3 4 5,   tile 2 = samples 6 7 8, …
//!
//! On the processor the bits of a sample depend on its recipe and on i alone, so that only the wanted samples of a tile are
//! computed. Other devices choose their kernels by the shape of a call; there a tile is always computed whole, in calls of
//! the fixed shape `[T, …]`, and its bits depend on T too, but not on how many samples were asked for, in what order, or
//! after which interruption.

use std::collections::BTreeMap;

/// The division of all samples into tiles of one size T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    size: u64,
}

impl Tiling {
    /// Tiles of `size` samples; 0 counts as 1.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1) as u64 }
    }

    /// T, the number of samples in a tile.
    pub fn size(self) -> usize {
        self.size as usize
    }

    /// The tile of a sample and its slot there, from 0 to T − 1.
    pub fn place(self, sample: u64) -> (u64, usize) {
        (sample / self.size, (sample % self.size) as usize)
    }

    /// All T samples of a tile in the order of their slots, wanted or not. The last tile of all, where T does not divide
    /// 2^64, is filled up with the first samples, so that it has the same shape.
    pub fn samples(self, tile: u64) -> impl Iterator<Item = u64> {
        let first = tile * self.size;
        (0..self.size).map(move |slot| first.wrapping_add(slot))
    }

    /// The tiles that hold any of `samples`, each with those it holds, ascending and without repeats.
    pub fn cover(self, samples: &[u64]) -> BTreeMap<u64, Vec<u64>> {
        let mut tiles: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for &s in samples {
            tiles.entry(s / self.size).or_default().push(s);
        }
        for wanted in tiles.values_mut() {
            wanted.sort_unstable();
            wanted.dedup();
        }
        tiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cover_is_the_same_for_any_order() {
        let t = Tiling::new(3);
        let cover = t.cover(&[7, 0, 2, 1, 7]);
        assert_eq!(cover, t.cover(&[2, 7, 1, 0]));
        assert_eq!(cover.into_iter().collect::<Vec<_>>(), vec![(0, vec![0, 1, 2]), (2, vec![7])]);
        assert_eq!(t.place(7), (2, 1));
        assert_eq!(t.samples(2).collect::<Vec<_>>(), vec![6, 7, 8]);
        // 2^64 - 1 is a multiple of 3, so the last seed begins a tile.
        assert_eq!(t.place(u64::MAX), (u64::MAX / 3, 0));
        assert_eq!(t.samples(u64::MAX / 3).collect::<Vec<_>>(), vec![u64::MAX, 0, 1]);
        assert_eq!(Tiling::new(16).samples(u64::MAX / 16).last(), Some(u64::MAX));
    }
}
