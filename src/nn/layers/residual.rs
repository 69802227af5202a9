//! A residual block: y = body(x) + shortcut(x), where both are lists of layers. An empty shortcut is the identity; a
//! body that changes the shape needs a shortcut with layers.

use crate::error::{Error, Result};
use crate::nn::{HostParameters, Plain, plain_chain};
use crate::nn::{Layer, LayerKind, ParameterSpec, Pass, Rows, Tangents, build_layers, parse_layer};

pub const KIND: LayerKind = LayerKind {
    name: "residual",
    about: "body(x) + shortcut(x), the identity where no shortcut is given; keys: body = [layers], shortcut = [layers]",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    body: Vec<toml::Table>,
    #[serde(default)]
    shortcut: Vec<toml::Table>,
}

struct Residual {
    body: Vec<Box<dyn Layer>>,
    shortcut: Vec<Box<dyn Layer>>,
    before: usize,
    shape: Vec<usize>,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    let body = build_layers(c.body, input, "body")?;
    let shortcut = build_layers(c.shortcut, input, "shortcut")?;
    let end = |layers: &[Box<dyn Layer>]| layers.last().map_or(input.to_vec(), |l| l.output_shape().to_vec());
    let (shape, other) = (end(&body), end(&shortcut));
    if body.is_empty() || shape != other {
        return Err(Error::key("body", format!("expected the shape {other:?} of the shortcut, found {shape:?}")));
    }
    Ok(Box::new(Residual { body, shortcut, before: input.iter().product(), shape }))
}

impl Residual {
    /// The layers of both body and shortcut.
    fn all(&self) -> impl Iterator<Item = &Box<dyn Layer>> {
        self.body.iter().chain(&self.shortcut)
    }
}

impl Layer for Residual {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        self.all().for_each(|l| l.parameters(into));
    }

    fn condition_widths(&self, into: &mut Vec<usize>) {
        self.all().for_each(|l| l.condition_widths(into));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let body = self.body.iter().fold(x.clone(), |x, l| l.forward(x, pass));
        body + self.shortcut.iter().fold(x, |x, l| l.forward(x, pass))
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let through = |layers: &[Box<dyn Layer>], x, t| layers.iter().fold((x, t), |(x, t), l| l.tangent(x, t, pass));
        let (a, ta) = through(&self.body, x.clone(), t.clone());
        let (b, tb) = through(&self.shortcut, x, t);
        (a + b, ta.plus(tb))
    }

    fn tap(&self, x: Rows, pass: &Pass, taps: &mut Vec<Rows>) -> Rows {
        let body = self.body.iter().fold(x.clone(), |x, l| l.tap(x, pass, taps));
        body + self.shortcut.iter().fold(x, |x, l| l.tap(x, pass, taps))
    }

    fn activations(&self) -> usize {
        self.all().map(|l| l.activations()).sum::<usize>() + self.shape.iter().product::<usize>()
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let body = plain_chain(&self.body, self.before, parameters)?;
        Some(Plain::Sum([body, plain_chain(&self.shortcut, self.before, parameters)?]))
    }

    fn is_piecewise_linear(&self) -> bool {
        self.all().all(|l| l.is_piecewise_linear())
    }

    fn describe(&self) -> String {
        let names = |layers: &[Box<dyn Layer>]| layers.iter().map(|l| l.describe()).collect::<Vec<_>>().join(" · ");
        let shortcut = if self.shortcut.is_empty() { "x".to_owned() } else { names(&self.shortcut) };
        format!("residual ({}) + ({shortcut})", names(&self.body))
    }
}
