//! Several branches that read the same input, their outputs side by side along the channels. An empty branch is the
//! input itself, which makes the layer a skip connection.

use crate::error::{Error, Result};
use crate::nn::{HostParameters, Plain, plain_chain};
use crate::nn::{Layer, LayerKind, ParameterSpec, Pass, Rows, Tangents, build_layers, parse_layer};
use burn::tensor::Tensor;

pub const KIND: LayerKind = LayerKind {
    name: "concat",
    about: "outputs of branches side by side along the channels; an empty branch is the input; keys: branches = [[layers], …]",
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    branches: Vec<Vec<toml::Table>>,
}

struct Concat {
    branches: Vec<Vec<Box<dyn Layer>>>,
    before: usize,
    shape: Vec<usize>,
}

fn build(table: toml::Table, input: &[usize]) -> Result<Box<dyn Layer>> {
    let c: Config = parse_layer(table)?;
    let branches = c
        .branches
        .into_iter()
        .enumerate()
        .map(|(i, b)| build_layers(b, input, &format!("branches[{i}]")))
        .collect::<Result<Vec<_>, _>>()?;
    let ends: Vec<&[usize]> = branches.iter().map(|b| b.last().map_or(input, |l| l.output_shape())).collect();
    let Some(first) = ends.first() else {
        return Err(Error::key("branches", "expected at least one branch, found none"));
    };
    if let Some(odd) = ends.iter().find(|e| e.len() != first.len() || e[1..] != first[1..]) {
        return Err(Error::key(
            "branches",
            format!("expected equal sizes after the channels, found {first:?} and {odd:?}"),
        ));
    }
    let mut shape = first.to_vec();
    shape[0] = ends.iter().map(|e| e[0]).sum();
    Ok(Box::new(Concat { branches, before: input.iter().product(), shape }))
}

impl Layer for Concat {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self, into: &mut Vec<ParameterSpec>) {
        self.branches.iter().flatten().for_each(|l| l.parameters(into));
    }

    fn condition_widths(&self, into: &mut Vec<usize>) {
        self.branches.iter().flatten().for_each(|l| l.condition_widths(into));
    }

    fn forward(&self, x: Rows, pass: &Pass) -> Rows {
        let parts = self.branches.iter().map(|b| b.iter().fold(x.clone(), |x, l| l.forward(x, pass)));
        Tensor::cat(parts.collect(), 1)
    }

    fn tangent(&self, x: Rows, t: Tangents, pass: &Pass) -> (Rows, Tangents) {
        let [n, _] = x.dims();
        let through =
            |b: &Vec<Box<dyn Layer>>| b.iter().fold((x.clone(), t.clone()), |(x, t), l| l.tangent(x, t, pass));
        let (xs, ts): (Vec<_>, Vec<_>) = self.branches.iter().map(through).unzip();
        (Tensor::cat(xs, 1), Tangents::concatenated(ts, n))
    }

    fn tap(&self, x: Rows, pass: &Pass, taps: &mut Vec<Rows>) -> Rows {
        let parts = self.branches.iter().map(|b| b.iter().fold(x.clone(), |x, l| l.tap(x, pass, taps)));
        Tensor::cat(parts.collect(), 1)
    }

    fn activations(&self) -> usize {
        let inside: usize = self.branches.iter().flatten().map(|l| l.activations()).sum();
        inside + self.shape.iter().product::<usize>()
    }

    fn plain(&self, parameters: &HostParameters) -> Option<Plain> {
        let chain = |b: &Vec<Box<dyn Layer>>| plain_chain(b, self.before, parameters);
        Some(Plain::Concat(self.branches.iter().map(chain).collect::<Option<_>>()?))
    }

    fn is_piecewise_linear(&self) -> bool {
        self.branches.iter().flatten().all(|l| l.is_piecewise_linear())
    }

    fn describe(&self) -> String {
        format!("concat of {} branches → {} channels", self.branches.len(), self.shape[0])
    }
}
