//! Factors and summands of affine maps: entry by entry, for each place of an axis, and back to the smallest view.

use super::super::kind::View;
use super::super::tensor::Constant;

/// Entries of a value that are looked at one by one at most.
const MOST: usize = 1 << 26;

/// The entry of a constant along the middle axis of `view` for entry `i` of a value; `missing` where there is none.
pub fn entry(constant: Option<&[f32]>, view: View, i: usize, missing: f32) -> f32 {
    match constant {
        Some([only]) => *only,
        Some(all) => all.get(i / view.inner.max(1) % view.mid.max(1)).copied().unwrap_or(missing),
        None => missing,
    }
}

/// Numbers for each place of the middle axis of `own`, if those that a constant has along `view` depend on that place
/// alone; `missing` where there is no constant.
pub fn by_place(constant: Option<&Constant>, view: View, missing: f32, own: View) -> Option<Vec<f32>> {
    let values = constant.map(|c| c.as_floats());
    let values = values.as_deref();
    if let None | Some([_]) = values {
        return Some(vec![entry(values, view, 0, missing); own.mid]);
    }
    if (view.mid, view.inner) == (own.mid, own.inner) {
        return values.map(<[f32]>::to_vec).filter(|v| v.len() == own.mid);
    }
    let features = own.outer * own.mid * own.inner;
    if features > MOST {
        return None;
    }
    let mut found: Vec<Option<f32>> = vec![None; own.mid];
    for i in 0..features {
        let slot = found.get_mut(i / own.inner % own.mid)?;
        let value = entry(values, view, i, missing);
        if *slot.get_or_insert(value) != value {
            return None;
        }
    }
    found.into_iter().collect()
}

/// An affine map written out for each entry as one of the smallest view. None if there is nothing in it, or a number is
/// not finite.
pub fn smallest(pairs: &[(f32, f32)]) -> Option<(View, Option<Constant>, Option<Constant>)> {
    if pairs.iter().any(|(a, b)| !a.is_finite() || !b.is_finite()) {
        return None;
    }
    let features = pairs.len();
    // What lies behind the axis: the largest length of blocks that are all alike inside.
    let bounds = pairs.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]);
    let inner = bounds.fold(features, |inner, (i, _)| divisor(inner, i + 1));
    let blocks: Vec<(f32, f32)> = pairs.iter().step_by(inner.max(1)).copied().collect();
    // The axis itself: the smallest period.
    let repeats = |mid: &usize| {
        blocks.len().is_multiple_of(*mid) && blocks.iter().zip(blocks.iter().skip(*mid)).all(|(a, b)| a == b)
    };
    let mid = (1..=blocks.len()).find(repeats)?;
    let view = View { outer: blocks.len() / mid, mid, inner };
    let view = if mid == 1 { View { outer: 1, mid: 1, inner: features } } else { view };
    let part = |of: fn(&(f32, f32)) -> f32, neutral: f32| {
        let values: Vec<f32> = blocks.iter().take(mid).map(of).collect();
        values.iter().any(|v| *v != neutral).then(|| Constant::floats(vec![mid], values))
    };
    let (scale, shift) = (part(|p| p.0, 1.0), part(|p| p.1, 0.0));
    (scale.is_some() || shift.is_some()).then_some((view, scale, shift))
}

/// The greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_view_is_found() {
        let full = |view: View, scale: &[f32]| -> Vec<(f32, f32)> {
            let features = view.outer * view.mid * view.inner;
            (0..features).map(|i| (entry(Some(scale), view, i, 1.0), 0.0)).collect()
        };
        for (outer, mid, inner) in [(1, 1, 6), (1, 4, 1), (3, 4, 1), (1, 4, 5), (2, 3, 4), (5, 2, 2)] {
            let scale: Vec<f32> = (0..mid).map(|i| 2.0 + i as f32).collect();
            let pairs = full(View { outer, mid, inner }, &scale);
            let (view, found, shift) = smallest(&pairs).unwrap();
            let one = View { outer: 1, mid: 1, inner: outer * mid * inner };
            assert_eq!(view, if mid == 1 { one } else { View { outer, mid, inner } });
            assert_eq!(found.unwrap().as_floats(), scale);
            assert!(shift.is_none());
        }
        // Repeated neighbours inside the axis.
        let scale = [2.0, 2.0, 3.0, 2.0];
        let (view, found, _) = smallest(&full(View { outer: 2, mid: 4, inner: 3 }, &scale)).unwrap();
        assert_eq!((view.mid, view.inner, found.unwrap().len()), (4, 3, 4));
        assert!(smallest(&[(1.0, 0.0); 4]).is_none());
        assert!(smallest(&[(1.0, f32::INFINITY)]).is_none());
    }
}
