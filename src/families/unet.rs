//! `UNet2DConditionModel`: the denoiser of Stable Diffusion 1, 2 and XL, of their Turbo forms and of LCM.
//!
//! What depends on the time or on the prompt alone is computed outside of the graph and given to it as constants: the shift that each block
//! adds after its first convolution, and the keys and values that each crossing attends to. So the graph is a map of the picture, and a
//! tangent passes through nothing else.

use super::builder::{GraphBuilder, Steps, Tap};
use super::component_tensors::{Tensors, upload};
use super::folder::Component;
use super::unet_config::Config;
use crate::device::Device;
use crate::diffusion::State;
use crate::error::{Error, Result};
use crate::limits;
use crate::nn::{Network, ParameterSpec, Parameters, Pass};
use burn::tensor::{DType, Tensor, TensorData};
use std::collections::BTreeMap;

/// What a prompt and its settings give to the network.
pub struct Prompt {
    /// The text network's states, `[places, width]`.
    pub context: Tensor<2>,
    /// SDXL: the pooled row.
    pub pooled: Vec<f64>,
    /// SDXL: original height and width, top, left, target height and width.
    pub sizes: Vec<f64>,
    /// LCM: the guidance scale.
    pub guidance: Option<f64>,
}

/// The network for latents of one size.
pub struct Unet {
    config: Config,
    network: Network,
    parameters: Parameters,
    tensors: Tensors,
    /// Blocks that a shift by the time is added in, and its width.
    shifts: Vec<(String, usize)>,
    /// Attention to the prompt: its name, heads, and the width of each.
    crossings: Vec<(String, usize, usize)>,
    dtype: DType,
    device: Device,
}

/// The graph while it is written.
struct Writer<'a> {
    g: GraphBuilder,
    config: &'a Config,
    shifts: Vec<(String, usize)>,
    crossings: Vec<(String, usize, usize)>,
    places: usize,
}

