//! From a prompt to a picture: the text networks, the denoiser, a scheduler and the decoder of one folder.

use super::autoencoder_kl::AutoencoderKl;
use super::clip_text::ClipText;
use super::component_tensors::Tensors;
use super::folder::Folder;
use super::tokenizer::{ClipTokenizer, Tokens};
use super::unet::{Prompt, Unet};
use crate::device::Device;
use crate::diffusion::State;
use crate::diffusion::schedulers::{Memory, Scheduler};
use crate::error::{Error, Result};
use crate::nn::{Network, Parameters, Pass, Rows};
use burn::tensor::{DType, Tensor};

/// A prompt and what goes with it.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// What the picture shows.
    pub prompt: String,
    /// What it does not show; without one the folder decides whether that is an empty prompt, or nothing at all.
    pub negative: Option<String>,
    /// How many of the text network's last layers are left out for the prompt; the negative prompt keeps all.
    pub clip_skip: usize,
    /// The guidance scale. At 1 and below, and for networks that are told it, the prompt alone is followed.
    pub guidance: f64,
    /// By how much guided answers are brought back to the spread of unguided ones, from 0 to 1.
    pub rescale: f64,
    /// SDXL: original height and width, top, left, and target height and width; without them the picture's own size, uncut.
    pub sizes: Option<[f64; 6]>,
}

/// A text network with its tokenizer.
struct Text {
    tokenizer: ClipTokenizer,
    network: ClipText,
}

/// A pipeline for pictures of one size.
pub struct Pipeline {
    texts: Vec<Text>,
    unet: Unet,
    vae: AutoencoderKl,
    decoder: (Network, Parameters),
    is_xl: bool,
    /// Whether the text of no negative prompt is nothing, and not an empty prompt.
    zeros: bool,
    is_told_guidance: bool,
    latent: [usize; 3],
}

/// A picture and the way to it.
pub struct Made {
    /// The latents after each call, the first state before them, in the scheduler's coordinates.
    pub latents: Vec<State>,
    /// The picture: values from about 0 to 1, not clamped.
    pub picture: State,
}

/// What the prompt and the negative prompt, where there is one, give to the network.
pub struct Asked {
    with: Prompt,
    without: Option<Prompt>,
    scale: f64,
    rescale: f64,
}

impl Pipeline {
    /// Loads the pipeline in a folder, for latents of `height` × `width` places, computed with numbers of the type `dtype`.
    ///
    /// # Errors
    /// Those of the components.
    pub fn load(folder: &Folder, [height, width]: [usize; 2], dtype: DType, device: &Device) -> Result<Self> {
        let find = |name: &str| {
            let missing = || Error::input(&folder.path, format!("{name}: missing; a picture from a prompt needs it"));
            folder.find(name).ok_or_else(missing)
        };
        let mut texts = Vec::new();
        for part in ["", "_2"] {
            let Some(encoder) = folder.find(&format!("text_encoder{part}")) else { continue };
            let [file] = encoder.files.as_slice() else {
                return Err(Error::input(&encoder.folder, "expected one file of weights"));
            };
            let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            texts.push(Text {
                tokenizer: ClipTokenizer::read(&find(&format!("tokenizer{part}"))?.folder)?,
                network: ClipText::read(&encoder.folder, name, dtype, device)?,
            });
        }
        let Some(first) = texts.first() else {
            return Err(Error::input(&folder.path, "text_encoder: missing; prompts cannot be read"));
        };
        let (net, places) = (find("unet")?, first.tokenizer.length());
        if let Some(other) = texts.iter().find(|t| t.tokenizer.length() != places) {
            let message = format!(
                "tokenizer_2: expected {places} tokens a prompt, as the first has, found {}",
                other.tokenizer.length()
            );
            return Err(Error::input(&folder.path, message));
        }
        let [inputs, outputs] = [net.count("in_channels", 4, 64)?, net.count("out_channels", 4, 64)?];
        if inputs != outputs {
            let message = format!("out_channels: expected {inputs}, as many as go in, found {outputs}");
            return Err(Error::input(net.folder.join("config.json"), message));
        }
        let unet = Unet::read(net, ([height, width], places), dtype, device)?;
        let component = find("vae")?;
        let vae = AutoencoderKl::read(component)?;
        let (network, factors) = vae.decoder([height, width])?;
        let tensors = Tensors::read(component)?;
        let expected = vae.expected()?;
        tensors.check_all_read(expected.iter().map(|e| e.0.as_str()))?;
        let parameters = tensors.parameters(&network.parameters(), &factors, (dtype, device))?;
        let flag = |key: &str| folder.keys.get(key).and_then(serde_json::Value::as_bool).unwrap_or(true);
        Ok(Self {
            is_xl: texts.len() > 1,
            zeros: texts.len() > 1 && flag("force_zeros_for_empty_prompt"),
            is_told_guidance: net.number("time_cond_proj_dim").is_some(),
            latent: [inputs, height, width],
            texts,
            unet,
            vae,
            decoder: (network, parameters),
        })
    }

    /// Number of values of a latent.
    pub fn width(&self) -> usize {
        self.latent.iter().product()
    }

