//! Which two pictures are asked about next.

use super::fit::Fit;
use crate::store::sha256_hex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Pairs that the one nearest to a draw is chosen from.
const CANDIDATES: usize = 256;
/// Every so many pairs one is chosen blindly, so that the choices about those say how well the others were learnt from.
const BLIND: u64 = 3;

/// Two places in the pool, and whether they were chosen blindly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The left picture.
    pub left: usize,
    /// The right one.
    pub right: usize,
    /// Whether the pair was chosen blindly: such ones measure what was learnt.
    pub check: bool,
}

/// The pair of number `number` among pictures, given as places in the pool and their values. Two of three are what
/// is hardest to predict for a taste that is drawn from all that the choices allow (Thompson's sampling): the nearest to even of
/// many. The same number, name and fit give the same pair.
pub fn next(pool: &[(usize, &[f64])], fit: &Fit, name: &str, number: u64) -> Option<Pair> {
    if pool.len() < 2 {
        return None;
    }
    let hash = sha256_hex(format!("{name} {number}").as_bytes());
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from_str_radix(&hash[..16], 16).unwrap_or(number));
    let mut any = || {
        let a = rng.random_range(0..pool.len());
        (a, (a + rng.random_range(1..pool.len())) % pool.len())
    };
    let check = number % BLIND == BLIND - 1;
    let (left, right) = if check {
        any()
    } else {
        let candidates: Vec<(usize, usize)> = (0..CANDIDATES).map(|_| any()).collect();
        let width = pool[0].1.len();
        let normals: Vec<f64> = (0..=width).map(|_| rng.sample(StandardNormal)).collect();
        let drawn = fit.drawn(&normals);
        let apart = |pair: &(usize, usize)| (drawn.worth(pool[pair.0].1) - drawn.worth(pool[pair.1].1)).abs();
        candidates.into_iter().min_by(|a, b| apart(a).total_cmp(&apart(b)))?
    };
    Some(Pair { left: pool[left].0, right: pool[right].0, check })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_of_two_pictures_the_same_each_time_and_hard_or_blind() {
        let values: Vec<(usize, [f64; 1])> = (0..100).filter(|i| i % 10 != 3).map(|i| (i, [i as f64 / 10.0])).collect();
        let pool: Vec<(usize, &[f64])> = values.iter().map(|(i, v)| (*i, v.as_slice())).collect();
        let choice = |d: f64| super::super::fit::Choice { difference: vec![d], left: f64::from(d > 0.0) };
        let choices: Vec<_> = (0..200).map(|i| choice(f64::from(i % 20 - 10) / 3.0)).collect();
        let fit = Fit::of(&choices, 1, None);
        let all: Vec<Pair> = (0..300).filter_map(|n| next(&pool, &fit, "m", n)).collect();
        assert_eq!(all.len(), 300);
        assert_eq!(all, (0..300).filter_map(|n| next(&pool, &fit, "m", n)).collect::<Vec<_>>());
        assert!(all.iter().all(|p| p.left != p.right && p.left % 10 != 3 && p.right % 10 != 3));
        assert_eq!(all.iter().filter(|p| p.check).count(), 100);
        let apart = |check: bool| {
            let found = all.iter().filter(|p| p.check == check).map(|p| p.left.abs_diff(p.right) as f64);
            let found: Vec<f64> = found.collect();
            found.iter().sum::<f64>() / found.len() as f64
        };
        assert!(apart(false) < 0.2 * apart(true), "{} {}", apart(false), apart(true));
        // Sides are even: of 300 pairs the better one is on the left in half, within four standard deviations.
        let left = all.iter().filter(|p| p.left > p.right).count() as f64;
        assert!((left - 150.0).abs() < 4.0 * 75f64.sqrt(), "{left}");
        assert_eq!(next(&pool[..1], &fit, "m", 0), None);
    }
}
