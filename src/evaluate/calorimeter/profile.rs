//! The mean electromagnetic shower in closed form: how deep its energy lies and how wide.
//!
//! Along the axis, in radiation lengths t (Longo & Sestili 1975; Review of Particle Physics, "Passage of particles
//! through matter"):
//!
//!   dE/dt = E β (βt)^(α−1) e^(−βt) / Γ(α)          t_max = (α − 1)/β = ln(E/E_c) + C
//!
//! Across it, in mm, a core and a tail, each of density e^(−r/λ)/(2πλ²): the share within r is 1 − (1 + r/λ) e^(−r/λ).

/// The regularised lower incomplete gamma function P(a, x), for a > 0: the share of a Gamma distribution of shape a
/// below x. By its power series below a + 1, and above by Legendre's continued fraction for 1 − P (Numerical Recipes,
/// 6.2). Accurate to about 10⁻¹³ where a is below 1,000.
pub fn gamma_p(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut k) = (1.0 / a, 1.0 / a, a);
        while term > sum * f64::EPSILON {
            k += 1.0;
            term *= x / k;
            sum += term;
        }
        return (front * sum).min(1.0);
    }
    // Lentz's method, with every denominator kept away from 0.
    let apart = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / apart(b));
    let mut fraction = d;
    for i in 1..100_000 {
        let i = f64::from(i);
        let n = i * (a - i);
        b += 2.0;
        d = 1.0 / apart(n * d + b);
        c = apart(b + n / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    (1.0 - front * fraction).max(0.0)
}

/// The energy of one shower along its axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Longitudinal {
    /// α.
    pub shape: f64,
    /// β, per radiation length.
    pub decay: f64,
}

impl Longitudinal {
    /// The profile with its maximum at depth `peak`.
    pub fn peaking_at(peak: f64, decay: f64) -> Self {
        Self { shape: 1.0 + decay * peak, decay }
    }

    /// The share of the energy between two depths, and its mean depth there (halfway where there is none).
    pub fn between(&self, from: f64, to: f64) -> (f64, f64) {
        let part = |a: f64| gamma_p(a, self.decay * to) - gamma_p(a, self.decay * from);
        let share = part(self.shape);
        let mean = self.shape / self.decay * part(self.shape + 1.0) / share;
        (share.max(0.0), if mean.is_finite() { mean.clamp(from, to) } else { 0.5 * (from + to) })
    }
}

/// The share of a component of scale λ within radius r: 1 − (1 + r/λ) e^(−r/λ).
pub fn within(r: f64, scale: f64) -> f64 {
    let x = r / scale;
    1.0 - (1.0 + x) * (-x).exp()
}

/// Shares of the sectors, whose middles are at `angles`, of a component of scale λ around an axis that is `shift` mm
/// away from the middle, in the direction `towards`. To first order in shift/λ, e^(−|x − δ|/λ) is e^(−r/λ) e^(δ cos
/// α/λ), and so the centre of energy is δ. They add up to 1.
pub fn sectors(angles: impl Iterator<Item = f64>, shift: f64, towards: f64, scale: f64) -> Vec<f64> {
    let weights: Vec<f64> = angles.map(|a| (shift / scale * ((a - towards).cos() - 1.0)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.special.gammainc, by calorimeter/profile.py.
    #[test]
    fn the_incomplete_gamma_function() {
        for (a, x, expected) in super::super::oracle::GAMMA_P {
            let found = gamma_p(*a, *x);
            assert!((found - expected).abs() <= 1e-13 * expected.max(1e-3), "P({a}, {x}) = {found} and not {expected}");
        }
        assert_eq!((gamma_p(2.0, 0.0), gamma_p(2.0, -1.0), gamma_p(2.0, 1e6)), (0.0, 0.0, 1.0));
    }

    /// Against the trapezoid rule on the density.
    #[test]
    fn shares_and_mean_depths_are_integrals_of_the_profile() {
        let profile = Longitudinal::peaking_at(6.2, 0.5);
        let density = |t: f64| {
            let a = profile.shape;
            profile.decay * ((a - 1.0) * (profile.decay * t).ln() - profile.decay * t - libm::lgamma(a)).exp()
        };
        let steps = 20_000;
        for (from, to) in [(1.0, 5.5), (5.5, 22.0), (22.0, 25.0)] {
            let width = (to - from) / f64::from(steps);
            let sum = |of: &dyn Fn(f64) -> f64| {
                (0..steps).map(|i| of(from + (f64::from(i) + 0.5) * width) * width).sum::<f64>()
            };
            let (share, mean) = profile.between(from, to);
            let expected = sum(&density);
            // The midpoint rule errs by width²/24 times the change of slope, below 1e-8 here.
            assert!((share - expected).abs() < 1e-8, "{share} and not {expected}");
            assert!((mean - sum(&|t| t * density(t)) / expected).abs() < 1e-6, "{mean}");
        }
        // It peaks where it was asked to.
        assert!(density(6.2) > density(6.1) && density(6.2) > density(6.3));
        assert_eq!(profile.between(900.0, 1000.0), (0.0, 950.0));
    }

    #[test]
    fn rings_and_sectors_add_up() {
        // Half of it within 1.678346990016661 λ (scipy.stats.gamma.ppf(.5, 2)).
        assert!((within(1.678_346_990_016_661 * 7.0, 7.0) - 0.5).abs() < 1e-14);
        assert_eq!((within(0.0, 7.0), within(1e9, 7.0)), (0.0, 1.0));
        let angles =
            |n: usize| (0..n).map(move |i| -std::f64::consts::PI + (i as f64 + 0.5) * std::f64::consts::TAU / n as f64);
        for shift in [0.0, 0.5, 30.0] {
            let shares = sectors(angles(10), shift, 0.7, 7.0);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-15 && shares.iter().all(|s| *s >= 0.0));
        }
        // ⟨cos(α − towards)⟩ = I₁(κ)/I₀(κ) → κ/2, and ⟨r⟩ = 2λ, so the centre moves by δ.
        let (shift, scale) = (0.2, 7.0);
        let shares = sectors(angles(16), shift, 0.7, scale);
        let centre: f64 = angles(16).zip(&shares).map(|(a, s)| s * (a - 0.7).cos() * 2.0 * scale).sum();
        assert!((centre - shift).abs() < shift * (shift / scale).powi(2), "{centre}");
    }
}
