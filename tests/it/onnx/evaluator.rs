//! A slow evaluator of lowered graphs in 64 bits, written from the table of kinds alone. It shares nothing with the
//! engine or with the importer's own arithmetic.

use isoline::onnx::{Lowered, Node};

/// All values of a graph: the latent, then what each node makes.
pub fn evaluate(graph: &Lowered, latent: &[f64]) -> Vec<Vec<f64>> {
    let features: usize = graph.inputs[0].shape.iter().product();
    assert_eq!(features, latent.len(), "the latent has {features} values");
    let mut values = vec![latent.to_vec()];
    for node in &graph.nodes {
        let inputs: Vec<&[f64]> = node.inputs.iter().map(|&i| values[i].as_slice()).collect();
        let made = Keys { graph, node }.value(&inputs);
        assert_eq!(made.len(), node.shape.iter().product::<usize>(), "{} of node {}", node.kind, node.name);
        values.push(made);
    }
    values
}

struct Keys<'a> {
    graph: &'a Lowered,
    node: &'a Node,
}

impl Keys<'_> {
    fn size(&self, key: &str) -> usize {
        self.node.keys[key].as_u64().unwrap_or_else(|| panic!("{key} of {}", self.node.name)) as usize
    }

    fn sizes(&self, key: &str) -> Vec<usize> {
        self.node.keys[key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.node.keys.get(key).map(|v| v.as_f64().unwrap())
    }

    fn text(&self, key: &str) -> &str {
        self.node.keys[key].as_str().unwrap()
    }

    fn truth(&self, key: &str, missing: bool) -> bool {
        self.node.keys.get(key).map_or(missing, |v| v.as_bool().unwrap())
    }

    fn tensor(&self, key: &str) -> Option<(Vec<usize>, Vec<f64>)> {
        let name = self.node.keys.get(key)?.as_str().unwrap();
        let (shape, values) = &self.graph.tensors[name];
        assert_eq!(shape.iter().product::<usize>(), values.len(), "tensor {name}");
        Some((shape.clone(), values.iter().map(|&v| f64::from(v)).collect()))
    }

    fn index(&self) -> Option<(Vec<usize>, Vec<i32>)> {
        Some(self.graph.indices[self.node.keys.get("index")?.as_str().unwrap()].clone())
    }

    fn features(&self) -> usize {
        self.node.shape.iter().product()
    }

    fn value(&self, x: &[&[f64]]) -> Vec<f64> {
        let arity = match self.node.kind {
            "constant" => Some(0),
            "concat" | "step" => None,
            "sum" | "product" | "quotient" | "matmul" | "conv_live" | "extreme" => Some(2),
            "select" => Some(3),
            _ => Some(1),
        };
        assert!(arity.is_none_or(|n| n == x.len()), "{} takes {} inputs", self.node.kind, x.len());
        match self.node.kind {
            "rearrange" => match self.index() {
                None => x[0].to_vec(),
                Some((_, index)) => {
                    let fill = self.number("fill").unwrap_or(0.0);
                    index.iter().map(|&i| if i == -1 { fill } else { x[0][i as usize] }).collect()
                }
            },
            "constant" => self.tensor("key").unwrap().1,
            "concat" => {
                let outer = self.size("outer");
                let part = |o: usize, v: &[f64]| v[o * (v.len() / outer)..(o + 1) * (v.len() / outer)].to_vec();
                (0..outer).flat_map(|o| x.iter().flat_map(move |v| part(o, v)).collect::<Vec<_>>()).collect()
            }
            "axis_mix" => {
                let (shape, matrix) = self.tensor("matrix").unwrap();
                let (outer, inner, (out, width)) = (self.size("outer"), self.size("inner"), (shape[0], shape[1]));
                assert_eq!(outer * width * inner, x[0].len());
                let mut y = vec![0.0; outer * out * inner];
                for o in 0..outer {
                    for j in 0..out {
                        for m in 0..width {
                            for i in 0..inner {
                                y[(o * out + j) * inner + i] +=
                                    matrix[j * width + m] * x[0][(o * width + m) * inner + i];
                            }
                        }
                    }
                }
                y
            }
            "affine" => {
                let (outer, mid, inner) = (self.size("outer"), self.size("mid"), self.size("inner"));
                assert_eq!(outer * mid * inner, x[0].len(), "affine {}", self.node.name);
                let part = |key: &str, missing: f64| self.tensor(key).map_or(vec![missing; mid], |(_, v)| v);
                let (scale, shift) = (part("scale", 1.0), part("shift", 0.0));
                assert!(scale.len() == mid && shift.len() == mid, "affine {}", self.node.name);
                x[0].iter().enumerate().map(|(i, v)| scale[i / inner % mid] * v + shift[i / inner % mid]).collect()
            }
            "sum" => {
                let factors =
                    self.node.keys.get("factors").map_or(vec![1.0, 1.0], |f| {
                        f.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
                    });
                self.pairs(x, |a, b| factors[0] * a + factors[1] * b)
            }
            "product" => self.pairs(x, |a, b| a * b),
            "quotient" => self.pairs(x, |a, b| a / b),
            "dense" => {
                let ((shape, weight), rows) = (self.tensor("weight").unwrap(), self.size("rows"));
                let (out, width) = (shape[0], shape[1]);
                assert_eq!(rows * width, x[0].len(), "dense {}", self.node.name);
                let bias = self.tensor("bias").map_or(vec![0.0; out], |(_, v)| v);
                assert_eq!(bias.len(), out);
                let dot = |r: usize, o: usize| -> f64 {
                    (0..width).map(|i| weight[o * width + i] * x[0][r * width + i]).sum::<f64>() + bias[o]
                };
                (0..rows).flat_map(|r| (0..out).map(|o| dot(r, o)).collect::<Vec<_>>()).collect()
            }
            "matmul" => {
                let (batch, m, k, n) = (self.size("batch"), self.size("m"), self.size("k"), self.size("n"));
                assert!(x[0].len() == batch * m * k && x[1].len() == batch * k * n);
                let mut y = Vec::new();
                for b in 0..batch {
                    for r in 0..m {
                        for c in 0..n {
                            y.push((0..k).map(|i| x[0][(b * m + r) * k + i] * x[1][(b * k + i) * n + c]).sum());
                        }
                    }
                }
                y
            }
            "conv" => {
                let (kernel, weight) = self.tensor("weight").unwrap();
                self.conv(x[0], &weight, &kernel)
            }
            "conv_live" => self.conv(x[0], x[1], &self.sizes("kernel")),
            "conv_transpose" => self.conv_transpose(x[0]),
            "unary" => {
                let (name, a, b) = (self.text("function"), self.number("a"), self.number("b"));
                x[0].iter().map(|&v| unary(name, a, b, v)).collect()
            }
            "prelu" => {
                let (mid, inner) = (self.size("mid"), self.size("inner"));
                let slope = self.tensor("slope").unwrap().1;
                assert_eq!(slope.len(), mid);
                let one = |(i, &v): (usize, &f64)| if v > 0.0 { v } else { slope[i / inner % mid] * v };
                x[0].iter().enumerate().map(one).collect()
            }
            "step" => self.step(x),
            "select" => {
                assert!(x.iter().all(|v| v.len() == self.features()));
                (0..self.features()).map(|i| if x[0][i] != 0.0 { x[1][i] } else { x[2][i] }).collect()
            }
            "extreme" => match self.text("function") {
                "max" => self.pairs(x, f64::max),
                _ => self.pairs(x, f64::min),
            },
            "window_max" => {
                let (shape, index) = self.index().unwrap();
                let largest = |window: &[i32]| {
                    window.iter().filter(|i| **i >= 0).map(|&i| x[0][i as usize]).fold(f64::NEG_INFINITY, f64::max)
                };
                index.chunks(shape[1]).map(largest).collect()
            }
            "softmax" => {
                let log = self.truth("log", false);
                self.lines(x[0], self.size("size"), |line| {
                    let top = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = line.iter().map(|v| (v - top).exp()).sum();
                    line.iter().map(|v| if log { v - top - total.ln() } else { (v - top).exp() / total }).collect()
                })
            }
            "normalise" => {
                let (size, eps) = (self.size("size"), self.number("eps").unwrap());
                assert_eq!(self.size("outer") * size, x[0].len());
                let centred = self.truth("centred", true);
                let row = |row: &[f64]| -> Vec<f64> {
                    let mean = if centred { row.iter().sum::<f64>() / size as f64 } else { 0.0 };
                    let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64;
                    row.iter().map(|v| (v - mean) / (var + eps).sqrt()).collect()
                };
                let y = x[0].chunks(size).flat_map(row);
                let (scale, shift) = (self.tensor("scale"), self.tensor("shift"));
                if scale.is_none() && shift.is_none() {
                    return y.collect();
                }
                let (mid, inner) = (self.size("mid"), self.size("inner"));
                assert_eq!(x[0].len() % (mid * inner), 0, "normalise {}", self.node.name);
                let part = |v: Option<(Vec<usize>, Vec<f64>)>, missing: f64| v.map_or(vec![missing; mid], |(_, v)| v);
                let (scale, shift) = (part(scale, 1.0), part(shift, 0.0));
                assert!(scale.len() == mid && shift.len() == mid, "normalise {}", self.node.name);
                y.enumerate().map(|(i, v)| scale[i / inner % mid] * v + shift[i / inner % mid]).collect()
            }
            "norm_of" => {
                let name = self.text("function");
                self.lines(x[0], self.size("size"), |line| {
                    vec![match name {
                        "l1" => line.iter().map(|v| v.abs()).sum(),
                        "l2" => line.iter().map(|v| v * v).sum::<f64>().sqrt(),
                        "log_sum_exp" => line.iter().map(|v| v.exp()).sum::<f64>().ln(),
                        other => panic!("norm {other}"),
                    }]
                })
            }
            other => panic!("kind {other}"),
        }
    }

    fn pairs(&self, x: &[&[f64]], of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        assert!(
            x[0].len() == self.features() && x[1].len() == self.features(),
            "{} {}",
            self.node.kind,
            self.node.name
        );
        x[0].iter().zip(x[1]).map(|(&a, &b)| of(a, b)).collect()
    }

    fn lines(&self, x: &[f64], size: usize, of: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let (outer, inner) = (self.size("outer"), self.size("inner"));
        assert_eq!(outer * size * inner, x.len(), "{} {}", self.node.kind, self.node.name);
        let mut columns = Vec::new();
        for o in 0..outer {
            for i in 0..inner {
                let line: Vec<f64> = (0..size).map(|m| x[(o * size + m) * inner + i]).collect();
                columns.push(of(&line));
            }
        }
        let made = columns[0].len();
        let mut y = Vec::new();
        for o in 0..outer {
            let lines = &columns[o * inner..(o + 1) * inner];
            y.extend((0..made).flat_map(|m| lines.iter().map(move |line| line[m])));
        }
        y
    }

    fn conv(&self, x: &[f64], weight: &[f64], kernel: &[usize]) -> Vec<f64> {
        let (input, stride, dilation) = (self.sizes("input"), self.sizes("stride"), self.sizes("dilation"));
        let (pads, groups) = (self.sizes("pads"), self.size("groups"));
        let [channels, height, width] = input[..] else { panic!("input of conv") };
        assert!(
            x.len() == channels * height * width && kernel[1] * groups == channels && kernel[0].is_multiple_of(groups)
        );
        let bias = self.tensor("bias").map_or(vec![0.0; kernel[0]], |(_, v)| v);
        assert_eq!(bias.len(), kernel[0]);
        let at = |c: usize, h: isize, w: isize| {
            let inside = h >= 0 && w >= 0 && (h as usize) < height && (w as usize) < width;
            if inside { x[(c * height + h as usize) * width + w as usize] } else { 0.0 }
        };
        let rows = (height + pads[0] + pads[2] - (dilation[0] * (kernel[2] - 1) + 1)) / stride[0] + 1;
        let columns = (width + pads[1] + pads[3] - (dilation[1] * (kernel[3] - 1) + 1)) / stride[1] + 1;
        let mut y = Vec::new();
        for (o, bias) in bias.iter().enumerate() {
            for r in 0..rows {
                for c in 0..columns {
                    let mut sum = *bias;
                    for i in 0..kernel[1] {
                        for p in 0..kernel[2] {
                            for q in 0..kernel[3] {
                                let w = weight[((o * kernel[1] + i) * kernel[2] + p) * kernel[3] + q];
                                let h = (r * stride[0] + p * dilation[0]) as isize - pads[0] as isize;
                                let v = (c * stride[1] + q * dilation[1]) as isize - pads[1] as isize;
                                sum += w * at(o / (kernel[0] / groups) * kernel[1] + i, h, v);
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
        y
    }

    fn conv_transpose(&self, x: &[f64]) -> Vec<f64> {
        let (kernel, weight) = self.tensor("weight").unwrap();
        let (input, stride, dilation) = (self.sizes("input"), self.sizes("stride"), self.sizes("dilation"));
        let (pads, groups, output) = (self.sizes("pads"), self.size("groups"), self.sizes("output"));
        let out = kernel[1] * groups;
        assert_eq!(kernel[0], input[0]);
        let bias = self.tensor("bias").map_or(vec![0.0; out], |(_, v)| v);
        assert_eq!(bias.len(), out);
        let mut y: Vec<f64> = bias.iter().flat_map(|&b| vec![b; output[0] * output[1]]).collect();
        for c in 0..input[0] {
            for r in 0..input[1] {
                for s in 0..input[2] {
                    for o in 0..kernel[1] {
                        for p in 0..kernel[2] {
                            for q in 0..kernel[3] {
                                let h = (r * stride[0] + p * dilation[0]) as isize - pads[0] as isize;
                                let v = (s * stride[1] + q * dilation[1]) as isize - pads[1] as isize;
                                if h < 0 || v < 0 || h as usize >= output[0] || v as usize >= output[1] {
                                    continue;
                                }
                                let channel = c / (kernel[0] / groups) * kernel[1] + o;
                                y[(channel * output[0] + h as usize) * output[1] + v as usize] += x
                                    [(c * input[1] + r) * input[2] + s]
                                    * weight[((c * kernel[1] + o) * kernel[2] + p) * kernel[3] + q];
                            }
                        }
                    }
                }
            }
        }
        y
    }

    fn step(&self, x: &[&[f64]]) -> Vec<f64> {
        let truth = |v: bool| if v { 1.0 } else { 0.0 };
        if let [x] = x {
            let one = |v: f64| match self.text("function") {
                "not" => truth(v == 0.0),
                "floor" => v.floor(),
                "ceil" => v.ceil(),
                "round" => v.round_ties_even(),
                "sign" => truth(v > 0.0) - truth(v < 0.0),
                other => panic!("step {other} of one"),
            };
            return x.iter().map(|&v| one(v)).collect();
        }
        self.pairs(x, |a, b| match self.text("function") {
            "greater" => truth(a > b),
            "greater_equal" => truth(a >= b),
            "less" => truth(a < b),
            "less_equal" => truth(a <= b),
            "equal" => truth(a == b),
            "and" => truth(a != 0.0 && b != 0.0),
            "or" => truth(a != 0.0 || b != 0.0),
            "xor" => truth((a != 0.0) != (b != 0.0)),
            other => panic!("step {other} of two"),
        })
    }
}

/// erf by its series and its continued fraction, to 1e-13.
fn erf(x: f64) -> f64 {
    let s = x.abs();
    if s < 3.0 {
        let (mut term, mut sum) = (s, s);
        for n in 1..200 {
            term *= -s * s / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt() * x.signum();
    }
    let mut fraction = s;
    for n in (1..200).rev() {
        fraction = s + n as f64 / 2.0 / fraction;
    }
    (1.0 - (-s * s).exp() / fraction / std::f64::consts::PI.sqrt()) * x.signum()
}

fn unary(name: &str, a: Option<f64>, b: Option<f64>, x: f64) -> f64 {
    let softplus = |x: f64| if x > 30.0 { x } else { x.exp().ln_1p() };
    let (p, q) = (|| a.expect("a"), || b.expect("b"));
    match name {
        "relu" => x.max(0.0),
        "leaky_relu" if x > 0.0 => x,
        "leaky_relu" => p() * x,
        "elu" | "celu" if x > 0.0 => x,
        "elu" => p() * (x.exp() - 1.0),
        "celu" => p() * ((x / p()).exp() - 1.0),
        "selu" if x > 0.0 => q() * x,
        "selu" => q() * p() * (x.exp() - 1.0),
        "softplus" => softplus(x),
        "sigmoid" => 1.0 / (1.0 + (-x).exp()),
        "tanh" => x.tanh(),
        "hard_sigmoid" => (p() * x + q()).clamp(0.0, 1.0),
        "hard_swish" => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        "gelu" => x / 2.0 * (1.0 + erf(x / 2f64.sqrt())),
        "gelu_tanh" => x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        "mish" => x * softplus(x).tanh(),
        "silu" => x / (1.0 + (-x).exp()),
        "exp" => x.exp(),
        "log" => x.ln(),
        "sqrt" => x.sqrt(),
        "reciprocal" => 1.0 / x,
        "erf" => erf(x),
        "abs" => x.abs(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "clip" => x.max(a.unwrap_or(f64::NEG_INFINITY)).min(b.unwrap_or(f64::INFINITY)),
        "power" => x.powf(p()),
        "softsign" => x / (1.0 + x.abs()),
        other => panic!("function {other}"),
    }
}
