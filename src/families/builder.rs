//! A network of a folder, written as nodes: what all families are made of. Every value is `[channels, height, width]`, or `[places,
//! width]` inside of attention.

use crate::error::{Error, Result};
use crate::nn::operators::Index;
use crate::nn::{GraphFile, GraphInput, GraphNode, Network};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A value of the network: its number, and its shape.
#[derive(Clone, Debug)]
pub struct Tap {
    id: usize,
    /// Its shape, per sample.
    pub shape: Vec<usize>,
}

impl Tap {
    /// Number of its values.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn planes(&self) -> Result<[usize; 3]> {
        self.shape.as_slice().try_into().map_err(|_| Error::Bug(format!("expected planes, found {:?}", self.shape)))
    }
}

/// The nodes of a network that is being written.
pub struct GraphBuilder {
    input: Vec<usize>,
    nodes: Vec<GraphNode>,
    factors: BTreeMap<String, f64>,
}

/// How a convolution moves over its input.
#[derive(Clone, Copy)]
pub struct Steps {
    /// Side of its kernel.
    pub kernel: usize,
    /// Its stride.
    pub stride: usize,
    /// Zeros around the input: top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Steps {
    /// A kernel of 3 that keeps the size.
    pub const SAME: Self = Self { kernel: 3, stride: 1, pads: [1; 4] };
    /// A kernel of 1.
    pub const POINT: Self = Self { kernel: 1, stride: 1, pads: [0; 4] };
}

impl GraphBuilder {
    /// A network for samples of this shape, and its input.
    pub fn new(shape: &[usize]) -> (Self, Tap) {
        let builder = Self { input: shape.to_vec(), nodes: Vec::new(), factors: BTreeMap::new() };
        (builder, Tap { id: 0, shape: shape.to_vec() })
    }

    fn push(&mut self, name: &str, kind: &str, inputs: &[&Tap], shape: Vec<usize>, keys: Value) -> Tap {
        let keys: Map<String, Value> = keys.as_object().cloned().unwrap_or_default();
        let inputs = inputs.iter().map(|t| t.id).collect();
        self.nodes.push(GraphNode { name: name.to_owned(), kind: kind.to_owned(), inputs, shape: shape.clone(), keys });
        Tap { id: self.nodes.len(), shape }
    }

    /// A convolution with the tensors `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// [`Error::Bug`] for what are no planes.
    pub fn conv(&mut self, x: &Tap, name: &str, out: usize, steps: Steps) -> Result<Tap> {
        let [c, h, w] = x.planes()?;
        let Steps { kernel, stride, pads } = steps;
        let side = |size: usize, pad: usize| (size + pad).checked_sub(kernel).map(|n| n / stride + 1);
        let (Some(height), Some(width)) = (side(h, pads[0] + pads[2]), side(w, pads[1] + pads[3])) else {
            return Err(Error::key("size", format!("pictures of {h}×{w} places are too small for {name}")));
        };
        let output = [out, height, width];
        let keys = json!({
            "weight": format!("{name}.weight"), "bias": format!("{name}.bias"), "kernel": [kernel, kernel], "input": [c, h, w],
            "output": output, "stride": [stride, stride], "pads": pads, "dilation": [1, 1], "groups": 1,
        });
        Ok(self.push(name, "conv", &[x], output.to_vec(), keys))
    }

    /// A group norm with the tensors `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// [`Error::Bug`] for what are no planes.
    pub fn group_norm(&mut self, x: &Tap, name: &str, groups: usize, eps: f64) -> Result<Tap> {
        let [c, h, w] = x.planes()?;
        let keys = json!({
            "outer": groups, "size": x.size() / groups.max(1), "eps": eps, "mid": c, "inner": h * w,
            "scale": format!("{name}.weight"), "shift": format!("{name}.bias"),
        });
        Ok(self.push(name, "normalise", &[x], x.shape.clone(), keys))
    }

    /// A function of each value.
    pub fn unary(&mut self, x: &Tap, function: &str) -> Tap {
        self.push(function, "unary", &[x], x.shape.clone(), json!({ "function": function }))
    }

    /// a + b.
    pub fn sum(&mut self, a: &Tap, b: &Tap) -> Tap {
        self.push("sum", "sum", &[a, b], a.shape.clone(), json!({}))
    }

