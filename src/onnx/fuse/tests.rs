//! Graphs made by hand for the tests of fusions.

use super::super::host;
use super::super::kind::{Kind, View};
use super::super::tensor::Constant;
use super::*;

/// A graph that is being made. Values have numbers as in the graph; the output is what was added last.
#[derive(Clone)]
pub struct Made {
    /// The graph so far.
    pub graph: Graph,
}

impl Made {
    /// A graph without nodes, of a latent of so many entries.
    pub fn new(latent: usize) -> Self {
        Self { graph: Graph { nodes: Vec::new(), output: 0, latent } }
    }

    pub fn add(&mut self, kind: Kind, inputs: &[usize], shape: &[usize]) -> usize {
        let source = self.graph.nodes.len();
        self.graph.nodes.push(Built { kind, inputs: inputs.to_vec(), shape: shape.to_vec(), source });
        self.graph.output = self.graph.nodes.len();
        self.graph.output
    }

    pub fn unary(&mut self, function: &'static str, x: usize) -> usize {
        let features = self.graph.features(x);
        self.add(Kind::Unary { function, a: None, b: None }, &[x], &[features])
    }

    pub fn line(&mut self, x: usize, scale: f32, shift: f32) -> usize {
        let features = self.graph.features(x);
        let number = |v: f32, neutral: f32| (v != neutral).then(|| Constant::floats(vec![1], vec![v]));
        let view = View { outer: 1, mid: 1, inner: features };
        self.add(Kind::Affine { view, scale: number(scale, 1.0), shift: number(shift, 0.0) }, &[x], &[features])
    }

    pub fn rearrange(&mut self, x: usize, index: &[i32], shape: &[usize]) -> usize {
        self.add(Kind::Rearrange { index: Some(index.to_vec().into()), fill: 0.0 }, &[x], shape)
    }

    /// Makes value `id` the output.
    pub fn output(&mut self, id: usize) {
        self.graph.output = id;
    }

    /// Makes value `id` part of the output, beside what it was.
    pub fn output_also(&mut self, id: usize) {
        let last = self.graph.output;
        let features = self.graph.features(last) + self.graph.features(id);
        self.add(Kind::Concat { outer: 1 }, &[last, id], &[features]);
    }

    /// Applies a fusion as long as it applies, which must be so many times and leave the values as they are.
    #[track_caller]
    pub fn fires(&mut self, fusion: &'static Fusion, times: usize) {
        let before = self.value();
        let fused = apply(&mut self.graph, &[fusion]);
        assert_eq!(fused.get(fusion.name).copied().unwrap_or(0), times, "{}", fusion.name);
        let after = self.value();
        assert_eq!(before.len(), after.len());
        let largest = before.iter().fold(0f32, |a, v| a.max(v.abs()));
        for (a, b) in before.iter().zip(&after) {
            assert!(a == b || (a - b).abs() <= 2e-6 * largest, "{before:?} became {after:?}");
        }
    }

    /// The nodes that are left, functions with their names.
    pub fn kinds(&self) -> Vec<String> {
        let told = |node: &Built| match node.kind {
            Kind::Unary { function, .. } => format!("unary {function}"),
            _ => node.kind.name().to_owned(),
        };
        self.graph.nodes.iter().map(told).collect()
    }

    /// The output for one latent.
    pub fn value(&self) -> Vec<f32> {
        let latent: Vec<f32> = (0..self.graph.latent).map(|i| (i as f32 * 0.7 + 0.3).sin() * 1.5).collect();
        let mut values = vec![latent];
        for node in &self.graph.nodes {
            let inputs: Vec<&[f32]> = node.inputs.iter().map(|&i| values[i].as_slice()).collect();
            let features = node.shape.iter().product();
            let made = host::evaluate(&node.kind, &inputs, features);
            assert_eq!(made.len(), features, "{}", node.kind.name());
            values.push(made);
        }
        values.swap_remove(self.graph.output)
    }
}

#[test]
fn names_are_unique_and_unknown_ones_are_refused() {
    let names: std::collections::BTreeSet<&str> = FUSIONS.iter().map(|f| f.name).collect();
    assert_eq!(names.len(), FUSIONS.len());
    assert!(FUSIONS.iter().all(|f| !f.about.is_empty() && f.name != ALL));
    assert_eq!(chosen(&[]).unwrap().len(), FUSIONS.len());
    assert_eq!(chosen(&["gelu".into(), "mish".into()]).unwrap().len(), FUSIONS.len() - 2);
    assert!(chosen(&["all".into()]).unwrap().is_empty());
    let message = chosen(&["live_wait".into()]).map(|_| ()).unwrap_err().to_string();
    assert_eq!(message, "unfused = \"live_wait\": there is no such fusion; did you mean \"live_weight\"?");
}

#[test]
fn lists_that_read_what_comes_later_are_not_taken() {
    let built = |inputs: &[usize]| Built { kind: Kind::Product, inputs: inputs.to_vec(), shape: vec![1], source: 0 };
    assert!(sound(&[built(&[3, 2]), built(&[4, 0])], 3));
    assert!(!sound(&[built(&[4, 2]), built(&[4, 0])], 3));
    assert!(!sound(&[], 3));
}
