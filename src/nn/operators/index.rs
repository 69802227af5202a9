//! Lists of indices as a graph file holds them. Most come from slices, transpositions and enlargements, so they are nested
//! loops of equal steps; the others are runs.

use crate::error::{Error, Result};
use crate::limits;
use serde::{Deserialize, Serialize};

/// A list of indices; -1 stands for none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Index {
    /// `first + Σ stepⱼ·iⱼ` for i₁ (outermost), i₂, …, each from 0 to its count.
    Loops {
        /// The first index.
        first: i64,
        /// Count and step of each loop, the outermost first.
        loops: Vec<(u32, i64)>,
    },
    /// Runs of first index, step and count, one after another.
    Runs(Vec<(i64, i64, u32)>),
}

impl Index {
    /// The shorter way to write `list`.
    pub fn of(list: &[i32]) -> Self {
        let mut runs: Vec<(i64, i64, u32)> = Vec::new();
        for v in list.iter().map(|v| i64::from(*v)) {
            match runs.last_mut() {
                Some((first, step, count)) if *count == 1 && *step == 0 => {
                    (*step, *count) = (v - *first, 2);
                }
                Some((first, step, count)) if v == *first + *step * i64::from(*count) => *count += 1,
                _ => runs.push((v, 0, 1)),
            }
        }
        match loops(list) {
            Some((first, loops)) if loops.len() <= 8 && loops.len() < 2 * runs.len() => Self::Loops { first, loops },
            _ => Self::Runs(runs),
        }
    }

    /// The list of `length` indices, each below `limit`, with [`u32::MAX`] for none.
    ///
    /// # Errors
    /// [`Error::Key`] at `index` for another length, or an index outside.
    pub fn list(&self, length: usize, limit: usize) -> Result<Vec<u32>> {
        let counted = match self {
            Self::Loops { loops, .. } => loops.iter().try_fold(1usize, |n, (count, _)| n.checked_mul(*count as usize)),
            Self::Runs(runs) => runs.iter().try_fold(0usize, |n, (_, _, count)| n.checked_add(*count as usize)),
        };
        if counted != Some(length) || length > limits::VALUE {
            let found = counted.map_or("too many".to_owned(), |n| n.to_string());
            return Err(Error::key("index", format!("expected {length} indices, found {found}")));
        }
        let mut all = Vec::with_capacity(length);
        match self {
            Self::Loops { first, loops } => {
                all.push(*first);
                for (count, step) in loops {
                    let steps = (0..i64::from(*count)).map(|i| i.saturating_mul(*step)).collect::<Vec<_>>();
                    all = all.iter().flat_map(|v| steps.iter().map(|s| v.saturating_add(*s))).collect();
                }
            }
            Self::Runs(runs) => {
                for (first, step, count) in runs {
                    all.extend((0..i64::from(*count)).map(|i| first.saturating_add(i.saturating_mul(*step))));
                }
            }
        }
        let one = |v: i64| match v {
            -1 => Ok(u32::MAX),
            v if v >= 0 && (v as u64) < limit as u64 => Ok(v as u32),
            v => {
                Err(Error::key("index", format!("expected indices from -1 to {}, found {v}", limit.saturating_sub(1))))
            }
        };
        all.into_iter().map(one).collect()
    }
}

/// The list as nested loops, from the innermost outwards; `None` if it is none.
fn loops(list: &[i32]) -> Option<(i64, Vec<(u32, i64)>)> {
    let first = i64::from(*list.first()?);
    let (mut heads, mut found): (Vec<i64>, Vec<(u32, i64)>) =
        (list.iter().map(|v| i64::from(*v)).collect(), Vec::new());
    while heads.len() > 1 {
        let step = heads[1] - heads[0];
        let run = heads.windows(2).take_while(|w| w[1] - w[0] == step).count() + 1;
        // The run may have swallowed the start of the next loop by chance: a divisor of the length that repeats is sought.
        let count = (2..=run)
            .rev()
            .filter(|c| heads.len().is_multiple_of(*c))
            .find(|c| heads.chunks_exact(*c).all(|part| part.windows(2).all(|w| w[1] - w[0] == step)))?;
        heads = heads.chunks_exact(count).map(|part| part[0]).collect();
        found.push((count as u32, step));
        if found.len() > 8 {
            return None;
        }
    }
    found.reverse();
    Some((first, found))
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn every_list_comes_back() {
        let transposed: Vec<i32> = (0..4).flat_map(|i| (0..3).map(move |j| j * 4 + i)).collect();
        let enlarged: Vec<i32> = (0..8).flat_map(|i| (0..8).map(move |j| i / 2 * 4 + j / 2)).collect();
        let padded = vec![-1, 0, 1, 2, -1, -1, 3, 4, 5, -1];
        let lists = [
            vec![5],
            vec![0, 1, 2, 3],
            vec![3, 2, 1, 0],
            vec![7, 7, 7],
            transposed,
            enlarged,
            padded,
            vec![2, 0, 1, 1],
        ];
        for list in lists {
            let index = Index::of(&list);
            let text = serde_json::to_string(&index).unwrap();
            let read: Index = serde_json::from_str(&text).unwrap();
            let expected: Vec<u32> = list.iter().map(|v| if *v < 0 { u32::MAX } else { *v as u32 }).collect();
            assert_eq!(read.list(list.len(), 16).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn wrong_lists_are_refused() {
        let refused = |index: Index, length| index.list(length, 4).is_err();
        assert!(refused(Index::Runs(vec![(0, 1, 5)]), 5));
        assert!(refused(Index::Runs(vec![(0, 1, 3)]), 4));
        assert!(refused(Index::Runs(vec![(-2, 1, 2)]), 2));
        assert!(refused(Index::Loops { first: 0, loops: vec![(u32::MAX, 1), (u32::MAX, 1), (u32::MAX, 1)] }, 4));
        assert!(refused(Index::Loops { first: i64::MAX, loops: vec![(2, i64::MAX)] }, 2));
    }
}
