//! What suits a model where nothing was asked for, all in one place. Every tangent of a diffusion model goes through every
//! step of its sampler, so that one latent of it costs as much as many of a one-shot generator.

/// Defaults of a family of models. A flag or key of the same meaning goes before each.
#[derive(Debug, PartialEq)]
pub struct Usual {
    /// Steps of an open loop of steering.
    pub steps: usize,
    /// Greatest angle of one step, in radians: where there are fewer of them they may be longer.
    pub max_angle: f64,
    /// Measured corrections: more where the reward knows less.
    pub corrections: usize,
    /// Samples per tile of a description.
    pub describe_tile: usize,
    /// Samples of a description that are measured exactly too, where its estimator is not exact.
    pub calibrate_on: usize,
    /// Way to the spectra of a description where no reward names one.
    pub estimator: &'static str,
    /// Whether a description takes the estimator of the reward's labels.
    pub estimator_of_reward: bool,
    /// Seeds of the study of estimators.
    pub convergence_seeds: u64,
    /// Radii of the stencil in that study, in units of ‖z‖/√d.
    pub convergence_radii: &'static [f64],
    /// Whether that study tries all d directions too.
    pub all_directions: bool,
    /// Seeds of the study that relates descriptors to pictures.
    pub relate_seeds: u64,
    /// Latents along a side of a map.
    pub map_side: usize,
    /// Steps from a seed to the next on a path.
    pub path_steps: usize,
    /// Candidates of the two short searches from which the report on steering learns what a candidate costs.
    pub trial_candidates: [usize; 2],
}

/// A generator that answers in one pass.
pub static ONE_SHOT: Usual = Usual {
    steps: 48,
    max_angle: 0.08,
    corrections: 2,
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
    trial_candidates: [32, 288],
};

/// A diffusion model behind its sampler.
pub static DIFFUSION: Usual = Usual {
    steps: 12,
    max_angle: 0.2,
    corrections: 4,
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
    trial_candidates: [4, 20],
};
