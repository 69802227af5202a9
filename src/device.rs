//! Devices by name at run time; the only file that names a backend.

use crate::error::{Error, Result};
pub use burn::tensor::Device;

/// What computes: a backend family of this build and an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor, through Flex.
    Cpu,
    /// A graphics adapter through wgpu (WGSL, or SPIR-V in a build with `vulkan`); `None` = the default one.
    Wgpu(Option<usize>),
    /// An NVIDIA card.
    Cuda(usize),
}

impl DeviceName {
    /// The class that a recipe records; equal bits are promised within a class only on `cpu`.
    pub fn class(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wgpu(_) => "wgpu",
            Self::Cuda(_) => "cuda",
        }
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Wgpu(Some(n)) => write!(f, "wgpu:{n}"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

/// One line of `isoline devices`.
#[derive(Clone, Debug)]
pub struct Listed {
    /// As for `--device`.
    pub name: String,
    /// What it is, or what is missing.
    pub note: String,
    /// Whether it can be opened.
    pub usable: bool,
}

/// Parses `cpu | wgpu[:n] | cuda[:n] | auto` and opens the device.
///
/// # Errors
/// [`Error::Config`] for an unknown name, [`Error::Device`] for one that this build or machine lacks.
pub fn open(text: &str) -> Result<(DeviceName, Device)> {
    let (family, index) = match text.split_once(':') {
        None => (text, None),
        Some((family, index)) => match index.parse::<usize>() {
            Ok(n) => (family, Some(n)),
            Err(_) => return Err(unknown(text)),
        },
    };
    match (family, index) {
        ("cpu", None) => cpu().map(|d| (DeviceName::Cpu, d)),
        ("wgpu", n) => wgpu(text, n).map(|d| (DeviceName::Wgpu(n), d)),
        ("cuda", n) => cuda(text, n.unwrap_or(0)).map(|d| (DeviceName::Cuda(n.unwrap_or(0)), d)),
        ("auto", None) => auto(),
        _ => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> Error {
    Error::key_found("device", text, "expected cpu, wgpu, wgpu:N, cuda, cuda:N or auto; see isoline devices")
}

/// CUDA where a driver answers, else a hardware adapter through wgpu, else the processor.
fn auto() -> Result<(DeviceName, Device)> {
    if let Ok(device) = cuda("cuda", 0) {
        return Ok((DeviceName::Cuda(0), device));
    }
    if hardware_adapters() > 0
        && let Ok(device) = wgpu("wgpu", None)
    {
        return Ok((DeviceName::Wgpu(None), device));
    }
    open("cpu")
}

/// Every device family, whether this build has it and whether it opens.
pub fn list() -> Vec<Listed> {
    let wgpu_note = if cfg!(feature = "vulkan") {
        "graphics adapter through wgpu, SPIR-V"
    } else {
        "graphics adapter through wgpu, WGSL"
    };
    [
        ("cpu", cpu().map(|_| ()), "processor, Flex with SIMD and threads"),
        ("wgpu", wgpu("wgpu", None).map(|_| ()), wgpu_note),
        ("cuda", cuda("cuda", 0).map(|_| ()), "NVIDIA through NVRTC"),
    ]
    .into_iter()
    .map(|(name, opened, note)| match opened {
        Ok(()) => Listed { name: name.into(), note: note.into(), usable: true },
        Err(Error::Device { message, .. }) => Listed { name: name.into(), note: message, usable: false },
        Err(e) => Listed { name: name.into(), note: e.to_string(), usable: false },
    })
    .collect()
}

/// Whether `device` is the processor, so that tensors live in host memory anyway.
#[cfg(feature = "cpu")]
pub fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// Whether `device` is the processor, so that tensors live in host memory anyway.
#[cfg(not(feature = "cpu"))]
pub fn is_host(_: &Device) -> bool {
    false
}

#[cfg(feature = "cpu")]
fn cpu() -> Result<Device> {
    Ok(Device::flex())
}

#[cfg(not(feature = "cpu"))]
fn cpu() -> Result<Device> {
    Err(not_built("cpu", "cpu"))
}

#[allow(dead_code)]
fn not_built(device: &str, feature: &str) -> Error {
    Error::Device {
        device: device.into(),
        message: format!("this build has no {feature}; build with --features {feature}"),
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn wgpu(text: &str, index: Option<usize>) -> Result<Device> {
    let mut found = adapters();
    let count = found.len();
    if count == 0 {
        let message = "no graphics adapter answers; install a Vulkan driver (on Debian: mesa-vulkan-drivers libvulkan1) or use --device cpu";
        return Err(Error::Device { device: text.into(), message: message.into() });
    }
    match index.unwrap_or(0) {
        n if n < count => Ok(found.swap_remove(n)),
        n => Err(Error::Device {
            device: text.into(),
            message: format!("adapter {n} of {count}, counted from 0; see isoline devices"),
        }),
    }
}

#[cfg(not(any(feature = "wgpu", feature = "vulkan")))]
fn wgpu(text: &str, _: Option<usize>) -> Result<Device> {
    Err(not_built(text, "wgpu"))
}

#[cfg(feature = "vulkan")]
fn adapters() -> Vec<Device> {
    Device::enumerate(burn::tensor::DeviceType::Vulkan).into_vec()
}

#[cfg(all(feature = "wgpu", not(feature = "vulkan")))]
fn adapters() -> Vec<Device> {
    Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec()
}

/// Adapters that are not a software renderer.
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn hardware_adapters() -> usize {
    let software = |d: &Device| {
        d.identity()
            .is_none_or(|i| ["llvmpipe", "swiftshader", "lavapipe"].iter().any(|s| i.name.to_lowercase().contains(s)))
    };
    adapters().iter().filter(|d| !software(d)).count()
}

#[cfg(not(any(feature = "wgpu", feature = "vulkan")))]
fn hardware_adapters() -> usize {
    0
}

#[cfg(feature = "cuda")]
fn cuda(text: &str, index: usize) -> Result<Device> {
    // Lists nothing, and does not panic, where the driver library is absent.
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
    if found == 0 {
        let message = "no NVIDIA driver answers (libcuda.so.1); install one or use --device cpu";
        return Err(Error::Device { device: text.into(), message: message.into() });
    }
    if index >= found {
        return Err(Error::Device {
            device: text.into(),
            message: format!("card {index} of {found}, counted from 0; see isoline devices"),
        });
    }
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(text: &str, _: usize) -> Result<Device> {
    Err(not_built(text, "cuda"))
}
