//! What a network's answer means.

use super::keys::Keys;
use crate::diffusion::State;
use crate::error::{Error, Result};

/// What the network answers with, for x = √A·x₀ + √(1 − A)·ε.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// ε.
    Epsilon,
    /// √A·ε − √(1 − A)·x₀.
    V,
    /// x₀.
    Sample,
}

impl Prediction {
    /// From the key `prediction_type`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn read(keys: &Keys) -> Result<Self> {
        let names = [("epsilon", Self::Epsilon), ("v_prediction", Self::V), ("sample", Self::Sample)];
        keys.one_of("prediction_type", Self::Epsilon, &names)
    }

    /// Refuses ε where the last step has no picture left in it, from which ε says nothing about x₀.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check_zero_snr(self, keys: &Keys) -> Result<()> {
        if self == Self::Epsilon && keys.flag("rescale_betas_zero_snr", false)? {
            let message = "epsilon says nothing about a picture at the last step of rescale_betas_zero_snr; expected v_prediction";
            return Err(Error::key("prediction_type", message));
        }
        Ok(())
    }

    /// x₀ by the answer at x, in the coordinates above.
    pub fn clean(self, x: &State, answer: State, a: f64) -> State {
        let (root, rest) = (a.sqrt(), (1.0 - a).sqrt());
        match self {
            Self::Epsilon => x.clone().blend(1.0 / root, answer, -rest / root),
            Self::V => x.clone().blend(root, answer, -rest),
            Self::Sample => answer,
        }
    }

    /// ε by the answer at x, in the coordinates above.
    pub fn noise(self, x: &State, answer: State, a: f64) -> State {
        let (root, rest) = (a.sqrt(), (1.0 - a).sqrt());
        match self {
            Self::Epsilon => answer,
            Self::V => answer.blend(root, x.clone(), rest),
            Self::Sample => x.clone().blend(1.0 / rest, answer, -root / rest),
        }
    }

    /// x₀ by the answer at x/√(σ² + 1), for x = x₀ + σ·ε.
    pub fn clean_at(self, x: &State, answer: State, sigma: f64) -> State {
        let square = sigma * sigma + 1.0;
        match self {
            Self::Epsilon => x.clone().blend(1.0, answer, -sigma),
            Self::V => x.clone().blend(1.0 / square, answer, -sigma / square.sqrt()),
            Self::Sample => answer,
        }
    }
}