    /// c·x.
    pub fn times(&mut self, x: &Tap, c: f64) -> Tap {
        let key = format!("isoline.times.{c}");
        self.factors.insert(key.clone(), c);
        let keys = json!({ "outer": 1, "mid": 1, "inner": x.size(), "scale": key });
        self.push("times", "affine", &[x], x.shape.clone(), keys)
    }

    /// The values in another order: loops over the input, the outermost first, each with its count and step.
    fn rearranged(&mut self, x: &Tap, name: &str, shape: Vec<usize>, loops: &[[usize; 2]]) -> Tap {
        self.push(name, "rearrange", &[x], shape, json!({ "index": { "first": 0, "loops": loops } }))
    }

    /// Every value four times: nearest-neighbour enlargement by 2.
    ///
    /// # Errors
    /// [`Error::Bug`] for what are no planes.
    pub fn enlarged(&mut self, x: &Tap) -> Result<Tap> {
        let [c, h, w] = x.planes()?;
        Ok(self.rearranged(x, "enlarged", vec![c, 2 * h, 2 * w], &[[c, h * w], [h, w], [2, 0], [w, 1], [2, 0]]))
    }

    /// `[channels, height, width]` as `[places, channels]`.
    ///
    /// # Errors
    /// [`Error::Bug`] for what are no planes.
    pub fn places(&mut self, x: &Tap) -> Result<Tap> {
        let [c, h, w] = x.planes()?;
        Ok(self.rearranged(x, "places", vec![h * w, c], &[[h * w, 1], [c, h * w]]))
    }

    /// The inverse of [`places`](Self::places).
    pub fn planes(&mut self, x: &Tap, [c, h, w]: [usize; 3]) -> Tap {
        self.rearranged(x, "planes", vec![c, h, w], &[[c, 1], [h * w, c]])
    }

    /// A linear map of each place, with the tensor `name.weight`.
    pub fn dense_alone(&mut self, x: &Tap, name: &str, out: usize) -> Tap {
        let rows = x.shape[0];
        self.push(name, "dense", &[x], vec![rows, out], json!({ "weight": format!("{name}.weight"), "rows": rows }))
    }

    /// A linear map of each place, with the tensors `name.weight` and `name.bias`.
    pub fn dense(&mut self, x: &Tap, name: &str, out: usize) -> Tap {
        let rows = x.shape[0];
        let keys = json!({ "weight": format!("{name}.weight"), "bias": format!("{name}.bias"), "rows": rows });
        self.push(name, "dense", &[x], vec![rows, out], keys)
    }

    /// softmax(Q·Kᵀ/√w)·V of `heads` heads of width w, for Q, K and V of `[places, heads·w]`.
    pub fn attention(&mut self, [q, k, v]: [&Tap; 3], heads: usize) -> Tap {
        let (n, all) = (k.shape[0], k.shape[1]);
        let width = all / heads;
        let k = self.rearranged(k, "keys", vec![heads, width, n], &[[heads, width], [width, 1], [n, all]]);
        let v = self.rearranged(v, "values", vec![heads, n, width], &[[heads, width], [n, all], [width, 1]]);
        self.attend(q, &k, &v)
    }

    /// The same with keys `[heads, w, n]` and values `[heads, n, w]`.
    pub fn attend(&mut self, q: &Tap, keys: &Tap, values: &Tap) -> Tap {
        let [heads, width, n] = [keys.shape[0], keys.shape[1], keys.shape[2]];
        let (m, all) = (q.shape[0], heads * width);
        let q = self.times(q, 1.0 / (width as f64).sqrt());
        let q = self.rearranged(&q, "queries", vec![heads, m, width], &[[heads, width], [m, all], [width, 1]]);
        let logits = self.product(&q, keys, [heads, m, width, n]);
        let sizes = json!({ "outer": heads * m, "size": n, "inner": 1 });
        let seen = self.push("softmax", "softmax", &[&logits], logits.shape.clone(), sizes);
        let y = self.product(&seen, values, [heads, m, n, width]);
        self.rearranged(&y, "heads", vec![m, all], &[[m, width], [heads, m * width], [width, 1]])
    }

