//! PyTorch's own files: tensors read out of a pickle of which no code is run.

use crate::error::{Error, Result, shown};
use crate::store::{self, Weights};
use burn::store::pytorch::PytorchReader;
use safetensors::Dtype;
use std::path::Path;

/// How many times the values of a file may be those of several tensors.
const SHARED: u64 = 4;
/// Bytes that the tensors of the smallest file may take.
const SMALL: u64 = 1 << 20;

/// All floating-point tensors of a PyTorch file in f32. Their names are the keys that lead to them, joined by dots, so
/// those of a nested checkpoint have prefixes. A whole module is read as its state dict.
///
/// # Errors
/// [`Error::Input`], with the lines of Python that mend a file which is no state dict; [`Error::Io`].
pub fn read(source: &Path) -> Result<Weights> {
    let size = store::open_file(source)?.metadata().map_err(|e| Error::io(source, "read", e))?.len();
    if size > crate::limits::WEIGHTS_BYTES {
        let message = format!("{size} bytes, at most {} are read", crate::limits::WEIGHTS_BYTES);
        return Err(Error::input(source, message));
    }
    let head = store::read_head(source)?;
    if is_torchscript(source, &head) {
        return Err(mend(source, "a TorchScript archive, which holds a program", "torch.jit.load", ""));
    }
    let bad = |m: String| Error::input(source, format!("not a readable PyTorch file: {}", m.replace('\n', " ")));
    let reader = PytorchReader::new(source).map_err(|e| refused(source, &head, e.to_string()))?;
    let mut weights = Weights::empty(source);
    let mut room = size.saturating_mul(SHARED).saturating_add(SMALL);
    for (name, tensor) in reader.tensors() {
        let dtype = match format!("{:?}", tensor.dtype()).as_str() {
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::BF16,
            "F64" => Dtype::F64,
            other => {
                weights.insert_unread(name, other.to_owned());
                continue;
            }
        };
        let at = |m: String| bad(format!("tensor \"{}\": {m}", name.escape_debug()));
        // A view may repeat a few bytes of the file as often as it likes.
        let wanted = (tensor.num_elements() as u64).saturating_mul(dtype.bitsize() as u64 / 8);
        room = room.checked_sub(wanted).ok_or_else(|| {
            at(format!("its {wanted} bytes are too many for a file of {size}; save it as contiguous()"))
        })?;
        let bytes = tensor.read().map_err(|e| at(e.to_string()))?;
        let values = store::floats(dtype, &bytes).unwrap_or_default();
        if values.len() != tensor.num_elements() {
            return Err(at(format!("expected {} values, found {}", tensor.num_elements(), values.len())));
        }
        weights.insert(name, tensor.shape().to_vec(), values, dtype == Dtype::F32)?;
    }
    if reader.is_empty() {
        return Err(Error::input(source, "no tensors found in this PyTorch file"));
    }
    Ok(weights)
}

/// The error for a file that the reader refuses with `message`.
fn refused(source: &Path, head: &[u8], message: String) -> Error {
    if message.contains("Expected a dictionary at the root") {
        let what = message.rsplit("found ").next().unwrap_or("another object");
        return mend(source, &format!("a pickled {what}, no state dict"), "torch.load", ", weights_only=False");
    }
    let own = ["a ZIP archive", "a Python pickle", "a tar archive"];
    if let Some(found) = store::told(head).filter(|found| !own.iter().any(|kind| found.starts_with(kind))) {
        return Error::input(source, format!("expected a PyTorch file, found {found}"));
    }
    Error::input(source, format!("not a readable PyTorch file: {}", message.replace('\n', " ")))
}

/// Whether this is a ZIP archive that holds code, as `torch.jit.save` writes.
fn is_torchscript(source: &Path, head: &[u8]) -> bool {
    let archive = || zip::ZipArchive::new(std::io::BufReader::new(std::fs::File::open(source).ok()?)).ok();
    head.starts_with(b"PK")
        && archive().is_some_and(|zip| {
            zip.file_names().flatten().any(|n| n.ends_with("/constants.pkl") || n.contains("/code/"))
        })
}

/// What to do in Python about a file that holds a whole model.
fn mend(source: &Path, what: &str, load: &str, more: &str) -> Error {
    let (name, out) = (source.file_name().unwrap_or_default(), source.with_extension("state.pth"));
    let (name, out) = (shown(Path::new(name)), shown(Path::new(out.file_name().unwrap_or_default())));
    let message = format!(
        "{what}; two lines of Python give its weights: model = {load}(\"{name}\", map_location=\"cpu\"{more}) and torch.save(model.state_dict(), \"{out}\")"
    );
    Error::input(source, message)
}