    /// What of a prompt no network reads, where it is too long.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn unread(&self, prompt: &str) -> Result<Option<String>> {
        let all = self.texts.iter().map(|text| text.tokenizer.encode(prompt));
        Ok(all.collect::<Result<Vec<Tokens>>>()?.into_iter().find_map(|t| t.unread))
    }

    /// The states of a text, with `skip` layers left out, and its pooled row.
    fn text(&self, prompt: &str, skip: usize) -> Result<(Tensor<2>, Vec<f64>)> {
        let (mut states, mut pooled) = (Vec::new(), Vec::new());
        for text in &self.texts {
            let found = text.network.encode(&[text.tokenizer.encode(prompt)?])?;
            // SDXL reads the state before the last as it is; the others the last one, normed.
            let back = skip + usize::from(self.is_xl);
            let Some(at) = found.states.len().checked_sub(back + 1).filter(|at| *at > 0) else {
                let most = found.states.len().saturating_sub(2 + usize::from(self.is_xl));
                let message = format!("expected at most {most} layers to leave out, found {skip}");
                return Err(Error::key("clip_skip", message));
            };
            let state = found.states[at].clone();
            let state = if self.is_xl { state } else { text.network.last_norm(state) };
            let [_, places, width] = state.dims();
            states.push(state.reshape([places, width]));
            pooled = crate::diffusion::to_f64(found.pooled)?;
        }
        Ok((Tensor::cat(states, 1), if self.is_xl { pooled } else { Vec::new() }))
    }

    /// What a wish asks of the network.
    ///
    /// # Errors
    /// Those of the text networks.
    pub fn asked(&self, wish: &Wish) -> Result<Asked> {
        let factor = self.vae.factor() as f64;
        let [height, width] = [self.latent[1] as f64 * factor, self.latent[2] as f64 * factor];
        let sizes = match self.is_xl {
            true => wish.sizes.unwrap_or([height, width, 0.0, 0.0, height, width]).to_vec(),
            false => Vec::new(),
        };
        let guidance = self.is_told_guidance.then_some(wish.guidance);
        let (context, pooled) = self.text(&wish.prompt, wish.clip_skip)?;
        let is_guided = wish.guidance > 1.0 && !self.is_told_guidance;
        let without = match (&wish.negative, is_guided) {
            (_, false) => None,
            (None, true) if self.zeros => Some((context.zeros_like(), vec![0.0; pooled.len()])),
            (negative, true) => Some(self.text(negative.as_deref().unwrap_or_default(), 0)?),
        };
        let prompt = |(context, pooled)| Prompt { context, pooled, sizes: sizes.clone(), guidance };
        Ok(Asked {
            with: prompt((context, pooled)),
            without: without.map(prompt),
            scale: wish.guidance,
            rescale: wish.rescale,
        })
    }

    /// What the network answers at what a scheduler shows it, guided.
    fn answer(&self, x: &State, time: f64, asked: &Asked) -> Result<State> {
        let with = self.unet.answer(x, time, &asked.with)?;
        let Some(without) = &asked.without else { return Ok(with) };
        let without = self.unet.answer(x, time, without)?;
        let guided = without.blend(1.0 - asked.scale, with.clone(), asked.scale);
        if asked.rescale == 0.0 {
            return Ok(guided);
        }
        if guided.tangents.is_some() {
            return Err(Error::key(
                "guidance_rescale",
                "expected 0 where geometry is measured; its tangents are not there yet",
            ));
        }
        let spread = |x: &Rows| {
            let centred = x.clone() - x.clone().mean_dim(1);
            (centred.clone() * centred).mean_dim(1).sqrt()
        };
        let ratio = spread(&with.value) / spread(&guided.value);
        Ok(State::plain(guided.value.clone() * ratio * asked.rescale + guided.value * (1.0 - asked.rescale)))
    }

    /// A picture from standard normal noise `[1, width]`, with tangents where the noise has some.
    ///
    /// # Errors
    /// When the device fails.
    pub fn make(
        &self,
        noise: State,
        asked: &Asked,
        scheduler: &dyn Scheduler,
        drawn: &mut dyn FnMut() -> Rows,
    ) -> Result<Made> {
        let mut memory = Memory::default();
        let mut latents = vec![noise.times(scheduler.start())];
        for (call, time) in scheduler.times().iter().enumerate() {
            let x = latents[call].clone();
            let answer = self.answer(&scheduler.input(call, &x), *time, asked)?;
            latents.push(scheduler.step(call, x, answer, &mut memory, drawn));
        }
        let end = latents[latents.len() - 1].clone();
        let code = end.times(1.0 / self.vae.scaling);
        let code = State { value: code.value + self.vae.shift, tangents: code.tangents };
        let decoded = self.decoded(code);
        Ok(Made {
            latents,
            picture: State { value: decoded.value * 0.5 + 0.5, tangents: decoded.tangents.map(|t| t.map(|t| t * 0.5)) },
        })
    }

    /// The decoder at codes, its values from about −1 to 1.
    fn decoded(&self, code: State) -> State {
        let (network, parameters) = &self.decoder;
        let pass = Pass::frozen(parameters);
        match code.tangents {
            None => State::plain(network.forward(code.value, &pass)),
            Some(t) => {
                let (value, t) = network.tangent(code.value, t, &pass);
                State { value, tangents: Some(t) }
            }
        }
    }
}
