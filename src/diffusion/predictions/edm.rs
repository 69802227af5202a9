//! The preconditioning of EDM (arXiv 2206.00364, table 1). Its input and its target have unit variance at every σ, for
//! data of standard deviation `sigma_data`.

use super::{Coefficients, Prediction, PredictionRow};
use crate::error::{Error, Result};
use serde::Deserialize;

pub const ROW: PredictionRow = PredictionRow {
    name: "edm",
    about: "EDM: input 1/√(σ² + s²), skip s²/(σ² + s²), output σs/√(σ² + s²), time ln(σ)/4; settings: sigma_data s = 0.5",
    make,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edm {
    #[serde(default = "half")]
    sigma_data: f64,
}

fn half() -> f64 {
    0.5
}

fn make(table: toml::Table) -> Result<Box<dyn Prediction>> {
    let c: Edm = Deserialize::deserialize(table)
        .map_err(|e: toml::de::Error| Error::key("", crate::error::explain_toml(e.message())))?;
    if !(c.sigma_data > 0.0 && c.sigma_data < 1e3) {
        return Err(Error::key("sigma_data", format!("expected a number above 0, found {}", c.sigma_data)));
    }
    Ok(Box::new(c))
}

impl Prediction for Edm {
    fn at(&self, sigma: f64) -> Coefficients {
        let (s, data) = (sigma * sigma, self.sigma_data * self.sigma_data);
        let root = (s + data).sqrt();
        Coefficients {
            input: 1.0 / root,
            skip: data / (s + data),
            output: sigma * self.sigma_data / root,
            time: sigma.ln() / 4.0,
        }
    }

    fn range(&self) -> [f64; 2] {
        [1e-5, 1e5]
    }
}
