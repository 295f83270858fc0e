//! Names for graphs that have none.
//!
//! ONNX Runtime writes the branches of an `If` without a name when it saves a model, and refuses to read such a model. The model is a protobuf
//! message; the name is put in without knowing anything else of it.
//!
//! Promises: pure; every field that is there stays as it is and in its order; what is no such message is `None`.

/// `ModelProto.graph`. Source of these numbers: onnx/onnx.proto, versions 1.4 to 1.19.
const MODEL_GRAPH: u64 = 7;
/// `GraphProto.node`.
const GRAPH_NODE: u64 = 1;
/// `GraphProto.name`.
const GRAPH_NAME: u64 = 2;
/// `NodeProto.attribute`.
const NODE_ATTRIBUTE: u64 = 5;
/// `AttributeProto.g`.
const ATTRIBUTE_GRAPH: u64 = 6;
/// `AttributeProto.graphs`.
const ATTRIBUTE_GRAPHS: u64 = 11;
/// How deep graphs may lie in graphs.
const DEEPEST: u32 = 16;

/// The model with a name for each graph that had none.
#[must_use]
pub(super) fn with_names(model: &[u8]) -> Option<Vec<u8>> {
    let mut count = 0;
    rewrite(model, |number, bytes| match number {
        MODEL_GRAPH => Some(Some(graph(bytes, &mut count, DEEPEST)?)),
        _ => Some(None),
    })
}

fn graph(bytes: &[u8], count: &mut u32, deepest: u32) -> Option<Vec<u8>> {
    let deepest = deepest.checked_sub(1)?;
    let mut has_name = false;
    let mut named = rewrite(bytes, |number, bytes| match number {
        GRAPH_NODE => Some(Some(node(bytes, count, deepest)?)),
        GRAPH_NAME => {
            has_name |= !bytes.is_empty();
            Some(None)
        }
        _ => Some(None),
    })?;
    if !has_name {
        *count += 1;
        field(&mut named, GRAPH_NAME, format!("graph_{count}").as_bytes());
    }
    Some(named)
}

fn node(bytes: &[u8], count: &mut u32, deepest: u32) -> Option<Vec<u8>> {
    rewrite(bytes, |number, bytes| match number {
        NODE_ATTRIBUTE => {
            let attribute = rewrite(bytes, |number, bytes| match number {
                ATTRIBUTE_GRAPH | ATTRIBUTE_GRAPHS => Some(Some(graph(bytes, count, deepest)?)),
                _ => Some(None),
            });
            Some(Some(attribute?))
        }
        _ => Some(None),
    })
}

/// A message whose length-delimited fields are asked for in turn: `Some(None)` leaves one as it is.
fn rewrite(message: &[u8], mut of: impl FnMut(u64, &[u8]) -> Option<Option<Vec<u8>>>) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(message.len() + 64);
    let mut rest = message;
    while !rest.is_empty() {
        let before = rest;
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => drop(varint(&mut rest)?),
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, behind) = rest.split_at_checked(length)?;
                rest = behind;
                if let Some(new) = of(tag >> 3, bytes)? {
                    field(&mut written, tag >> 3, &new);
                    continue;
                }
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
        written.extend_from_slice(&before[..before.len() - rest.len()]);
    }
    Some(written)
}

fn field(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    for mut value in [number << 3 | 2, bytes.len() as u64] {
        while value >= 0x80 {
            message.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        message.push((value & 0x7f) as u8);
    }
    message.extend_from_slice(bytes);
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        fields.iter().for_each(|(number, value)| field(&mut bytes, *number, value));
        bytes
    }

    /// A model whose main graph has an `If` with two branches.
    fn model(name: &[u8], branches: [&[u8]; 2]) -> Vec<u8> {
        let attributes = branches.map(|branch| message(&[(1, b"then_branch"), (ATTRIBUTE_GRAPH, branch)]));
        let node = message(&[(4, b"If"), (NODE_ATTRIBUTE, &attributes[0]), (NODE_ATTRIBUTE, &attributes[1])]);
        // A number before the graph: IR version 8.
        [vec![1 << 3, 8], message(&[(MODEL_GRAPH, &message(&[(GRAPH_NODE, &node), (GRAPH_NAME, name)])), (2, b"ort")])].concat()
    }

    #[test]
    fn a_branch_without_a_name_gets_one_of_its_own_and_nothing_else_changes() {
        let long = vec![7; 300];
        let branches = [message(&[(5, &long)]), message(&[(11, b"x")])];
        let named = [message(&[(5, &long), (GRAPH_NAME, b"graph_1")]), message(&[(11, b"x"), (GRAPH_NAME, b"graph_2")])];
        let found = with_names(&model(b"main", [&branches[0], &branches[1]])).unwrap();
        assert_eq!(found, model(b"main", [&named[0], &named[1]]));
        assert_eq!(with_names(&found).unwrap(), found, "what has names stays as it is");
    }

    #[test]
    fn an_empty_name_is_none() {
        let branch = message(&[(GRAPH_NAME, b"")]);
        let named = message(&[(GRAPH_NAME, b""), (GRAPH_NAME, b"graph_1")]);
        assert_eq!(with_names(&model(b"m", [&branch, &named])).unwrap(), model(b"m", [&named, &named]));
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let whole = model(b"main", [b"", b""]);
        assert!(with_names(&whole[..whole.len() - 1]).is_none(), "cut off");
        assert!(with_names(&[0x3b]).is_none(), "a group");
        assert!(with_names(&[0xff; 12]).is_none(), "a number without an end");
        let deep = (0..40).fold(Vec::new(), |inner, _| {
            message(&[(GRAPH_NODE, &message(&[(NODE_ATTRIBUTE, &message(&[(ATTRIBUTE_GRAPH, &inner)]))]))])
        });
        assert!(with_names(&message(&[(MODEL_GRAPH, &deep)])).is_none(), "no bottom");
    }
}
