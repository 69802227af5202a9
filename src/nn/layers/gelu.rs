//! x·Φ(x) with the exact normal distribution function Φ, not the approximation by tanh.

use crate::error::Result;
use crate::nn::{Build, Elementwise, ElementwiseRule, Layer, LayerKind, Rows, fast, parse_layer};
use burn::tensor::activation;

pub const KIND: LayerKind = LayerKind { name: "gelu", about: "x·Φ(x), exact (erf)", build: Build::Layer(build) };

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Gelu {}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Elementwise::new(parse_layer::<Gelu>(table)?, input)))
}

impl ElementwiseRule for Gelu {
    fn value(&self, x: Rows) -> Rows {
        activation::gelu(x)
    }

    // Φ(x) + x·φ(x), where φ is the normal density.
    fn slope(&self, x: Rows, _: Rows) -> Rows {
        let cumulative = ((x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
        let density = (x.clone() * x.clone() * -0.5).exp()
            * (0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2);
        cumulative + x * density
    }

    fn at(&self, x: f32) -> (f32, f32) {
        let v = f64::from(x);
        let cumulative = 0.5 * (1.0 + libm::erf(v * std::f64::consts::FRAC_1_SQRT_2));
        let density = (-0.5 * v * v).exp() * 0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
        ((v * cumulative) as f32, (cumulative + v * density) as f32)
    }

    fn replace_each(&self, x: &mut [f32]) {
        fast::each(x, fast::gelu);
    }

    fn is_piecewise_linear(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "gelu (exact)".into()
    }
}
