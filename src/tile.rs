//! The canonical tile: sample `i` is always computed in tile `i / T` at slot `i % T`, in calls of the
//! fixed shape `[T, …]`. So its bits depend on the recipe and `i` alone.

use std::collections::BTreeMap;

/// Samples per tile and the arithmetic that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    size: u64,
}

impl Tiling {
    /// Tiles of `size` samples, at least one.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1) as u64 }
    }

    /// Samples per tile.
    pub fn size(self) -> usize {
        self.size as usize
    }

    /// (tile, slot) of a sample.
    pub fn place(self, sample: u64) -> (u64, usize) {
        (sample / self.size, (sample % self.size) as usize)
    }

    /// All samples of a tile, in the order of their slots.
    pub fn samples(self, tile: u64) -> impl Iterator<Item = u64> {
        let first = tile * self.size;
        first..first.saturating_add(self.size)
    }

    /// The tiles that `samples` touch, each with its wanted samples ascending and once.
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
    }
}
