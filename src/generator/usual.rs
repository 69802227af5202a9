//! Defaults that depend on the family of a model, all in one place. The families differ because every tangent of a
//! diffusion model goes through every step of its sampler: one of its latents costs as much as many of a one-shot
//! generator.

/// Defaults of a family of models. A flag or key with the same meaning overrides each.
#[derive(Debug, PartialEq)]
pub struct Usual {
    /// Steps of steering's open loop.
    pub steps: usize,
    /// Largest angle of one step, in radians. With fewer steps each may be longer.
    pub max_angle: f64,
    /// Most corrections by measurement.
    pub corrections: usize,
    /// Samples per tile of a description.
    pub describe_tile: usize,
    /// How many samples of a description are also measured exactly, when its estimator is not exact.
    pub calibrate_on: usize,
    /// Estimator of a description when no reward names one.
    pub estimator: &'static str,
    /// Whether a description uses the estimator of the reward's labels.
    pub estimator_of_reward: bool,
    /// Seeds in the study of estimators.
    pub convergence_seeds: u64,
    /// Radii of the stencil in that study, in units of ‖z‖/√d.
    pub convergence_radii: &'static [f64],
    /// Whether that study also tries all d directions.
    pub all_directions: bool,
    /// Seeds in the study that relates descriptors to pictures.
    pub relate_seeds: u64,
    /// Latents along one side of a map.
    pub map_side: usize,
    /// Steps from one seed to the next on a path.
    pub path_steps: usize,
}

/// A generator that makes its picture in one pass.
pub static ONE_SHOT: Usual = Usual {
    steps: 48,
    max_angle: 0.08,
    corrections: 24,
    describe_tile: 16,
    calibrate_on: 64,
    estimator: "exact",
    estimator_of_reward: false,
    convergence_seeds: 64,
    convergence_radii: &[0.003, 0.01, 0.03, 0.1, 0.3],
    all_directions: true,
    relate_seeds: 256,
    map_side: 33,
    path_steps: 32,
};

/// A diffusion model with its sampler.
pub static DIFFUSION: Usual = Usual {
    steps: 12,
    max_angle: 0.2,
    corrections: 24,
    describe_tile: 4,
    calibrate_on: 8,
    estimator: "input-subspace",
    estimator_of_reward: true,
    convergence_seeds: 16,
    convergence_radii: &[0.01, 0.1],
    all_directions: false,
    relate_seeds: 64,
    map_side: 9,
    path_steps: 8,
};
