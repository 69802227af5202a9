//! Compute devices, chosen by name at run time. This is the only file that names a backend; everywhere else a
//! [`Device`] is a value that is passed along.

use crate::error::{Error, Result};
pub use burn::tensor::Device;

/// A device by name: one of the backends of this build and, where there can be several, an index from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor, through Burn's Flex backend.
    Cpu,
    /// A graphics adapter through wgpu (WGSL, or SPIR-V in a build with `vulkan`); `None` for the first one listed.
    Wgpu(Option<usize>),
    /// An NVIDIA card, by its CUDA index.
    Cuda(usize),
}

impl DeviceName {
    /// The class of device that a recipe records: `cpu`, `wgpu` or `cuda`. Only two runs on `cpu` are promised to agree
    /// bit for bit.
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

/// One line of `isoline devices`: a device family and whether it works here.
#[derive(Clone, Debug)]
pub struct DeviceEntry {
    /// The name to give to `--device`.
    pub name: String,
    /// What it is; or, if it cannot be opened, what is missing.
    pub note: String,
    /// Whether it could be opened.
    pub usable: bool,
}

/// Parses `cpu | wgpu[:n] | cuda[:n] | auto` and opens the device.
///
/// # Errors
/// [`Error::Key`] for a name that is none of these, [`Error::Device`] for a device that this build or machine lacks.
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

/// CUDA if a driver answers, else a hardware adapter through wgpu (no software renderer), else the processor.
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

/// Tries to open the first device of every family and reports the outcome, including for families missing from this
/// build.
pub fn list() -> Vec<DeviceEntry> {
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
        Ok(()) => DeviceEntry { name: name.into(), note: note.into(), usable: true },
        Err(Error::Device { message, .. }) => DeviceEntry { name: name.into(), note: message, usable: false },
        Err(e) => DeviceEntry { name: name.into(), note: e.to_string(), usable: false },
    })
    .collect()
}

/// Whether `device` is the processor, whose tensors already live in host memory. If so, the faster path of
/// [`crate::host`] is available.
#[cfg(feature = "cpu")]
pub fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// Whether `device` is the processor, whose tensors already live in host memory. If so, the faster path of
/// [`crate::host`] is available.
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
        let message = "no graphics adapter answers; install a Vulkan driver (on Debian: mesa-vulkan-drivers libvulkan1) or use the device cpu";
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

/// Number of adapters that are real hardware; known software renderers are recognised by name and not counted.
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
    // Without a driver library this finds nothing; it does not panic.
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
    if found == 0 {
        let message = "no NVIDIA driver answers (libcuda.so.1); install one or use the device cpu";
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