impl Writer<'_> {
    fn resnet(&mut self, x: &Tap, name: &str, out: usize) -> Result<Tap> {
        let Config { groups, eps, .. } = *self.config;
        let g = &mut self.g;
        let y = g.group_norm(x, &format!("{name}.norm1"), groups, eps)?;
        let y = g.unary(&y, "silu");
        let y = g.conv(&y, &format!("{name}.conv1"), out, Steps::SAME)?;
        let y = g.shifted(&y, &format!("{name}.time"))?;
        let y = g.group_norm(&y, &format!("{name}.norm2"), groups, eps)?;
        let y = g.unary(&y, "silu");
        let y = g.conv(&y, &format!("{name}.conv2"), out, Steps::SAME)?;
        let x = match x.shape[0] == out {
            true => x.clone(),
            false => g.conv(x, &format!("{name}.conv_shortcut"), out, Steps::POINT)?,
        };
        self.shifts.push((name.to_owned(), out));
        Ok(self.g.sum(&x, &y))
    }

    fn transformer(&mut self, x: &Tap, name: &str, heads: usize, layers: usize) -> Result<Tap> {
        let shape @ [channels, ..] = x.planes()?;
        let dense = self.config.dense;
        let g = &mut self.g;
        let y = g.group_norm(x, &format!("{name}.norm"), self.config.groups, 1e-6)?;
        let mut y = match dense {
            true => {
                let y = g.places(&y)?;
                g.dense(&y, &format!("{name}.proj_in"), channels)
            }
            false => {
                let y = g.conv(&y, &format!("{name}.proj_in"), channels, Steps::POINT)?;
                g.places(&y)?
            }
        };
        for i in 0..layers {
            let name = format!("{name}.transformer_blocks.{i}");
            let own = self.g.layer_norm(&y, &format!("{name}.norm1"), 1e-5);
            let [q, k, v] = ["to_q", "to_k", "to_v"]
                .map(|part| self.g.dense_alone(&own, &format!("{name}.attn1.{part}"), channels));
            let seen = self.g.attention([&q, &k, &v], heads);
            let seen = self.g.dense(&seen, &format!("{name}.attn1.to_out.0"), channels);
            y = self.g.sum(&y, &seen);
            let own = self.g.layer_norm(&y, &format!("{name}.norm2"), 1e-5);
            let q = self.g.dense_alone(&own, &format!("{name}.attn2.to_q"), channels);
            let width = channels / heads;
            let k = self.g.constant(&format!("{name}.attn2.keys"), vec![heads, width, self.places]);
            let v = self.g.constant(&format!("{name}.attn2.values"), vec![heads, self.places, width]);
            self.crossings.push((format!("{name}.attn2"), heads, width));
            let seen = self.g.attend(&q, &k, &v);
            let seen = self.g.dense(&seen, &format!("{name}.attn2.to_out.0"), channels);
            y = self.g.sum(&y, &seen);
            let own = self.g.layer_norm(&y, &format!("{name}.norm3"), 1e-5);
            let both = self.g.dense(&own, &format!("{name}.ff.net.0.proj"), 8 * channels);
            let [value, gate] = self.g.halves(&both);
            let gate = self.g.unary(&gate, "gelu");
            let inner = self.g.times_each(&value, &gate);
            let inner = self.g.dense(&inner, &format!("{name}.ff.net.2"), channels);
            y = self.g.sum(&y, &inner);
        }
        let g = &mut self.g;
        let y = match dense {
            true => {
                let y = g.dense(&y, &format!("{name}.proj_out"), channels);
                g.planes(&y, shape)
            }
            false => {
                let y = g.planes(&y, shape);
                g.conv(&y, &format!("{name}.proj_out"), channels, Steps::POINT)?
            }
        };
        Ok(self.g.sum(x, &y))
    }

    /// The whole network, from its input.
    fn write(&mut self, input: &Tap) -> Result<Tap> {
        let config = self.config;
        let n = config.channels.len();
        let mut x = self.g.conv(input, "conv_in", config.channels[0], Steps::SAME)?;
        let mut skips = vec![x.clone()];
        for (i, out) in config.channels.iter().enumerate() {
            for j in 0..config.layers {
                x = self.resnet(&x, &format!("down_blocks.{i}.resnets.{j}"), *out)?;
                if config.crosses[0][i] {
                    x = self.transformer(
                        &x,
                        &format!("down_blocks.{i}.attentions.{j}"),
                        config.heads[i],
                        config.transformers[i],
                    )?;
                }
                skips.push(x.clone());
            }
            if i + 1 < n {
                let steps = Steps { kernel: 3, stride: 2, pads: [1; 4] };
                x = self.g.conv(&x, &format!("down_blocks.{i}.downsamplers.0.conv"), *out, steps)?;
                skips.push(x.clone());
            }
        }
        let last = config.channels[n - 1];
        x = self.resnet(&x, "mid_block.resnets.0", last)?;
        x = self.transformer(&x, "mid_block.attentions.0", config.heads[n - 1], config.transformers[n - 1])?;
        x = self.resnet(&x, "mid_block.resnets.1", last)?;
        for i in 0..n {
            let level = n - 1 - i;
            for j in 0..=config.layers {
                let skip = skips.pop().ok_or_else(|| Error::Bug("a U-Net ran out of skips".into()))?;
                x = self.g.joined(&x, &skip)?;
                x = self.resnet(&x, &format!("up_blocks.{i}.resnets.{j}"), config.channels[level])?;
                if config.crosses[1][i] {
                    let name = format!("up_blocks.{i}.attentions.{j}");
                    x = self.transformer(&x, &name, config.heads[level], config.transformers[level])?;
                }
            }
            if level > 0 {
                let size = skips.last().ok_or_else(|| Error::Bug("a U-Net ran out of skips".into()))?.planes()?;
                x = self.g.enlarged_to(&x, [size[1], size[2]])?;
                x = self.g.conv(
                    &x,
                    &format!("up_blocks.{i}.upsamplers.0.conv"),
                    config.channels[level],
                    Steps::SAME,
                )?;
            }
        }
        let x = self.g.group_norm(&x, "conv_norm_out", config.groups, config.eps)?;
        let x = self.g.unary(&x, "silu");
        self.g.conv(&x, "conv_out", config.outputs, Steps::SAME)
    }
}

