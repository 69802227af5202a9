//! What choices between two pictures say: Bradley and Terry's model (1952), fitted by Newton's method.
//!
//! The left picture is taken with probability σ(w·(φ_left − φ_right) + s): w is what is liked, s how much the left side
//! is. A tie is half a choice each way. Before any choice w and s are N(0, 1) each; the fit is the mode of what is known after
//! them, and the curvature there says how surely (Laplace's approximation).

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Steps of Newton's method; a handful suffices, since the function has one maximum.
const STEPS: usize = 50;
/// The gradient at which it ends, per parameter.
const STILL: f64 = 1e-10;

/// One choice.
#[derive(Clone, Debug)]
pub struct Choice {
    /// φ_left − φ_right.
    pub difference: Vec<f64>,
    /// How much of it went to the left: 1, 0, or 1/2 for a tie.
    pub left: f64,
}

/// What was learnt.
pub struct Fit {
    /// w, then s.
    mode: DVector<f64>,
    /// Of the negative second derivative at the mode.
    curvature: Cholesky<f64, Dyn>,
}

impl Fit {
    /// The fit to choices between pictures of `width` values. It begins at `near`, which decides how long it takes and nothing else.
    pub fn of(choices: &[Choice], width: usize, near: Option<&Fit>) -> Self {
        let size = width + 1;
        let start = near.map(|fit| &fit.mode).filter(|mode| mode.len() == size);
        let mut mode = start.cloned().unwrap_or_else(|| DVector::zeros(size));
        let mut curvature = curvature(choices, &mode);
        for _ in 0..STEPS {
            let gradient = gradient(choices, &mode);
            if gradient.amax() <= STILL {
                break;
            }
            let step = curvature.solve(&gradient);
            let before = log_posterior(choices, &mode);
            // Far from the mode a whole step may overshoot.
            let mut part = 1.0;
            while part > 1e-6 && log_posterior(choices, &(&mode + part * &step)) < before {
                part *= 0.5;
            }
            mode += part * step;
            curvature = self::curvature(choices, &mode);
        }
        Self { mode, curvature }
    }

    /// w·φ: how much a picture is liked, beside others.
    pub fn worth(&self, values: &[f64]) -> f64 {
        dot(&self.mode, values)
    }

    /// s: how much the left side is liked.
    pub fn side(&self) -> f64 {
        self.mode[self.mode.len() - 1]
    }

    /// w as it may be too: drawn around the mode with standard normal numbers, one for each value and one for the side.
    pub fn drawn(&self, normals: &[f64]) -> Drawn {
        let z = DVector::from_column_slice(normals);
        // With H = L·Lᵀ, L⁻ᵀz has covariance H⁻¹.
        let away = self.curvature.l_dirty().tr_solve_lower_triangular(&z).unwrap_or_else(|| DVector::zeros(z.len()));
        Drawn(&self.mode + away)
    }
}

/// A draw of w and s.
pub struct Drawn(DVector<f64>);

impl Drawn {
    /// w·φ.
    pub fn worth(&self, values: &[f64]) -> f64 {
        dot(&self.0, values)
    }
}

fn dot(mode: &DVector<f64>, values: &[f64]) -> f64 {
    mode.iter().zip(values).map(|(w, v)| w * v).sum()
}

fn chance(mode: &DVector<f64>, choice: &Choice) -> f64 {
    let lean = dot(mode, &choice.difference) + mode[mode.len() - 1];
    1.0 / (1.0 + (-lean).exp())
}

fn log_posterior(choices: &[Choice], mode: &DVector<f64>) -> f64 {
    let each = choices.iter().map(|c| {
        let lean = dot(mode, &c.difference) + mode[mode.len() - 1];
        // −ln(1 + eˣ) without overflow.
        c.left * lean - lean.max(0.0) - (-lean.abs()).exp().ln_1p()
    });
    each.sum::<f64>() - 0.5 * mode.norm_squared()
}

fn gradient(choices: &[Choice], mode: &DVector<f64>) -> DVector<f64> {
    let mut sum = -mode.clone();
    for choice in choices {
        let off = choice.left - chance(mode, choice);
        sum.iter_mut().zip(choice.difference.iter().chain([&1.0])).for_each(|(sum, v)| *sum += off * v);
    }
    sum
}

