//! Flags of what is done during denoising.

/// Diffusion models only.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Diffusion models")]
pub struct DenoisingArgs {
    /// Class of the pictures, with --method none or one that guides
    #[arg(long, value_name = "N")]
    class: Option<u64>,
    /// Scale of classifier-free guidance towards --class; 1 is the conditional model [default: 1]
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    cfg_scale: Option<f64>,
    /// Strength of a method that guides; see isoline list steering for what it means to each
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    guidance: Option<f64>,
    /// set-point (to the novelty asked for) or push (upwards; downwards with a negative --guidance)
    #[arg(long, value_name = "FORM")]
    form: Option<String>,
    /// Noise levels at which a reward acts [default: where it is worth something]
    #[arg(long, value_name = "LEAST,GREATEST", value_delimiter = ',')]
    interval: Vec<f64>,
    /// Times each step is taken, its noise put back in between [default: 1]
    #[arg(long, value_name = "N")]
    recurrence: Option<u64>,
    /// States of each sample, with --method particles [default: 8]
    #[arg(long, value_name = "N")]
    particles: Option<u64>,
    /// What particles are weighted by: diff, max, add or tempered [default: diff]
    #[arg(long, value_name = "NAME")]
    potential: Option<String>,
    /// Write the denoised estimate of every K-th step to previews/
    #[arg(long, value_name = "K")]
    preview_every: Option<u64>,
}

impl DenoisingArgs {
    /// The flags as keys of a job.
    pub fn keys(&self) -> impl Iterator<Item = (&'static str, toml::Value)> {
        let whole = |v: Option<u64>| v.map(|v| toml::Value::Integer(i64::try_from(v).unwrap_or(i64::MAX)));
        let list = |v: &[f64]| (!v.is_empty()).then(|| toml::Value::Array(v.iter().map(|v| (*v).into()).collect()));
        [
            ("class", whole(self.class)),
            ("cfg_scale", self.cfg_scale.map(Into::into)),
            ("guidance", self.guidance.map(Into::into)),
            ("form", self.form.clone().map(Into::into)),
            ("interval", list(&self.interval)),
            ("recurrence", whole(self.recurrence)),
            ("particles", whole(self.particles)),
            ("potential", self.potential.clone().map(Into::into)),
            ("preview_every", whole(self.preview_every)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    }

    /// Whether the method is told a strength and no novelty to reach.
    pub fn is_push(&self, method: Option<&str>) -> bool {
        let row = method.and_then(crate::steer::guide);
        row.is_some_and(|r| !r.has_set_point) || self.form.as_deref() == Some("push")
    }
}