    /// Values that are given with the parameters, under this key.
    pub fn constant(&mut self, key: &str, shape: Vec<usize>) -> Tap {
        self.push(key, "constant", &[], shape, json!({ "key": key }))
    }

    /// x plus a number for each channel, given with the parameters under this key.
    ///
    /// # Errors
    /// [`Error::Bug`] for what are no planes.
    pub fn shifted(&mut self, x: &Tap, key: &str) -> Result<Tap> {
        let [c, h, w] = x.planes()?;
        let keys = json!({ "outer": 1, "mid": c, "inner": h * w, "shift": key });
        Ok(self.push(key, "affine", &[x], x.shape.clone(), keys))
    }

    /// A norm of each place, with the tensors `name.weight` and `name.bias`.
    pub fn layer_norm(&mut self, x: &Tap, name: &str, eps: f64) -> Tap {
        let keys = json!({
            "outer": x.shape[0], "size": x.shape[1], "eps": eps, "mid": x.shape[1], "inner": 1,
            "scale": format!("{name}.weight"), "shift": format!("{name}.bias"),
        });
        self.push(name, "normalise", &[x], x.shape.clone(), keys)
    }

    /// The first and the second half of each place.
    pub fn halves(&mut self, x: &Tap) -> [Tap; 2] {
        let [rows, width] = [x.shape[0], x.shape[1] / 2];
        [0, width].map(|first| {
            let index = json!({ "index": { "first": first, "loops": [[rows, 2 * width], [width, 1]] } });
            self.push("half", "rearrange", &[x], vec![rows, width], index)
        })
    }

    /// a·b, value by value.
    pub fn times_each(&mut self, a: &Tap, b: &Tap) -> Tap {
        self.push("times", "product", &[a, b], a.shape.clone(), json!({}))
    }

    /// The channels of a, then those of b.
    ///
    /// # Errors
    /// [`Error::Bug`] for planes of other sizes.
    pub fn joined(&mut self, a: &Tap, b: &Tap) -> Result<Tap> {
        let ([c, h, w], [more, ..]) = (a.planes()?, b.planes()?);
        if a.shape[1..] != b.shape[1..] {
            return Err(Error::Bug(format!("expected planes of one size, found {:?} and {:?}", a.shape, b.shape)));
        }
        Ok(self.push("joined", "concat", &[a, b], vec![c + more, h, w], json!({ "outer": 1 })))
    }

    /// Nearest-neighbour enlargement to a size that need not be twice the old one.
    ///
    /// # Errors
    /// [`Error::Bug`] for what are no planes.
    pub fn enlarged_to(&mut self, x: &Tap, [height, width]: [usize; 2]) -> Result<Tap> {
        let [c, h, w] = x.planes()?;
        if [height, width] == [2 * h, 2 * w] {
            return self.enlarged(x);
        }
        let from = |place: usize| {
            let (plane, i, j) = (place / (height * width), place / width % height, place % width);
            (plane * h * w + i * h / height * w + j * w / width) as i32
        };
        let list: Vec<i32> = (0..c * height * width).map(from).collect();
        let index = serde_json::to_value(Index::of(&list)).map_err(|e| Error::Bug(e.to_string()))?;
        Ok(self.push("enlarged", "rearrange", &[x], vec![c, height, width], json!({ "index": index })))
    }

    fn product(&mut self, a: &Tap, b: &Tap, [batch, m, k, n]: [usize; 4]) -> Tap {
        let keys = json!({ "batch": batch, "m": m, "k": k, "n": n });
        self.push("product", "matmul", &[a, b], vec![batch, m, n], keys)
    }

    /// The network that ends in `output`, and the factors that it needs beside the tensors of the folder, by their names.
    ///
    /// # Errors
    /// [`Error::Key`] for a size at which a value or a list would be too long.
    pub fn finish(self, output: &Tap, most: usize) -> Result<(Network, BTreeMap<String, f64>)> {
        let input = GraphInput { name: "input".into(), shape: self.input };
        let file = GraphFile { format: 1, inputs: vec![input], nodes: self.nodes, output: output.id };
        let network = file
            .network_within(most)
            .map_err(|e| Error::key("size", format!("the network for this size cannot be written: {e}")))?;
        Ok((network, self.factors))
    }
}
