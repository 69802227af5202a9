//! What a node computes, for values that do not depend on the latent: these are worked out once, at import. Arithmetic
//! is in 64 bits, results are kept in 32.

use super::kind::{Kind, View, Window};

/// Multiplications that one node takes, for the limit on work.
pub fn work(kind: &Kind, features: usize) -> usize {
    let each = match kind {
        Kind::AxisMix { view, .. } => view.mid,
        Kind::Dense { weight, .. } => weight.shape.get(1).copied().unwrap_or(1),
        Kind::MatMul { k, .. } => *k,
        Kind::Conv { weight, .. } => weight.shape.get(1..).map_or(1, |s| s.iter().product()),
        Kind::ConvLive { kernel, .. } => kernel[1..].iter().product(),
        Kind::ConvTranspose { weight, window, .. } => weight.len() / window.groups.max(1),
        Kind::WindowMax { width, .. } => *width,
        _ => 1,
    };
    each.saturating_mul(features)
}

/// The value of a node of `features` entries.
pub fn evaluate(kind: &Kind, x: &[&[f32]], features: usize) -> Vec<f32> {
    let wide = |v: f64| v as f32;
    match kind {
        Kind::Rearrange { index, fill } => match index {
            Some(index) => index.iter().map(|&at| if at < 0 { *fill } else { x[0][at as usize] }).collect(),
            None => x[0].to_vec(),
        },
        Kind::Constant(constant) => constant.as_floats().into_owned(),
        Kind::Concat { outer } => concat(x, *outer, features),
        Kind::AxisMix { matrix, view } => axis_mix(&matrix.as_floats(), x[0], *view),
        Kind::Affine { view, scale, shift } => {
            let (scale, shift) = (scale.as_ref().map(|c| c.as_floats()), shift.as_ref().map(|c| c.as_floats()));
            let at = |i: usize| i / view.inner % view.mid;
            let one = |(i, &v): (usize, &f32)| {
                let scaled = f64::from(v) * scale.as_ref().map_or(1.0, |s| f64::from(s[at(i)]));
                wide(scaled + shift.as_ref().map_or(0.0, |s| f64::from(s[at(i)])))
            };
            x[0].iter().enumerate().map(one).collect()
        }
        Kind::Sum([f, g]) => pairs(x, |a, b| f64::from(*f) * a + f64::from(*g) * b),
        Kind::Product => pairs(x, |a, b| a * b),
        Kind::Quotient => pairs(x, |a, b| a / b),
        Kind::Dense { weight, bias, rows } => {
            let weight = weight.as_floats();
            let width = x[0].len() / (*rows).max(1);
            let out = features / (*rows).max(1);
            let bias = bias.as_ref().map(|b| b.as_floats());
            let dot = |row: &[f32], o: usize| -> f64 {
                let column = weight[o * width..(o + 1) * width].iter();
                row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let add = |o: usize| bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
            (0..features)
                .map(|i| (&x[0][i / out * width..(i / out + 1) * width], i % out))
                .map(|(r, o)| wide(dot(r, o) + add(o)))
                .collect()
        }
        Kind::MatMul { batch, m, k, n } => {
            let mut y = Vec::with_capacity(batch * m * n);
            for (b, r) in (0..*batch).flat_map(|b| (0..*m).map(move |r| (b, r))) {
                let row = &x[0][(b * m + r) * k..(b * m + r + 1) * k];
                let other = &x[1][b * k * n..(b + 1) * k * n];
                let sum =
                    |c: usize| row.iter().enumerate().map(|(i, a)| f64::from(*a) * f64::from(other[i * n + c])).sum();
                y.extend((0..*n).map(|c| wide(sum(c))));
            }
            y
        }
        Kind::Conv { weight, bias, window } => {
            let kernel = [weight.shape[0], weight.shape[1], weight.shape[2], weight.shape[3]];
            conv(x[0], &weight.as_floats(), bias.as_ref().map(|b| b.as_floats()).as_deref(), kernel, window)
        }
        Kind::ConvLive { kernel, window } => conv(x[0], x[1], None, *kernel, window),
        Kind::ConvTranspose { weight, bias, window, output } => {
            let kernel = [weight.shape[0], weight.shape[1], weight.shape[2], weight.shape[3]];
            conv_transpose(
                x[0],
                &weight.as_floats(),
                bias.as_ref().map(|b| b.as_floats()).as_deref(),
                kernel,
                window,
                *output,
            )
        }
        Kind::Unary { function, a, b } => {
            let of = |v: Option<f32>| v.map(f64::from);
            x[0].iter().map(|&v| wide(unary(function, of(*a), of(*b), f64::from(v)))).collect()
        }
        Kind::PRelu { slope, view } => {
            let slope = slope.as_floats();
            let one = |(i, &v): (usize, &f32)| if v > 0.0 { v } else { slope[i / view.inner % view.mid] * v };
            x[0].iter().enumerate().map(one).collect()
        }
        Kind::Step(function) => match x.len() {
            1 => x[0].iter().map(|&v| wide(step(function, f64::from(v), 0.0))).collect(),
            _ => pairs(x, |a, b| step(function, a, b)),
        },
        Kind::Select => (0..features).map(|i| if x[0][i] != 0.0 { x[1][i] } else { x[2][i] }).collect(),
        Kind::Extreme("max") => pairs(x, |a, b| if b > a { b } else { a }),
        Kind::Extreme(_) => pairs(x, |a, b| if b < a { b } else { a }),
        Kind::WindowMax { index, width } => {
            let largest = |window: &[i32]| {
                let entries = window.iter().filter(|&&at| at >= 0).map(|&at| x[0][at as usize]);
                entries.fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
            };
            index.chunks(*width.max(&1)).map(largest).collect()
        }
        Kind::Softmax { view, log } => lines(x[0], *view, |line| softmax(line, *log)),
        Kind::Normalise { size, eps, centred, view, scale, shift, .. } => {
            let rows = View { outer: features / (*size).max(1), mid: *size, inner: 1 };
            let y = lines(x[0], rows, |line| normalise(line, *eps, *centred));
            match (scale, shift) {
                (None, None) => y,
                _ => {
                    let kind = Kind::Affine { view: *view, scale: scale.clone(), shift: shift.clone() };
                    evaluate(&kind, &[&y], features)
                }
            }
        }
        Kind::NormOf { function, view } => lines(x[0], *view, |line| vec![norm_of(function, line)]),
    }
}

fn pairs(x: &[&[f32]], of: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    x[0].iter().zip(x[1]).map(|(&a, &b)| of(f64::from(a), f64::from(b)) as f32).collect()
}

fn concat(x: &[&[f32]], outer: usize, features: usize) -> Vec<f32> {
    let mut y = Vec::with_capacity(features);
    for o in 0..outer {
        for part in x {
            let width = part.len() / outer;
            y.extend_from_slice(&part[o * width..(o + 1) * width]);
        }
    }
    y
}

fn axis_mix(matrix: &[f32], x: &[f32], view: View) -> Vec<f32> {
    let out = matrix.len() / view.mid.max(1);
    let mut y = Vec::with_capacity(view.outer * out * view.inner);
    for (o, j) in (0..view.outer).flat_map(|o| (0..out).map(move |j| (o, j))) {
        let row = &matrix[j * view.mid..(j + 1) * view.mid];
        let sum = |i: usize| -> f64 {
            let at = |m: usize| x[(o * view.mid + m) * view.inner + i];
            row.iter().enumerate().map(|(m, w)| f64::from(*w) * f64::from(at(m))).sum()
        };
        y.extend((0..view.inner).map(|i| sum(i) as f32));
    }
    y
}

/// Applies `of` to each line along the middle axis.
fn lines(x: &[f32], view: View, of: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f32> {
    let mut y = Vec::new();
    for (o, i) in (0..view.outer).flat_map(|o| (0..view.inner).map(move |i| (o, i))) {
        let line: Vec<f64> = (0..view.mid).map(|m| f64::from(x[(o * view.mid + m) * view.inner + i])).collect();
        let made = of(&line);
        let out = made.len();
        if y.is_empty() {
            y = vec![0.0; view.outer * out * view.inner];
        }
        for (m, v) in made.into_iter().enumerate() {
            y[(o * out + m) * view.inner + i] = v as f32;
        }
    }
    y
}

fn softmax(line: &[f64], log: bool) -> Vec<f64> {
    let top = line.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = line.iter().map(|v| (v - top).exp()).sum();
    line.iter().map(|v| if log { v - top - sum.ln() } else { (v - top).exp() / sum }).collect()
}

fn normalise(line: &[f64], eps: f64, centred: bool) -> Vec<f64> {
    let count = line.len() as f64;
    let mean = if centred { line.iter().sum::<f64>() / count } else { 0.0 };
    let var = line.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    line.iter().map(|v| (v - mean) / (var + eps).sqrt()).collect()
}

fn norm_of(function: &str, line: &[f64]) -> f64 {
    match function {
        "l1" => line.iter().map(|v| v.abs()).sum(),
        "l2" => line.iter().map(|v| v * v).sum::<f64>().sqrt(),
        _ => {
            let top = line.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            if top.is_infinite() { top } else { top + line.iter().map(|v| (v - top).exp()).sum::<f64>().ln() }
        }
    }
}

/// The place of an output in its axis, and of a weight, as a place in the input.
fn place(at: usize, stride: usize, weight: usize, dilation: usize, pad: usize, side: usize) -> Option<usize> {
    (at * stride + weight * dilation).checked_sub(pad).filter(|&p| p < side)
}

fn conv(x: &[f32], w: &[f32], bias: Option<&[f32]>, kernel: [usize; 4], window: &Window) -> Vec<f32> {
    let [out, of_group, kh, kw] = kernel;
    let [_, height, width] = window.input;
    let [oh, ow] = window.output(kh, kw);
    let in_group = out / window.groups.max(1);
    let mut y = Vec::with_capacity(out * oh * ow);
    for (o, r) in (0..out).flat_map(|o| (0..oh).map(move |r| (o, r))) {
        for c in 0..ow {
            let mut sum = bias.map_or(0.0, |b| f64::from(b[o]));
            for (i, p) in (0..of_group).flat_map(|i| (0..kh).map(move |p| (i, p))) {
                let Some(row) = place(r, window.stride[0], p, window.dilation[0], window.pads[0], height) else {
                    continue;
                };
                let channel = o / in_group.max(1) * of_group + i;
                for q in 0..kw {
                    let column = place(c, window.stride[1], q, window.dilation[1], window.pads[1], width);
                    if let Some(column) = column {
                        let weight = f64::from(w[((o * of_group + i) * kh + p) * kw + q]);
                        sum += weight * f64::from(x[(channel * height + row) * width + column]);
                    }
                }
            }
            y.push(sum as f32);
        }
    }
    y
}

fn conv_transpose(
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    kernel: [usize; 4],
    window: &Window,
    output: [usize; 2],
) -> Vec<f32> {
    let [channels, out_group, kh, kw] = kernel;
    let [_, height, width] = window.input;
    let [oh, ow] = output;
    let in_group = (channels / window.groups.max(1)).max(1);
    let mut y = vec![0f64; out_group * window.groups * oh * ow];
    for (c, r) in (0..channels).flat_map(|c| (0..height).map(move |r| (c, r))) {
        for s in 0..width {
            let value = f64::from(x[(c * height + r) * width + s]);
            for (o, p) in (0..out_group).flat_map(|o| (0..kh).map(move |p| (o, p))) {
                let Some(row) = place(r, window.stride[0], p, window.dilation[0], window.pads[0], oh) else { continue };
                let out = c / in_group * out_group + o;
                for q in 0..kw {
                    if let Some(column) = place(s, window.stride[1], q, window.dilation[1], window.pads[1], ow) {
                        y[(out * oh + row) * ow + column] +=
                            value * f64::from(w[((c * out_group + o) * kh + p) * kw + q]);
                    }
                }
            }
        }
    }
    let plane = (oh * ow).max(1);
    y.iter().enumerate().map(|(i, v)| (v + bias.map_or(0.0, |b| f64::from(b[i / plane]))) as f32).collect()
}

/// A function of one value, by its name in a graph file.
pub fn unary(function: &str, a: Option<f64>, b: Option<f64>, x: f64) -> f64 {
    let (p, q) = (a.unwrap_or(0.0), b.unwrap_or(0.0));
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    match function {
        "relu" => x.max(0.0),
        "leaky_relu" => {
            if x > 0.0 {
                x
            } else {
                p * x
            }
        }
        "elu" => {
            if x > 0.0 {
                x
            } else {
                p * x.exp_m1()
            }
        }
        "selu" => q * if x > 0.0 { x } else { p * x.exp_m1() },
        "celu" => {
            if x > 0.0 {
                x
            } else {
                p * (x / p).exp_m1()
            }
        }
        "softplus" => softplus(x),
        "sigmoid" => sigmoid(x),
        "tanh" => x.tanh(),
        "hard_sigmoid" => (p * x + q).clamp(0.0, 1.0),
        "hard_swish" => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        "gelu" => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        "gelu_tanh" => {
            let inside = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inside.tanh())
        }
        "mish" => x * softplus(x).tanh(),
        "silu" => x * sigmoid(x),
        "exp" => x.exp(),
        "log" => x.ln(),
        "sqrt" => x.sqrt(),
        "reciprocal" => 1.0 / x,
        "erf" => libm::erf(x),
        "abs" => x.abs(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "clip" => {
            let x = a.map_or(x, |low| x.max(low));
            b.map_or(x, |high| x.min(high))
        }
        "power" => x.powf(p),
        _ => x / (1.0 + x.abs()),
    }
}

/// A function without derivative, by its name in a graph file.
pub fn step(function: &str, a: f64, b: f64) -> f64 {
    let truth = |v: bool| f64::from(u8::from(v));
    match function {
        "greater" => truth(a > b),
        "greater_equal" => truth(a >= b),
        "less" => truth(a < b),
        "less_equal" => truth(a <= b),
        "equal" => truth(a == b),
        "and" => truth(a != 0.0 && b != 0.0),
        "or" => truth(a != 0.0 || b != 0.0),
        "xor" => truth((a != 0.0) != (b != 0.0)),
        "not" => truth(a == 0.0),
        "floor" => a.floor(),
        "ceil" => a.ceil(),
        "round" => a.round_ties_even(),
        _ => {
            if a == 0.0 || a.is_nan() {
                a
            } else {
                a.signum()
            }
        }
    }
}

impl Window {
    /// Height and width of what a convolution with a kernel of these sides gives, which must fit.
    pub fn output(&self, kh: usize, kw: usize) -> [usize; 2] {
        let side = |at: usize, kernel: usize| {
            let whole = self.input[at + 1] + self.pads[at] + self.pads[at + 2];
            (whole - ((kernel - 1) * self.dilation[at] + 1)) / self.stride[at] + 1
        };
        [side(0, kh), side(1, kw)]
    }
}
