//! Exponentials of whole lists of numbers, without branches, so that they fill vector registers. Good to a few units in the
//! last place, and the same bits on every processor: they are made of multiplications, fused additions and roundings alone.

use macerator::{AutoArch, Simd, WithSimd};

/// Replaces each value of a list by `f` of it, with the widest vector instructions of the processor.
pub fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    struct Each<'a, F>(&'a mut [f32], F);
    impl<F: Fn(f32) -> f32> WithSimd for Each<'_, F> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self) {
            self.0.iter_mut().for_each(|v| *v = (self.1)(*v));
        }
    }
    AutoArch::new().dispatch(Each(values, f));
}

/// exp(x), with x held between −87 and 88, where it stays a normal number. NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Added to a number below 2²², it leaves the nearest whole number in the last bits.
    const SHIFT: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has so few digits that its products with whole numbers are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    // Taylor's series on |r| ≤ ln 2 / 2: what is left out is below 2⁻²⁶.
    let sum = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let p = sum.into_iter().fold(1.0f32 / 5040.0, |p, c| p.mul_add(r, c));
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// 1/(1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// x/(1 + exp(−x)).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// tanh(x): its series where |x| is small, (1 − u)/(1 + u) with u = exp(−2|x|) elsewhere.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let u = exp(-2.0 * x.abs());
    let far = ((1.0 - u) / (1.0 + u)).copysign(x);
    // tanh(x) = x − x³/3 + 2x⁵/15 − 17x⁷/315 + 62x⁹/2835 − …
    let square = x * x;
    let sum = [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0];
    let near = x * sum.into_iter().fold(-1382.0f32 / 155_925.0, |p, c| p.mul_add(square, c));
    if x.abs() < 0.25 { near } else { far }
}

/// erf(x) within 3e-7, by formula 7.1.26 of Abramowitz and Stegun.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let t = 1.0 / (0.327_591_1f32.mul_add(x.abs(), 1.0));
    let sum = [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];
    let p = t * sum.into_iter().fold(1.061_405_4f32, |p, c| p.mul_add(t, c));
    (1.0 - p * exp(-x * x)).copysign(x)
}

/// x·Φ(x), with the distribution function Φ of a standard normal.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    let inner = 0.797_884_6 * (0.044_715 * x * x).mul_add(x, x);
    0.5 * x * (1.0 + tanh(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_near_its_own_in_f64() {
        let erf = |x: f64| libm::erf(x);
        type Case = (&'static str, fn(f32) -> f32, fn(f64) -> f64, f64);
        let cases: [Case; 4] = [
            ("exp", exp, f64::exp, 2e-7),
            ("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 3e-7),
            ("silu", silu, |x| x / (1.0 + (-x).exp()), 3e-7),
            ("tanh", tanh, f64::tanh, 3e-7),
        ];
        for i in -40_000i32..=40_000 {
            let x = i as f32 * 2e-3;
            for (name, own, truth, bound) in cases {
                let (own, truth) = (f64::from(own(x)), truth(f64::from(x)));
                assert!((own - truth).abs() <= bound * truth.abs() + 1e-37, "{name}({x}): {own}, {truth}");
            }
            let v = f64::from(x);
            let exact = 0.5 * v * (1.0 + erf(v * std::f64::consts::FRAC_1_SQRT_2));
            assert!((f64::from(gelu(x)) - exact).abs() <= 4e-7 * v.abs().max(1.0), "gelu({x})");
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044_715 * v.powi(3));
            let near = 0.5 * v * (1.0 + inner.tanh());
            assert!((f64::from(gelu_tanh(x)) - near).abs() <= 4e-7 * v.abs().max(1.0), "gelu_tanh({x})");
        }
    }

    #[test]
    fn the_ends_stay_numbers_and_nan_stays_nan() {
        let all = [exp, sigmoid, silu, tanh, erf, gelu, gelu_tanh];
        assert!(all.iter().all(|f| f(f32::NAN).is_nan()));
        assert_eq!([sigmoid(200.0), tanh(90.0), tanh(-90.0), silu(1e30)], [1.0, 1.0, -1.0, 1e30]);
        assert!(sigmoid(-200.0) < 1e-37 && silu(-200.0).abs() < 1e-35);
        let mut list = vec![0.5; 37];
        each(&mut list, exp);
        assert!(list.iter().all(|v| v.to_bits() == exp(0.5).to_bits()));
    }
}