fn curvature(choices: &[Choice], mode: &DVector<f64>) -> Cholesky<f64, Dyn> {
    let size = mode.len();
    let rows = DMatrix::from_fn(choices.len(), size, |i, j| {
        let p = chance(mode, &choices[i]);
        (p * (1.0 - p)).sqrt() * choices[i].difference.get(j).copied().unwrap_or(1.0)
    });
    let whole = rows.tr_mul(&rows) + DMatrix::identity(size, size);
    // The identity keeps it positive definite; values that are not finite never come here.
    Cholesky::new(whole).unwrap_or_else(|| Cholesky::pack_dirty(DMatrix::identity(size, size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    fn normals(rng: &mut impl Rng, n: usize) -> Vec<f64> {
        (0..n).map(|_| rng.sample(StandardNormal)).collect()
    }

    fn simulated(rng: &mut ChaCha8Rng, n: usize, truth: &[f64], side: f64) -> Vec<Choice> {
        let one = |_| {
            let difference = normals(rng, truth.len());
            let lean: f64 = side + difference.iter().zip(truth).map(|(a, b)| a * b).sum::<f64>();
            let left = f64::from(rng.random::<f64>() < 1.0 / (1.0 + (-lean).exp()));
            Choice { difference, left }
        };
        (0..n).map(one).collect()
    }

    /// In one dimension without a side the mode solves Σ d·(t − σ(w·d)) = w; three choices of difference 1 taken left give
    /// 3·(1 − σ(w)) = w, so w = 0.875... by bisection.
    #[test]
    fn one_value_has_the_mode_of_its_equation() {
        let choices = vec![Choice { difference: vec![1.0], left: 1.0 }, Choice { difference: vec![-1.0], left: 0.0 }];
        let fit = Fit::of(&choices, 1, None);
        let (mut low, mut high) = (0.0, 2.0);
        for _ in 0..60 {
            let w: f64 = 0.5 * (low + high);
            if 2.0 / (1.0 + w.exp()) > w { low = w } else { high = w }
        }
        assert!((fit.worth(&[1.0]) - low).abs() < 1e-9 && fit.side().abs() < 1e-12);
        // A tie says nothing between equal things, and pulls towards indifference.
        let tied = [choices, vec![Choice { difference: vec![1.0], left: 0.5 }]].concat();
        assert!(Fit::of(&tied, 1, None).worth(&[1.0]) < low);
        let nothing = Fit::of(&[], 3, None);
        assert_eq!(nothing.worth(&[1.0, 2.0, 3.0]), 0.0);
    }

    /// With many choices the truth lies within the errors that the curvature states: the mean of the squared deviations in its
    /// units is 1 within 4 of its own standard errors.
    #[test]
    fn the_truth_is_found_within_the_stated_errors() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (width, repeats) = (6, 60);
        let mut sum = 0.0;
        for _ in 0..repeats {
            // What is to be found is drawn from what is known beforehand.
            let truth = normals(&mut rng, width + 1);
            let choices = simulated(&mut rng, 300, &truth[..width], truth[width]);
            let fit = Fit::of(&choices, width, None);
            let off = DVector::from_vec(truth) - &fit.mode;
            let l = fit.curvature.l();
            sum += (l.transpose() * off).norm_squared();
        }
        let (mean, n) = (sum / f64::from(repeats), f64::from(repeats) * (width + 1) as f64);
        let error = (width + 1) as f64 * (2.0 / n).sqrt();
        assert!((mean - (width + 1) as f64).abs() < 4.0 * error, "{mean} of {}, error {error}", width + 1);
    }

    #[test]
    fn where_it_begins_makes_no_difference_and_draws_spread_as_they_should() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let choices = simulated(&mut rng, 200, &[1.0, -2.0, 0.0], 0.5);
        let [few, all] = [Fit::of(&choices[..20], 3, None), Fit::of(&choices, 3, None)];
        let again = Fit::of(&choices, 3, Some(&few));
        assert!((&again.mode - &all.mode).amax() < 1e-9);
        let draws = 20_000;
        let mut sum = DMatrix::zeros(4, 4);
        for _ in 0..draws {
            let away = all.drawn(&normals(&mut rng, 4)).0 - &all.mode;
            sum += &away * away.transpose();
        }
        let covariance = all.curvature.inverse();
        // The error of a variance from n draws is √(2/n) of it; five times that for the largest of ten entries.
        let bound = 5.0 * covariance.diagonal().amax() * (2.0 / f64::from(draws)).sqrt();
        assert!((sum / f64::from(draws) - covariance).amax() < bound);
    }
}