/// A network as it is written for a size.
struct Written {
    config: Config,
    network: Network,
    factors: BTreeMap<String, f64>,
    shifts: Vec<(String, usize)>,
    crossings: Vec<(String, usize, usize)>,
}

impl Written {
    fn of(component: &Component, [height, width]: [usize; 2], places: usize) -> Result<Self> {
        let config = Config::read(component)?;
        let (g, input) = GraphBuilder::new(&[config.inputs, height, width]);
        let mut writer = Writer { g, config: &config, shifts: Vec::new(), crossings: Vec::new(), places };
        let output = writer.write(&input)?;
        let Writer { g, shifts, crossings, .. } = writer;
        let (network, factors) = g.finish(&output, limits::PICTURE_VALUES)?;
        Ok(Self { config, network, factors, shifts, crossings })
    }
}

/// Whether a graph's value comes from the time or the prompt, and not from a file.
fn is_given(key: &str) -> bool {
    [".time", ".attn2.keys", ".attn2.values"].iter().any(|end| key.ends_with(end))
}

/// W·x + b on the host; the bias may be missing.
fn mapped(tensors: &Tensors, name: &str, x: &[f64]) -> Result<Vec<f64>> {
    let weight = tensors.get(&format!("{name}.weight"), None)?;
    if x.is_empty() || weight.shape.len() != 2 || weight.shape[1] != x.len() {
        let message = format!("{name}: reads {} values here, its weight has the shape {:?}", x.len(), weight.shape);
        return Err(Error::key("unet", message));
    }
    let rows = weight.values.chunks_exact(x.len());
    let mut y: Vec<f64> = rows.map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect();
    if let Some(bias) = tensors.find(&format!("{name}.bias")) {
        y.iter_mut().zip(&bias.values).for_each(|(y, b)| *y += f64::from(*b));
    }
    Ok(y)
}

fn silu(x: Vec<f64>) -> Vec<f64> {
    x.into_iter().map(|x| x / (1.0 + (-x).exp())).collect()
}

impl Unet {
    /// The network of a component for latents of `height` × `width` places and prompts of `places` tokens, computed with numbers of the type
    /// `dtype`.
    ///
    /// # Errors
    /// [`Error::Input`] for a key that is not supported, or a tensor that is missing, of another shape or left over.
    pub fn read(
        component: &Component,
        ([height, width], places): ([usize; 2], usize),
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let Written { config, network, factors, shifts, crossings } = Written::of(component, [height, width], places)?;
        let tensors = Tensors::read(component)?;
        let beside = config.beside(&shifts, &crossings);
        for (name, shape) in &beside {
            tensors.get(name, Some(shape))?;
        }
        let specs: Vec<ParameterSpec> = network.parameters().into_iter().filter(|s| !is_given(&s.key)).collect();
        let read = specs.iter().map(|s| s.key.as_str()).chain(beside.iter().map(|b| b.0.as_str()));
        tensors.check_all_read(read)?;
        let parameters = tensors.parameters(&specs, &factors, (dtype, device))?;
        Ok(Self { config, network, parameters, tensors, shifts, crossings, dtype, device: device.clone() })
    }

    /// Every tensor that a component's files must have, and its shape.
    ///
    /// # Errors
    /// [`Error::Input`] for a key that is not supported.
    pub fn expected(component: &Component) -> Result<Vec<(String, Vec<usize>)>> {
        let Written { config, network, factors, shifts, crossings } = Written::of(component, [8, 8], 77)?;
        let of_graph = network.parameters().into_iter().filter(|s| !is_given(&s.key) && !factors.contains_key(&s.key));
        Ok(of_graph.map(|s| (s.key, s.shape)).chain(config.beside(&shifts, &crossings)).collect())
    }

