//! Resize: each axis alone. Nearest picks entries, linear and cubic mix them by a matrix.

use super::super::build::Value;
use super::super::shapes::told;
use super::super::tensor::Constant;
use super::Call;
use crate::error::Result;

type Made = Result<Vec<Value>>;

/// How the places of a result lie in the input.
struct Method {
    coordinates: &'static str,
    mode: &'static str,
    nearest: &'static str,
    /// The cubic coefficient.
    a: f64,
    /// Weights outside the input count as 0, the others are scaled up.
    exclude: bool,
}

/// The tent or cubic curve of a mode, at a distance.
fn weight(mode: &str, a: f64, distance: f64) -> f64 {
    let d = distance.abs();
    match mode {
        "linear" => (1.0 - d).max(0.0),
        _ if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        _ if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        _ => 0.0,
    }
}

impl Method {
    /// Where place `at` of `size` places lies in an axis of `side`.
    fn place(&self, at: usize, size: usize, side: usize, scale: f64) -> f64 {
        let i = at as f64;
        match self.coordinates {
            "asymmetric" => i / scale,
            "align_corners" if size <= 1 => 0.0,
            "align_corners" => i * (side as f64 - 1.0) / (size as f64 - 1.0),
            "pytorch_half_pixel" if size <= 1 => 0.0,
            "half_pixel_symmetric" => {
                let adjustment = size as f64 / (scale * side as f64);
                let centre = side as f64 / 2.0;
                centre * (1.0 - adjustment) + (i + 0.5) / scale - 0.5
            }
            _ => (i + 0.5) / scale - 0.5,
        }
    }

    fn pick(&self, size: usize, side: usize, scale: f64) -> Vec<i32> {
        let whole = |x: f64| match self.nearest {
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            "round_prefer_ceil" => (x + 0.5).floor(),
            _ => (x - 0.5).ceil(),
        };
        (0..size).map(|i| whole(self.place(i, size, side, scale)).clamp(0.0, side as f64 - 1.0) as i32).collect()
    }

    /// The matrix `[size, side]` of one axis.
    fn matrix(&self, size: usize, side: usize, scale: f64) -> Vec<f32> {
        let reach = if self.mode == "linear" { 1 } else { 2 };
        let mut matrix = vec![0f64; size * side];
        for (i, row) in matrix.chunks_mut(side).enumerate() {
            let at = self.place(i, size, side, scale);
            let low = at.floor() as i64;
            let mut sum = 0.0;
            for j in low - reach + 1..=low + reach {
                let w = weight(self.mode, self.a, at - j as f64);
                let inside = (0..side as i64).contains(&j);
                if inside || !self.exclude {
                    row[j.clamp(0, side as i64 - 1) as usize] += w;
                    sum += w;
                }
            }
            if self.exclude && sum != 0.0 {
                row.iter_mut().for_each(|w| *w /= sum);
            }
        }
        matrix.into_iter().map(|w| w as f32).collect()
    }
}

/// The size and scale of each axis, those that stay as they are left out.
fn targets(call: &Call, x: &Value, axes: &[usize]) -> Result<Vec<(usize, usize, f64)>> {
    let rank = axes.len();
    let scales = call.constant(2, "scales")?.filter(|c| c.len() > 0);
    let sizes = call.ints_of(3, "sizes")?.filter(|s| !s.is_empty());
    let policy = call.text("keep_aspect_ratio_policy", &["stretch", "not_larger", "not_smaller"])?;
    let targets: Vec<(usize, usize, f64)> = match (scales, sizes) {
        (_, Some(sizes)) => {
            if policy != "stretch" {
                return Err(call
                    .build
                    .refuse(format!("its keep_aspect_ratio_policy is \"{policy}\"; only stretch is read")));
            }
            let sizes = call.sizes("sizes", &sizes, 1, rank)?;
            axes.iter().zip(sizes).map(|(&a, size)| (a, size, size as f64 / x.shape()[a] as f64)).collect()
        }
        (Some(scales), None) => {
            let scales = scales.as_floats().into_owned();
            if scales.len() != rank || scales.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
                return Err(call.build.refuse(format!("its scales are {:?}", &scales[..scales.len().min(8)])));
            }
            let size = |a: usize, s: f64| (x.shape()[a] as f64 * s).floor();
            axes.iter().zip(scales).map(|(&a, s)| (a, size(a, f64::from(s)) as usize, f64::from(s))).collect()
        }
        (None, None) => return Err(call.build.refuse("it has neither scales nor sizes")),
    };
    Ok(targets.into_iter().filter(|&(a, size, scale)| size != x.shape()[a] || scale != 1.0).collect())
}

pub fn resize(call: &mut Call) -> Made {
    let x = call.x(0)?;
    let rank = x.shape().len();
    let axes = match call.ints("axes")? {
        Some(axes) => {
            call.axes(&axes, rank)?;
            axes.iter().map(|&a| call.axis(a, rank)).collect::<Result<Vec<_>>>()?
        }
        None => (0..rank).collect(),
    };
    let coordinates = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"];
    let method = Method {
        coordinates: call.text("coordinate_transformation_mode", &coordinates)?,
        mode: call.text("mode", &["nearest", "linear", "cubic"])?,
        nearest: call.text("nearest_mode", &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])?,
        a: f64::from(call.float("cubic_coeff_a", -0.75)?),
        exclude: call.int("exclude_outside", 0)? != 0,
    };
    let targets = targets(call, &x, &axes)?;
    let mut shape = x.shape().to_vec();
    for &(axis, size, _) in &targets {
        shape[axis] = size;
    }
    if call.build.size(&shape)? == 0 || x.features() == 0 {
        return Err(call.build.refuse(format!("its result of shape {} is empty", told(&shape))));
    }
    if call.int("antialias", 0)? != 0 && method.mode != "nearest" && targets.iter().any(|t| t.2 < 1.0) {
        return Err(call
            .build
            .refuse("it smooths while it makes a picture smaller (antialias = 1), which is not read"));
    }
    if method.mode == "nearest" {
        let mut lists = vec![None; rank];
        for (axis, size, scale) in targets {
            lists[axis] = Some(method.pick(size, x.shape()[axis], scale));
        }
        return Ok(vec![call.build.pick(&x, lists, 0.0)?]);
    }
    let mut y = x;
    for (axis, size, scale) in targets {
        let side = y.shape()[axis];
        let count = call.build.size(&[size, side])?;
        call.build.spend(count)?;
        let matrix = Constant::floats(vec![size, side], method.matrix(size, side, scale));
        y = call.build.axis_mix(&y, axis..axis + 1, matrix, &[size])?;
    }
    Ok(vec![y])
}
