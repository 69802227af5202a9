//! Writes small ONNX files by hand: the bytes of their messages, with nothing between.

/// A message being written.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// With an integer field.
    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    /// With a field of 4 bytes.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// With a field of any length.
    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// With a field of 4 or 8 bytes, under its whole key.
    pub fn raw(mut self, key: u64, bytes: &[u8]) -> Self {
        self.varint(key);
        self.0.extend_from_slice(bytes);
        self
    }

    /// With a text field.
    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// With a message inside.
    pub fn message(self, field: u64, inner: Message) -> Self {
        self.bytes(field, &inner.0)
    }

    /// With several of one field.
    pub fn all(self, field: u64, inner: impl IntoIterator<Item = Message>) -> Self {
        inner.into_iter().fold(self, |m, inner| m.message(field, inner))
    }
}

/// A float tensor.
pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    sides(shape).int(2, 1).text(8, name).bytes(9, &raw)
}

/// An integer tensor.
pub fn ints(name: &str, shape: &[usize], values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    sides(shape).int(2, 7).text(8, name).bytes(9, &raw)
}

fn sides(shape: &[usize]) -> Message {
    shape.iter().fold(Message::default(), |m, &side| m.int(1, side as i64))
}

/// A node of the standard set; its name is that of the operator and its first output.
pub fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<Message>) -> Message {
    let name = format!("/{operator}/{}", outputs[0]);
    let m = inputs.iter().fold(Message::default(), |m, i| m.text(1, i));
    let m = outputs.iter().fold(m, |m, o| m.text(2, o));
    m.text(3, &name).text(4, operator).all(5, attributes)
}

/// The same node in a domain.
pub fn of(domain: &str, node: Message) -> Message {
    node.text(7, domain)
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> Message {
    Message::default().text(1, name).int(3, value).int(20, 2)
}

/// A float attribute.
pub fn float(name: &str, value: f32) -> Message {
    Message::default().text(1, name).float(2, value).int(20, 1)
}

/// A list of integers as an attribute.
pub fn list(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().text(1, name), |m, &v| m.int(8, v)).int(20, 7)
}

/// A graph as an attribute.
pub fn graph(name: &str, graph: Message) -> Message {
    Message::default().text(1, name).message(6, graph).int(20, 5)
}

/// An attribute that takes its value from the call of the function it stands in.
pub fn given(name: &str, from: &str) -> Message {
    Message::default().text(1, name).text(21, from).int(20, 1)
}

/// An input or output of float values; 0 is an axis without a size.
pub fn value(name: &str, shape: &[i64]) -> Message {
    typed(name, 1, shape)
}

/// An input or output of values of a type.
pub fn typed(name: &str, kind: i64, shape: &[i64]) -> Message {
    let side = |&v: &i64| if v > 0 { Message::default().int(1, v) } else { Message::default().text(2, "n") };
    let shape = Message::default().all(1, shape.iter().map(side));
    let tensor = Message::default().int(1, kind).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// A graph.
pub fn body(nodes: Vec<Message>, tensors: Vec<Message>, inputs: Vec<Message>, outputs: Vec<Message>) -> Message {
    Message::default().all(1, nodes).text(2, "made").all(5, tensors).all(11, inputs).all(12, outputs)
}

/// A file of one graph, with functions.
pub fn file(opset: i64, graph: Message, functions: Vec<Message>) -> Vec<u8> {
    let set = Message::default().text(1, "").int(2, opset);
    let own = Message::default().text(1, "own").int(2, 1);
    Message::default().int(1, 8).text(2, "by hand").message(7, graph).all(8, [set, own]).all(25, functions).0
}

/// A function of the domain `own`.
pub fn function(name: &str, inputs: &[&str], outputs: &[&str], attributes: &[&str], nodes: Vec<Message>) -> Message {
    let m = Message::default().text(1, name);
    let m = inputs.iter().fold(m, |m, i| m.text(4, i));
    let m = outputs.iter().fold(m, |m, o| m.text(5, o));
    let m = attributes.iter().fold(m, |m, a| m.text(6, a));
    m.all(7, nodes).message(9, Message::default().text(1, "").int(2, 17)).text(10, "own")
}