    /// The constants of a prompt: keys and values of each crossing.
    fn of_prompt(&self, prompt: &Prompt, into: &mut Parameters) -> Result<()> {
        let [places, width] = prompt.context.dims();
        if width != self.config.context {
            let message =
                format!("the text network makes {width} values a token, the U-Net expects {}", self.config.context);
            return Err(Error::key("cross_attention_dim", message));
        }
        for (name, heads, each) in &self.crossings {
            let of = |part: &str| -> Result<Tensor<3>> {
                let weight = self.tensors.get(&format!("{name}.{part}.weight"), Some(&[heads * each, width]))?;
                let weight =
                    upload(&weight.values, &weight.shape, self.dtype, &self.device).reshape([heads * each, width]);
                Ok(prompt.context.clone().matmul(weight.transpose()).reshape([places, *heads, *each]))
            };
            let size = places * heads * each;
            into.set(&format!("{name}.keys"), of("to_k")?.permute([1, 2, 0]).reshape([size]));
            into.set(&format!("{name}.values"), of("to_v")?.permute([1, 0, 2]).reshape([size]));
        }
        Ok(())
    }

    /// The constants of a time: the shift of each block.
    fn of_time(&self, time: f64, prompt: &Prompt, into: &mut Parameters) -> Result<()> {
        let config = &self.config;
        let mut embedded = config.sinusoids(time, config.channels[0]);
        if let Some(width) = config.guidance {
            let scale = prompt
                .guidance
                .ok_or_else(|| Error::key("guidance", "expected the guidance scale, which this network is told"))?;
            let half = width / 2;
            let angle = |i: usize| 1000.0 * (scale - 1.0) * (-(10_000f64.ln()) * i as f64 / (half as f64 - 1.0)).exp();
            let told: Vec<f64> = (0..half).map(|i| angle(i).sin()).chain((0..half).map(|i| angle(i).cos())).collect();
            let told = mapped(&self.tensors, "time_embedding.cond_proj", &told)?;
            embedded.iter_mut().zip(told).for_each(|(e, t)| *e += t);
        }
        let mut e = mapped(&self.tensors, "time_embedding.linear_1", &embedded)?;
        e = mapped(&self.tensors, "time_embedding.linear_2", &silu(e))?;
        if let Some(width) = config.sizes {
            if prompt.sizes.len() != 6 || prompt.pooled.is_empty() {
                return Err(Error::key("sizes", "expected six sizes and a pooled row, which this network is told"));
            }
            let sizes = prompt.sizes.iter().flat_map(|s| config.sinusoids(*s, width));
            let told: Vec<f64> = prompt.pooled.iter().copied().chain(sizes).collect();
            let more = mapped(&self.tensors, "add_embedding.linear_1", &told)?;
            let more = mapped(&self.tensors, "add_embedding.linear_2", &silu(more))?;
            e.iter_mut().zip(more).for_each(|(e, m)| *e += m);
        }
        let active = silu(e);
        for (name, width) in &self.shifts {
            let shift = mapped(&self.tensors, &format!("{name}.time_emb_proj"), &active)?;
            let data = TensorData::new(shift, [*width]).convert_dtype(self.dtype);
            into.set(&format!("{name}.time"), Tensor::from_data(data, (&self.device, self.dtype)));
        }
        Ok(())
    }

    /// What the network answers at x (rows of latents), at a time, for one prompt; with tangents where x has some.
    ///
    /// # Errors
    /// [`Error::Key`] for a prompt of another kind.
    pub fn answer(&self, x: &State, time: f64, prompt: &Prompt) -> Result<State> {
        let mut parameters = self.parameters.clone();
        self.of_prompt(prompt, &mut parameters)?;
        self.of_time(time, prompt, &mut parameters)?;
        let pass = Pass::frozen(&parameters);
        Ok(match &x.tangents {
            None => State::plain(self.network.forward(x.value.clone(), &pass)),
            Some(t) => {
                let (value, t) = self.network.tangent(x.value.clone(), t.clone(), &pass);
                State { value, tangents: Some(t) }
            }
        })
    }
}
