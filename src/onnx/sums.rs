//! Sums and means over axes.

use super::build::{Builder, Value};
use super::tensor::Constant;
use crate::error::Result;
use std::ops::Range;

/// A shape without `axes`, or with 1 in their place.
pub fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let side = |(axis, &side): (usize, &usize)| match axes.contains(&axis) {
        true => keep.then_some(1),
        false => Some(side),
    };
    shape.iter().enumerate().filter_map(side).collect()
}

/// Runs of neighbouring axes, the last first.
pub fn runs(axes: &[usize]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &axis in axes {
        match runs.last_mut() {
            Some(run) if run.end == axis => run.end = axis + 1,
            _ => runs.push(axis..axis + 1),
        }
    }
    runs.reverse();
    runs
}

impl Builder<'_> {
    /// Sums or means over axes.
    pub fn sums(&mut self, x: &Value, axes: &[usize], keep: bool, mean: bool) -> Result<Value> {
        let shape = reduced(x.shape(), axes, keep);
        let long: Vec<usize> = axes.iter().copied().filter(|&a| x.shape()[a] != 1).collect();
        let mut y = x.clone();
        for run in runs(&long) {
            let side: usize = y.shape()[run.clone()].iter().product();
            if side == 0 {
                return Err(self.refuse("it works over an empty axis"));
            }
            self.spend(side)?;
            let weight = if mean { (1.0 / side as f64) as f32 } else { 1.0 };
            let matrix = Constant::floats(vec![1, side], vec![weight; side]);
            let ones = vec![1; run.len()];
            y = self.axis_mix(&y, run, matrix, &ones)?;
        }
        self.reshape(&y, shape)
    }
}
