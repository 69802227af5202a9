//! A denoiser that is led away from a weaker one (autoguidance: Karras et al. 2024, arXiv 2406.02507).

use super::{Classes, Denoiser, State};
use crate::error::Result;

/// D(x; σ) = D_weak + w·(D_strong − D_weak). Where the two agree, it is the strong one's answer; where they differ, the weak one tells
/// which mistakes a network of this kind makes, and w > 1 goes further away from them. w = 1 is the strong one alone.
pub struct Autoguided<'a> {
    /// The better denoiser.
    pub strong: &'a dyn Denoiser,
    /// A worse one of the same states: smaller, or trained for less long.
    pub weak: &'a dyn Denoiser,
    /// w
    pub weight: f64,
}

impl Denoiser for Autoguided<'_> {
    fn width(&self) -> usize {
        self.strong.width()
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        let strong = self.strong.denoise(x, sigma, classes)?;
        let weak = self.weak.denoise(x, sigma, classes)?;
        Ok(strong.blend(self.weight, weak, 1.0 - self.weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Tangents;
    use crate::tensors::{host, rows};

    /// D(x; σ) = a·x
    struct Linear(f64);

    impl Denoiser for Linear {
        fn width(&self) -> usize {
            2
        }

        fn denoise(&self, x: &State, _: f64, _: Classes) -> Result<State> {
            Ok(x.clone().times(self.0))
        }
    }

    #[test]
    fn it_goes_beyond_the_strong_one_by_what_the_two_differ() -> Result<()> {
        let device = crate::device::open("cpu")?.1;
        let (strong, weak) = (Linear(0.75), Linear(0.5));
        let x = State {
            value: rows(vec![1.0, -2.0], 2, &device),
            tangents: Some(Tangents::shared(rows(vec![1.0, 0.0, 0.0, 1.0], 2, &device))),
        };
        for (weight, factor) in [(1.0, 0.75f32), (3.0, 1.25), (0.0, 0.5)] {
            let led = Autoguided { strong: &strong, weak: &weak, weight };
            let found = led.denoise(&x, 1.0, None)?;
            assert_eq!((led.width(), host(found.value)?), (2, vec![factor, -2.0 * factor]));
            assert!(found.tangents.is_some());
        }
        Ok(())
    }
}
