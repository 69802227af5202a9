//! A value as a product of constants and of values of fewer entries that are spread over it, which is what weights that
//! depend on the latent are.

use super::super::kind::Kind;
use super::super::tensor::Constant;
use super::scene::Scene;

/// A value whose entry i is `constant[i]` times, for each factor, one of its entries.
pub struct Factors {
    /// Constant factors of all entries.
    pub constant: Vec<f64>,
    /// Live factors.
    pub live: Vec<Factor>,
}

/// A factor of each entry of a value.
pub struct Factor {
    /// The value that it is an entry of.
    pub id: usize,
    /// Whether entries are divided by it.
    pub inverse: bool,
    /// For each entry the factor's; none for the same. Where the constant is 0 it says nothing.
    pub index: Option<Vec<i32>>,
}

impl Factor {
    /// The factor's entry for entry `i`.
    pub fn at(&self, i: usize) -> usize {
        self.index.as_ref().map_or(i, |index| index.get(i).map_or(0, |at| *at as usize))
    }
}

/// Nodes between a value and its factors at most.
const DEPTH: usize = 12;
/// Factors of a value at most.
const MOST: usize = 6;
/// Entries of a value that is taken apart at most.
const ENTRIES: usize = 1 << 24;

impl Factors {
    /// The factors of a value.
    pub fn of(scene: &Scene, id: usize) -> Option<Self> {
        if scene.features(id) > ENTRIES {
            return None;
        }
        let factors = Self::taken(scene, id, DEPTH)?;
        factors.constant.iter().all(|v| v.is_finite()).then_some(factors)
    }

    fn leaf(scene: &Scene, id: usize) -> Self {
        let live = vec![Factor { id, inverse: false, index: None }];
        Self { constant: vec![1.0; scene.features(id)], live }
    }

    fn taken(scene: &Scene, id: usize, depth: usize) -> Option<Self> {
        let Some((node, depth)) = scene.maker(id).zip(depth.checked_sub(1)) else { return Some(Self::leaf(scene, id)) };
        match (&node.kind, &node.inputs[..]) {
            (Kind::Constant(c), _) => {
                Some(Self { constant: c.as_floats().iter().map(|v| f64::from(*v)).collect(), live: Vec::new() })
            }
            (Kind::Rearrange { index: None, .. }, [x]) => Self::taken(scene, *x, depth),
            (Kind::Rearrange { index: Some(index), fill }, [x]) if *fill == 0.0 || index.iter().all(|i| *i >= 0) => {
                Self::taken(scene, *x, depth)?.rearranged(index)
            }
            (Kind::Affine { view, scale, shift }, [x]) if still(shift) => {
                let mut factors = Self::taken(scene, *x, depth)?;
                if let Some(scale) = scale {
                    let scale = scale.as_floats();
                    for (i, v) in factors.constant.iter_mut().enumerate() {
                        *v *= f64::from(super::places::entry(Some(&scale), *view, i, 1.0));
                    }
                }
                Some(factors)
            }
            (Kind::Product, [a, b]) => Self::taken(scene, *a, depth)?.times(Self::taken(scene, *b, depth)?, false),
            (Kind::Quotient, [a, b]) => Self::taken(scene, *a, depth)?.times(Self::taken(scene, *b, depth)?, true),
            _ => Some(Self::leaf(scene, id)),
        }
    }

    fn rearranged(self, index: &[i32]) -> Option<Self> {
        let from = |i: &i32| usize::try_from(*i).ok();
        let constant = index.iter().map(|i| from(i).map_or(Some(0.0), |i| self.constant.get(i).copied()));
        let constant = constant.collect::<Option<Vec<f64>>>()?;
        let moved = |f: Factor| {
            let at = |i: &i32| from(i).map_or(0, |i| f.at(i) as i32);
            Factor { index: Some(index.iter().map(at).collect()), ..f }
        };
        Some(Self { constant, live: self.live.into_iter().map(moved).collect() })
    }

    fn times(mut self, other: Self, divided: bool) -> Option<Self> {
        if self.constant.len() != other.constant.len() || self.live.len() + other.live.len() > MOST {
            return None;
        }
        for (a, b) in self.constant.iter_mut().zip(&other.constant) {
            *a = if divided { *a / b } else { *a * b };
        }
        self.live.extend(other.live.into_iter().map(|f| Factor { inverse: f.inverse != divided, ..f }));
        Some(self)
    }
}

/// Whether nothing is added.
fn still(shift: &Option<Constant>) -> bool {
    shift.as_ref().is_none_or(|c| c.uniform() == Some(0.0))
}
