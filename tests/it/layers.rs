//! What every kind of layer promises: tangents that match reverse mode, rows that do not affect each other, shared
//! directions that mean the same as repeated ones. A new kind of layer needs a line in [`SAMPLES`].

use crate::shared::relative_l2;
use isoline::device::{self, Device};
use isoline::host::{HostGraph, HostRows};
use isoline::nn::HostParameters;
use isoline::nn::layers::KINDS;
use isoline::nn::operators::OPERATORS;
use isoline::nn::{GraphFile, Init, Network, Parameters, Pass, Rows, Tangents};
use isoline::noise::{Stream, normals};
use isoline::tensors::host;
use std::collections::BTreeSet;

const EPS: f64 = f32::EPSILON as f64;

/// (kind, shape of the input, its keys).
pub const SAMPLES: &[(&str, &[usize], &str)] = &[
    ("linear", &[6], "key = \"a\"\nout = 5"),
    ("linear", &[2, 3, 2], "key = \"a\"\nout = 40\nbias = false"),
    ("conv2d", &[2, 5, 4], "key = \"a\"\nout = 3\nkernel = 3\nstride = 2\npadding = 1"),
    ("conv2d", &[3, 2, 3], "key = \"a\"\nout = 4\nkernel = 1\nbias = false"),
    ("conv_transpose2d", &[2, 3, 4], "key = \"a\"\nout = 3\nkernel = 4\nstride = 2\npadding = 1"),
    ("conv_transpose2d", &[3, 2, 2], "key = \"a\"\nout = 2\nkernel = 3\nstride = 3\noutput_padding = 2\nbias = false"),
    // Wide enough for tiles.
    ("conv2d", &[8, 5, 4], "key = \"a\"\nout = 16\nkernel = 3\npadding = 1"),
    ("conv_transpose2d", &[8, 5, 4], "key = \"a\"\nout = 17\nkernel = 4\nstride = 2\npadding = 1"),
    (
        "residual",
        &[8, 5, 4],
        "body = [{ kind = \"upsample\" }, { kind = \"conv2d\", key = \"a\", out = 16, kernel = 3, padding = 1 }, { kind = \"batch_norm\", key = \"b\" },
                 { kind = \"conv2d\", key = \"c\", out = 8, kernel = 4, stride = 2, padding = 1 }]",
    ),
    ("batch_norm", &[3, 2, 4], "key = \"a\""),
    ("batch_norm", &[5], "key = \"a\"\neps = 0.001"),
    ("group_norm", &[4, 3, 2], "key = \"a\"\ngroups = 2"),
    ("group_norm", &[6], "key = \"a\"\ngroups = 1"),
    ("relu", &[7], ""),
    ("leaky_relu", &[7], "slope = 0.2"),
    ("silu", &[7], ""),
    ("gelu", &[7], ""),
    ("tanh", &[7], ""),
    ("sigmoid", &[7], ""),
    ("clamp_tanh", &[7], "scale = 3.0"),
    ("upsample", &[2, 2, 3], "factor = 3"),
    ("max_pool2d", &[2, 4, 6], ""),
    ("max_pool2d", &[1, 6, 3], "kernel = 3"),
    ("avg_pool2d", &[2, 4, 6], ""),
    ("avg_pool2d", &[3, 4, 4], "kernel = 4"),
    ("subsample", &[2, 5, 4], "out = 6"),
    ("subsample", &[3, 4, 6], "stride = 3"),
    ("reshape", &[2, 6], "shape = [3, 4]"),
    // A residual with the identity as its shortcut; then one whose shortcut's tangents are still shared when the body's
    // are not.
    ("residual", &[4], "body = [{ kind = \"linear\", key = \"a\", out = 4 }, { kind = \"relu\" }]"),
    (
        "residual",
        &[4],
        "body = [{ kind = \"linear\", key = \"a\", out = 3 }, { kind = \"tanh\" }, { kind = \"linear\", key = \"b\", out = 5 }]
         shortcut = [{ kind = \"linear\", key = \"c\", out = 5 }]",
    ),
    (
        "concat",
        &[2, 3, 3],
        "branches = [[{ kind = \"conv2d\", key = \"a\", out = 3, kernel = 3, padding = 1 }, { kind = \"silu\" }], [],
                     [{ kind = \"conv2d\", key = \"b\", out = 1, kernel = 1 }]]",
    ),
    ("layer_norm", &[3, 2, 4], "key = \"a\"\nsizes = 2"),
    ("layer_norm", &[5], "key = \"a\"\neps = 0.001"),
    ("attention", &[4, 3, 2], "key = \"a\"\nheads = 2"),
    ("attention", &[3, 1, 4], "key = \"a\""),
    ("fourier", &[3], "count = 4\nlow = 0.5\nhigh = 4.0"),
    ("fourier", &[1], "count = 3\nkey = \"f\"\noffset = 1.0"),
    ("modulate", &[3, 2, 2], "key = \"a\"\nwidth = 4\nscale = true"),
    ("modulate", &[4, 3], "width = 4"),
    ("unet", &[2, 4, 4], "key = \"u\"\nchannels = [4, 6]\ncondition = 3\nattention = [1]\nheads = 2\ngroups = 2"),
    ("concat", &[4], "branches = [[{ kind = \"linear\", key = \"a\", out = 3 }], []]"),
];

/// (kind, number of values of each input, shape of the output, its keys).
pub const NODES: &[(&str, &[usize], &[usize], &str)] = &[
    ("rearrange", &[6], &[3, 2], ""),
    ("rearrange", &[6], &[3, 2], r#""index": {"first": 0, "loops": [[3, 1], [2, 3]]}"#),
    ("rearrange", &[6], &[2, 2, 3, 2], r#""index": {"first": 0, "loops": [[2, 3], [2, 0], [3, 1], [2, 0]]}"#),
    ("rearrange", &[6], &[7], r#""index": [[5, -2, 3], [-1, 0, 1], [2, 0, 3]], "fill": 0.5"#),
    ("constant", &[], &[4], r#""key": "a""#),
    ("concat", &[4, 2, 6], &[2, 6], r#""outer": 2"#),
    ("concat", &[3, 5], &[8], r#""outer": 1"#),
    ("affine", &[12], &[2, 3, 2], r#""outer": 2, "mid": 3, "inner": 2, "scale": "a", "shift": "b""#),
    ("affine", &[6], &[6], r#""outer": 1, "mid": 6, "inner": 1, "shift": "b""#),
    ("axis_mix", &[12], &[2, 5, 2], r#""matrix": "a", "outer": 2, "inner": 2"#),
    ("axis_mix", &[6], &[4, 2], r#""matrix": "a", "outer": 1, "inner": 2"#),
    ("dense", &[12], &[3, 5], r#""weight": "a", "bias": "b", "rows": 3"#),
    ("dense", &[6], &[4], r#""weight": "a", "rows": 1"#),
    (
        "conv",
        &[40],
        &[6, 3, 2],
        r#""weight": "a", "bias": "b", "kernel": [2, 3], "input": [2, 5, 4], "output": [6, 3, 2], "stride": [2, 1],
           "pads": [1, 0, 0, 2], "dilation": [1, 2], "groups": 2"#,
    ),
    (
        "conv_transpose",
        &[24],
        &[4, 4, 6],
        r#""weight": "a", "kernel": [3, 2], "input": [2, 3, 4], "output": [4, 4, 6], "stride": [1, 2],
           "pads": [1, 1, 0, 1], "dilation": [1, 1], "groups": 2"#,
    ),
    (
        "conv_transpose",
        &[12],
        &[3, 6, 7],
        r#""weight": "a", "bias": "b", "kernel": [2, 2], "input": [2, 2, 3], "output": [3, 6, 7], "stride": [3, 3],
           "pads": [0, 1, 0, 1], "dilation": [2, 2], "groups": 1"#,
    ),
    (
        "conv_live",
        &[40, 24],
        &[4, 3, 3],
        r#""kernel": [4, 1, 2, 3], "input": [2, 5, 4], "output": [4, 3, 3], "stride": [2, 1], "pads": [1, 0, 0, 1],
           "dilation": [1, 1], "groups": 2"#,
    ),
    ("sum", &[5, 5], &[5], ""),
    ("sum", &[5, 5], &[5], r#""factors": [2.0, -1.0]"#),
    ("product", &[5, 5], &[5], ""),
    ("quotient", &[5, 5], &[5], ""),
    ("matmul", &[12, 20], &[2, 3, 5], r#""batch": 2, "m": 3, "k": 2, "n": 5"#),
    ("unary", &[7], &[7], r#""function": "relu""#),
    ("unary", &[7], &[7], r#""function": "leaky_relu", "a": 0.3"#),
    ("unary", &[7], &[7], r#""function": "elu", "a": 0.7"#),
    ("unary", &[7], &[7], r#""function": "selu""#),
    ("unary", &[7], &[7], r#""function": "celu", "a": 1.5"#),
    ("unary", &[7], &[7], r#""function": "softplus""#),
    ("unary", &[7], &[7], r#""function": "softsign""#),
    ("unary", &[7], &[7], r#""function": "hard_sigmoid""#),
    ("unary", &[7], &[7], r#""function": "hard_swish""#),
    ("unary", &[7], &[7], r#""function": "gelu_tanh""#),
    ("unary", &[7], &[7], r#""function": "mish""#),
    ("unary", &[7], &[7], r#""function": "exp""#),
    ("unary", &[7], &[7], r#""function": "reciprocal""#),
    ("unary", &[7], &[7], r#""function": "erf""#),
    ("unary", &[7], &[7], r#""function": "abs""#),
    ("unary", &[7], &[7], r#""function": "sin""#),
    ("unary", &[7], &[7], r#""function": "cos""#),
    ("unary", &[7], &[7], r#""function": "clip", "a": -0.5, "b": 0.8"#),
    ("unary", &[7], &[7], r#""function": "clip", "b": 0.1"#),
    ("unary", &[7], &[7], r#""function": "power", "a": 3.0"#),
    ("prelu", &[12], &[2, 3, 2], r#""slope": "a", "outer": 2, "mid": 3, "inner": 2"#),
    ("select", &[5, 5, 5], &[5], ""),
    ("extreme", &[5, 5], &[5], r#""function": "max""#),
    ("extreme", &[5, 5], &[5], r#""function": "min""#),
    ("window_max", &[6], &[3], r#""index": [[0, 1, 3], [2, 1, 2], [-1, 0, 1], [3, 1, 3]], "width": 3"#),
    ("softmax", &[12], &[2, 3, 2], r#""outer": 2, "size": 3, "inner": 2"#),
    ("softmax", &[5], &[5], r#""outer": 1, "size": 5, "inner": 1, "log": true"#),
    ("normalise", &[12], &[12], r#""outer": 2, "size": 6, "eps": 1e-5"#),
    ("normalise", &[12], &[12], r#""outer": 3, "size": 4, "eps": 1e-3, "centred": false"#),
    (
        "normalise",
        &[12],
        &[12],
        r#""outer": 2, "size": 6, "eps": 1e-5, "mid": 3, "inner": 2, "scale": "a", "shift": "b""#,
    ),
    ("normalise", &[12], &[12], r#""outer": 3, "size": 4, "eps": 1e-5, "mid": 4, "inner": 1, "scale": "a""#),
    ("norm_of", &[12], &[2, 2], r#""function": "l2", "outer": 2, "size": 3, "inner": 2"#),
    ("norm_of", &[12], &[4], r#""function": "l1", "outer": 4, "size": 3, "inner": 1"#),
    ("norm_of", &[12], &[2, 2], r#""function": "log_sum_exp", "outer": 2, "size": 3, "inner": 2"#),
];

/// Kinds of nodes whose derivative is 0, so that there is nothing to transpose.
const FLAT: &[&str] = &["step"];

/// A layer with its weights.
#[derive(Clone)]
struct Sample {
    name: String,
    network: Network,
    parameters: Parameters,
    device: Device,
    input: usize,
    output: usize,
}

impl Sample {
    fn each() -> impl Iterator<Item = Self> {
        Self::on("cpu")
    }

    fn on(device: &str) -> impl Iterator<Item = Self> {
        let (_, device) = device::open(device).unwrap();
        let other = device.clone();
        let layers = SAMPLES.iter().map(move |(kind, shape, keys)| {
            let table: toml::Table = toml::from_str(&format!("kind = \"{kind}\"\n{keys}")).unwrap();
            Self::of(kind, vec![table], shape, &device)
        });
        layers.chain(NODES.iter().map(move |(kind, inputs, shape, keys)| Self::node(kind, inputs, shape, keys, &other)))
    }

    fn of(name: &str, layers: Vec<toml::Table>, shape: &[usize], device: &Device) -> Self {
        let network = Network::build(layers, shape).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        Self::with(name, network, device)
    }

    /// A node of a graph file. Each of its inputs is a part of the network's input; one of several is a constant.
    fn node(kind: &str, inputs: &[usize], shape: &[usize], keys: &str, device: &Device) -> Self {
        let total: usize = inputs.iter().sum::<usize>().max(4);
        let mut nodes = Vec::new();
        let mut first = 0;
        for width in inputs {
            nodes.push(serde_json::json!({"name": "part", "kind": "rearrange", "inputs": [0], "shape": [width],
                "index": [[first, 1, width]]}));
            first += width;
        }
        let mut node: serde_json::Value = serde_json::from_str(&format!("{{{keys}}}")).unwrap();
        node["name"] = kind.into();
        node["kind"] = kind.into();
        node["inputs"] = (1..=inputs.len()).collect::<Vec<_>>().into();
        node["shape"] = shape.into();
        nodes.push(node);
        let mut output = nodes.len();
        if inputs.is_empty() {
            // A constant alone has no tangents: it is added to the input.
            nodes.push(serde_json::json!({"name": "sum", "kind": "sum", "inputs": [0, output], "shape": shape}));
            output += 1;
        }
        let file = serde_json::json!({"format": 1, "inputs": [{"name": "z", "shape": [total]}], "nodes": nodes,
            "output": output});
        let network = GraphFile::parse(file.to_string().as_bytes()).and_then(|f| f.network());
        Self::with(&format!("{kind} {keys}"), network.unwrap_or_else(|e| panic!("{kind} {keys}: {e}")), device)
    }

    fn with(name: &str, network: Network, device: &Device) -> Self {
        let shape = network.input_shape().to_vec();
        let values = network.parameters().into_iter().enumerate().map(|(i, spec)| {
            let mut v = normals(11, i as u64, Stream::Init, 0, spec.shape.iter().product());
            if spec.key.ends_with("running_var") {
                v.iter_mut().for_each(|v| *v = 0.5 + *v * *v);
            } else if let Init::FanIn(n) = spec.init {
                v.iter_mut().for_each(|v| *v /= (n as f32).sqrt());
            }
            (spec.key, v)
        });
        let parameters = Parameters::from_values(values, device);
        let width = |shape: &[usize]| shape.iter().product();
        let (input, output) = (width(&shape), width(network.output_shape()));
        Self { name: format!("{name} {shape:?}"), network, parameters, device: device.clone(), input, output }
    }

    /// A pass for `n` rows, under a condition if the layer reads one.
    fn pass(&self, n: usize) -> Pass<'_> {
        let pass = Pass::frozen(&self.parameters);
        match self.network.condition_width().unwrap() {
            Some(width) => pass.under(to_rows_on(&self.device, self.draw(9, n, width), width)),
            None => pass,
        }
    }

    /// The weights on the host, under the condition of the first row of [`pass`](Self::pass).
    fn host_parameters(&self) -> HostParameters {
        let parameters = HostParameters::read(&self.parameters).unwrap();
        match self.network.condition_width().unwrap() {
            Some(width) => parameters.under(self.draw(9, 1, width)),
            None => parameters,
        }
    }

    /// Standard normal numbers `[rows, width]`, row-major; `step` separates one use from another.
    fn draw(&self, step: u32, rows: usize, width: usize) -> Vec<f32> {
        normals(12, 0, Stream::Label, step, rows * width)
    }

    /// A value is a sum of at most `input` products and a few more operations per layer. Two ways to add it up differ
    /// by at most that many roundings, relative to the sum of the magnitudes. The factor 4 covers the few layers of a
    /// composite.
    fn bound(&self) -> f64 {
        4.0 * EPS * (self.input + self.output) as f64
    }
}

/// Host values, row-major, as rows of `width` values on `device`.
pub fn to_rows_on(device: &Device, values: Vec<f32>, width: usize) -> Rows {
    let rows = values.len() / width;
    Rows::from_data(burn::tensor::TensorData::new(values, [rows, width]), device)
}

/// The bits of every value.
pub fn bits(values: Vec<f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

#[test]
fn every_kind_has_a_sample() {
    let sampled: BTreeSet<&str> = SAMPLES.iter().map(|s| s.0).collect();
    let known: BTreeSet<&str> = KINDS.iter().map(|k| k.name).collect();
    assert_eq!(sampled, known, "kinds of layers and the samples in {}", file!());
    let sampled: BTreeSet<&str> = NODES.iter().map(|s| s.0).chain(FLAT.iter().copied()).collect();
    let known: BTreeSet<&str> = OPERATORS.iter().map(|k| k.name).collect();
    assert_eq!(sampled, known, "kinds of nodes and the samples in {}", file!());
    let functions: BTreeSet<&str> = isoline::nn::operators::FUNCTIONS.iter().map(|f| f.name).collect();
    let missing = |f: &&&str| !NODES.iter().any(|s| s.0 == "unary" && s.3.contains(&format!("\"{f}\"")));
    assert_eq!(functions.iter().filter(missing).collect::<Vec<_>>(), [&"log", &"sqrt"], "they need positive numbers");
}

/// ⟨J v, w⟩ = ⟨v, Jᵀ w⟩, row by row, with J v from the tangent rule and Jᵀ w from Burn's reverse mode. The tangent pass
/// also computes exactly the values of the forward pass.
#[test]
fn tangents_are_the_transpose_of_reverse_mode() {
    let n = 3;
    for s in Sample::each() {
        let rows = |values: &[f32], width| to_rows_on(&s.device, values.to_vec(), width);
        let (z, v, w) = (s.draw(0, n, s.input), s.draw(1, n, s.input), s.draw(2, n, s.output));
        let x = rows(&z, s.input);
        let (y, t) = s.network.tangent(x.clone(), Tangents::per_sample(rows(&v, s.input), 1), &s.pass(n));
        let jv = host(t.expanded(n)).unwrap();
        let forward = host(s.network.forward(x.clone(), &s.pass(n))).unwrap();
        assert_eq!(bits(host(y).unwrap()), bits(forward), "{}: values of the tangent pass", s.name);

        let leaf = x.autodiff().require_grad();
        let loss = (s.network.forward(leaf.clone(), &s.pass(n)) * rows(&w, s.output)).sum();
        let jtw = host(leaf.grad(&loss.backward()).unwrap()).unwrap();
        for i in 0..n {
            let input = i * s.input..(i + 1) * s.input;
            let output = i * s.output..(i + 1) * s.output;
            let (jv, w, v, jtw) = (&jv[output.clone()], &w[output], &v[input.clone()], &jtw[input]);
            let (a, b) = (dot(jv, w), dot(v, jtw));
            let bound = s.bound() * (norm(jv) * norm(w) + norm(v) * norm(jtw));
            assert!(norm(jv) > 0.0 && (a - b).abs() <= bound, "{} row {i}: {a} and {b}, bound {bound:e}", s.name);
        }
    }
}

#[test]
fn rows_do_not_touch() {
    let (n, k) = (3, 2);
    for s in Sample::each() {
        let run = |poisoned: bool| {
            let (mut z, mut v) = (s.draw(0, n, s.input), s.draw(1, n * k, s.input));
            if poisoned {
                z[s.input..].fill(f32::NAN);
                v[k * s.input..].fill(f32::NAN);
            }
            let (x, v) = (to_rows_on(&s.device, z, s.input), to_rows_on(&s.device, v, s.input));
            let y = host(s.network.forward(x.clone(), &s.pass(n))).unwrap();
            let (_, t) = s.network.tangent(x.clone(), Tangents::per_sample(v, k), &s.pass(n));
            let (_, taps) = s.network.tap(x, &s.pass(n));
            let taps = taps.into_iter().flat_map(|tap| {
                let width = tap.dims()[1];
                host(tap).unwrap()[..width].to_vec()
            });
            let first = |values: Vec<f32>, width: usize| values[..width].to_vec();
            let t = first(host(t.expanded(n)).unwrap(), k * s.output);
            bits(first(y, s.output).into_iter().chain(t).chain(taps).collect())
        };
        let (clean, poisoned) = (run(false), run(true));
        assert!(clean == poisoned, "{}: row 0 depends on other rows", s.name);
    }
}

/// Directions given once for all samples give the same result as repeating them for each.
#[test]
fn shared_directions_equal_repeated_ones() {
    let (n, k) = (3, 4);
    for s in Sample::each() {
        let x = to_rows_on(&s.device, s.draw(0, n, s.input), s.input);
        let v = s.draw(1, k, s.input);
        let through = |t| {
            let (_, t) = s.network.tangent(x.clone(), t, &s.pass(n));
            host(t.expanded(n)).unwrap()
        };
        let once = through(Tangents::shared(to_rows_on(&s.device, v.clone(), s.input)));
        let each = through(Tangents::per_sample(to_rows_on(&s.device, v.repeat(n), s.input), k));
        let off = relative_l2(&once, &f64s(&each));
        assert!(off <= s.bound(), "{}: off by {off:e}, bound {:e}", s.name, s.bound());
    }
}

/// Compares values and tangents on host memory with those of the tensors.
fn on_host_as_on_tensors(name: &str, s: &Sample, bound: f64) {
    let k = 5;
    let chain = HostGraph::of_network(&s.network, &s.host_parameters());
    let chain = chain.unwrap_or_else(|| panic!("{name} has no host rule"));
    let (z, v) = (s.draw(0, 2, s.input), s.draw(1, k, s.input));
    let start = chain.start(HostRows::directions(&v, k));
    for z in z.chunks_exact(s.input) {
        let t = Tangents::shared(to_rows_on(&s.device, v.clone(), s.input));
        let (y, t) = s.network.tangent(to_rows_on(&s.device, z.to_vec(), s.input), t, &s.pass(1));
        let (y, t) = (host(y).unwrap(), host(t.expanded(1)).unwrap());
        let (value, trace) = chain.value(z);
        let found = chain.tangent(&trace, &start, None);
        assert_eq!((value.len(), found.features()), (y.len(), y.len()), "{name}");
        let of = |f: usize, j: usize| found.row(f).map_or(0.0, |row| row[j]);
        let tangents: Vec<f32> =
            (0..k).flat_map(|j| (0..y.len()).map(move |f| (f, j))).map(|(f, j)| of(f, j)).collect();
        for (what, found, expected) in [("values", &value, &y), ("tangents", &tangents, &t)] {
            let off = relative_l2(found, &f64s(expected));
            assert!(off <= bound, "{name}: {what} off by {off:e}, bound {bound:e}");
        }
    }
}

/// Kinds that no shipped model has between its latent and its picture. They are computed with tensors.
const WITHOUT_HOST_RULE: &[&str] = &["layer_norm", "fourier", "max_pool2d"];

#[test]
fn every_kind_is_the_same_on_host_memory() {
    let without = |s: &Sample| WITHOUT_HOST_RULE.iter().any(|kind| s.name.starts_with(kind));
    for s in Sample::each() {
        if without(&s) {
            assert!(
                s.network.plain(&s.host_parameters()).is_none(),
                "{} has a host rule: take it off the list",
                s.name
            );
            continue;
        }
        on_host_as_on_tensors(&s.name, &s, s.bound());
    }
}

/// Blocks of samples give what each sample gives by itself, but for rounding; and a sample's bits are the same alone and in any
/// company, even that of NaN.
#[test]
fn a_block_of_samples_is_its_samples() {
    let n = 19;
    for s in Sample::each() {
        let Some(graph) = HostGraph::of_network(&s.network, &s.host_parameters()) else { continue };
        let z = s.draw(0, n, s.input);
        let block = graph.values(&z);
        assert_eq!(block.len(), n * s.output, "{}", s.name);
        let mut poisoned = z.clone();
        poisoned[s.input..].fill(f32::NAN);
        let poisoned = graph.values(&poisoned);
        assert_eq!(bits(poisoned[..s.output].to_vec()), bits(block[..s.output].to_vec()), "{}: lane 0", s.name);
        for (z, y) in z.chunks_exact(s.input).zip(block.chunks_exact(s.output)) {
            assert_eq!(bits(graph.values(z)), bits(y.to_vec()), "{}: alone and in a block", s.name);
            let off = relative_l2(y, &f64s(&graph.value(z).0));
            assert!(off <= s.bound(), "{}: off by {off:e}, bound {:e}", s.name, s.bound());
        }
    }
}

/// What single layers do not show: norms folded into the sums before them, and rows left out because a relu after them
/// is closed, through a residual, an enlargement and a concatenation. There are ten sums of at most 72 terms, each of
/// which passes on the error before it.
#[test]
fn a_chain_is_the_same_on_host_memory() {
    let text = r#"layers = [
        { kind = "linear", key = "a", out = 12 }, { kind = "reshape", shape = [3, 2, 2] }, { kind = "batch_norm", key = "n" },
        { kind = "leaky_relu" }, { kind = "conv_transpose2d", key = "b", out = 4, kernel = 4, stride = 2, padding = 1 },
        { kind = "batch_norm", key = "m" }, { kind = "relu" }, { kind = "upsample", factor = 2 },
        { kind = "conv2d", key = "c", out = 8, kernel = 3, padding = 1 },
        { kind = "residual", body = [{ kind = "conv2d", key = "d", out = 8, kernel = 3, padding = 1 }, { kind = "relu" },
            { kind = "conv2d", key = "e", out = 8, kernel = 3, padding = 1 }] }, { kind = "relu" },
        { kind = "concat", branches = [[{ kind = "conv2d", key = "f", out = 2, kernel = 1 }, { kind = "relu" }], []] },
        { kind = "group_norm", key = "g", groups = 2 }, { kind = "relu" },
        { kind = "conv2d", key = "h", out = 2, kernel = 3, stride = 2, padding = 1 }, { kind = "tanh" } ]"#;
    let table: toml::Table = toml::from_str(text).unwrap();
    let layers = table["layers"].as_array().unwrap().iter().map(|l| l.as_table().unwrap().clone()).collect();
    let s = Sample::of("chain", layers, &[6], &device::open("cpu").unwrap().1);
    for value in 1..=s.network.nodes().len() {
        let network = s.network.until(value);
        let part = Sample { name: format!("until {}", s.network.nodes()[value - 1].name), network, ..s.clone() };
        on_host_as_on_tensors(&part.name, &part, 10.0 * 72.0 * EPS);
    }
}

/// Every layer and a shipped generator, value and tangents, on wgpu (in CI: Mesa's software Vulkan) compared with the
/// processor. Both add the same products in another order, so they may differ by twice the bound of [`Sample::bound`].
/// The generator is a chain of four sums of up to 1,024 terms, each of which passes on the relative error before it.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_equals_cpu() {
    for (cpu, gpu) in Sample::on("cpu").zip(Sample::on("wgpu")) {
        let both = |s: &Sample| {
            let x = to_rows_on(&s.device, s.draw(0, 2, s.input), s.input);
            let t = Tangents::shared(to_rows_on(&s.device, s.draw(1, 3, s.input), s.input));
            let (y, t) = s.network.tangent(x, t, &s.pass(2));
            (host(y).unwrap(), host(t.expanded(2)).unwrap())
        };
        let (expected, found) = (both(&cpu), both(&gpu));
        for (a, b) in [(&found.0, &expected.0), (&found.1, &expected.1)] {
            let error = relative_l2(a, &f64s(b));
            assert!(error < 2.0 * cpu.bound(), "{}: {error:e}", cpu.name);
        }
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    let through = |name: &str| {
        let (_, device) = device::open(name).unwrap();
        let g = isoline::generator::OneShot::load(&folder, &device).unwrap();
        let d = isoline::generator::Generator::spec(&g).latent_width;
        let z = to_rows_on(&device, normals(0, 3, Stream::Latent, 0, 2 * d), d);
        let v = Tangents::shared(to_rows_on(&device, normals(0, 4, Stream::Latent, 0, 2 * d), d));
        let (x, t) = isoline::generator::Generator::tangents(&g, z, v);
        (host(x).unwrap(), host(t.expanded(2)).unwrap())
    };
    let (expected, found) = (through("cpu"), through("wgpu"));
    for (a, b) in [(&found.0, &expected.0), (&found.1, &expected.1)] {
        let error = relative_l2(a, &f64s(b));
        println!("digits-gan on wgpu against cpu: relative L2 {error:.1e}");
        assert!(error < 4.0 * EPS * 1024.0, "{error:e}");
    }
}

/// With one row of NaN in every sample's batch, the other rows keep their bits, in values and in tangents. Returns the
/// number of samples.
pub fn poisoned_rows_stay_alone() -> usize {
    let n = 4;
    let check = |s: Sample| {
        let z = s.draw(0, n, s.input);
        let mut poisoned = z.clone();
        poisoned[2 * s.input..3 * s.input].fill(f32::NAN);
        let v = s.draw(1, n, s.input);
        let values = |z: &[f32]| {
            let rows = |values: &[f32]| to_rows_on(&s.device, values.to_vec(), s.input);
            let (y, t) = s.network.tangent(rows(z), Tangents::per_sample(rows(&v), 1), &s.pass(n));
            let forward = host(s.network.forward(rows(z), &s.pass(n))).unwrap();
            [bits(forward), bits(host(y).unwrap()), bits(host(t.expanded(n)).unwrap())]
        };
        for (clean, found) in values(&z).into_iter().zip(values(&poisoned)) {
            let width = clean.len() / n;
            assert_eq!(found[..2 * width], clean[..2 * width], "{}", s.name);
            assert_eq!(found[3 * width..], clean[3 * width..], "{}", s.name);
        }
    };
    Sample::each().map(check).count()
}
