//! A first walk over the bytes of a file, before anything is kept of them: whether every field ends where its message
//! ends, how deep messages lie inside each other, and how many there are. After it the decoder takes memory in
//! proportion to the file.

/// Depth to which messages may be nested. A graph inside a node takes three.
const DEPTH: usize = 64;
/// Fields with a length that a file may have: nodes, names, tensors, attributes. The largest exports have a tenth.
const FIELDS: usize = 4 << 20;

/// The messages that hold others, or hold names.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Tensor,
    Info,
    Type,
    TensorType,
    Shape,
    /// One whose fields are not looked into.
    Leaf,
}

/// The message in field `field` of `message`, where it is one that holds others.
fn inner(message: Message, field: u64) -> Message {
    match (message, field) {
        (Message::Model, 7) | (Message::Attribute, 6) => Message::Graph,
        (Message::Model, 25) => Message::Function,
        (Message::Graph, 1) | (Message::Function, 7) => Message::Node,
        (Message::Graph, 5) | (Message::Attribute, 5) => Message::Tensor,
        (Message::Graph, 11 | 12) => Message::Info,
        (Message::Info, 2) => Message::Type,
        (Message::Type, 1) => Message::TensorType,
        (Message::TensorType, 2) => Message::Shape,
        (Message::Node, 5) | (Message::Function, 11) => Message::Attribute,
        _ => Message::Leaf,
    }
}

/// Walks over `bytes` as an ONNX model.
///
/// # Errors
/// What is wrong, as text for a message.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let mut walk = Walk { bytes, at: 0, fields: 0 };
    walk.message(Message::Model, bytes.len(), 0)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: usize,
}

impl Walk<'_> {
    fn message(&mut self, message: Message, end: usize, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!("its messages are nested deeper than {DEPTH}"));
        }
        while self.at < end {
            let key = self.varint()?;
            let skipped = match key & 7 {
                0 => {
                    self.varint()?;
                    0
                }
                1 => 8,
                2 => self.varint()?,
                5 => 4,
                _ => return Err(format!("not an ONNX file: no field can begin at byte {}", self.at)),
            };
            let Some(next) = usize::try_from(skipped).ok().and_then(|s| self.at.checked_add(s)) else {
                return Err(format!("not an ONNX file: the field at byte {} has no possible length", self.at));
            };
            if next > self.bytes.len() {
                return Err(cut(self.bytes.len(), next));
            }
            if next > end {
                return Err(format!("not a sound ONNX file: the field at byte {} runs over its message", self.at));
            }
            if key & 7 == 2 {
                self.fields += 1;
                if self.fields > FIELDS {
                    return Err(format!("more than {FIELDS} fields, at most so many are read"));
                }
                match inner(message, key >> 3) {
                    Message::Leaf => self.at = next,
                    held => self.message(held, next, depth + 1)?,
                }
            } else {
                self.at = next;
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else { return Err(cut(self.bytes.len(), self.at + 1)) };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("not an ONNX file: byte {} ends no number", self.at))
    }
}

fn cut(found: usize, needed: usize) -> String {
    format!("not a whole ONNX file: it ends inside a field at byte {found} of {needed}; copy it again")
}
