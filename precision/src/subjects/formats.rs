//! Crates that write values as bytes and read them back, most of them by derived code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is written and read.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Point { x: i32, y: i32 },
    Named(String, Box<Shape>),
    Group(Vec<Shape>),
    Nothing,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Drawing {
    title: String,
    shapes: Vec<Shape>,
    layers: BTreeMap<String, Vec<u64>>,
    scale: f64,
    comment: Option<String>,
}

fn drawing() -> Drawing {
    let point = Shape::Point { x: -3, y: 70_000 };
    let named = Shape::Named("corner \u{e4}".to_owned(), Box::new(point.clone()));
    let layers = ["back", "middle", "front"].iter().enumerate();
    let layers = layers.map(|(nth, name)| ((*name).to_owned(), (0..4 << nth).collect())).collect();
    Drawing {
        title: "a drawing with a title of some length".to_owned(),
        shapes: vec![point, named.clone(), Shape::Group(vec![named, Shape::Nothing])],
        layers,
        scale: 1.5,
        comment: None,
    }
}

pub(super) fn ciborium() -> (usize, bool, String, bool) {
    let drawing = drawing();
    let mut bytes = Vec::new();
    ciborium::into_writer(&drawing, &mut bytes).expect("into memory");
    let read: Drawing = ciborium::from_reader(&*bytes).expect("it was written so");
    let value: ciborium::Value = ciborium::from_reader(&*bytes).expect("it was written so");
    let keys = value.as_map().into_iter().flatten().filter_map(|(key, _)| key.as_text());
    let keys = keys.collect::<Vec<_>>().join(" ");
    let is_cut = ciborium::from_reader::<Drawing, _>(&bytes[..40]).is_err();
    (bytes.len(), read == drawing, keys, is_cut)
}

pub(super) fn postcard() -> (usize, bool, Option<String>) {
    let drawing = drawing();
    let bytes = postcard::to_stdvec_cobs(&drawing).expect("drawings are postcards");
    let mut copy = bytes.clone();
    let read: Drawing = postcard::from_bytes_cobs(&mut copy).expect("it was written so");
    let error = postcard::from_bytes::<Drawing>(&bytes[..20]).err();
    (bytes.len(), read == drawing, error.map(|error| error.to_string()))
}

/// Writing into memory returns an error if there is none.
pub(super) fn rmp_serde() -> Result<(usize, usize, bool, Option<String>), rmp_serde::encode::Error>
{
    let drawing = drawing();
    let short = rmp_serde::to_vec(&drawing)?;
    let named = rmp_serde::to_vec_named(&drawing)?;
    let read: Drawing = rmp_serde::from_slice(&named).expect("it was written so");
    let error = rmp_serde::from_slice::<Drawing>(&short[..60]).err();
    Ok((short.len(), named.len(), read == drawing, error.map(|error| error.to_string())))
}

pub(super) fn ron() -> (String, bool, Option<String>) {
    let drawing = drawing();
    let pretty = ron::ser::PrettyConfig::new().struct_names(true);
    let text = ron::ser::to_string_pretty(&drawing, pretty).expect("into memory");
    let read: Drawing = ron::from_str(&text).expect("it was written so");
    let error = ron::from_str::<Drawing>("(title: \"x\", shapes: [Circle(3)])").err();
    (text, read == drawing, error.map(|error| error.to_string()))
}

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(string, tag = "1")]
    customer: String,
    #[prost(message, repeated, tag = "2")]
    items: Vec<Item>,
    #[prost(map = "string, sint64", tag = "3")]
    totals: std::collections::HashMap<String, i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, repeated, tag = "2")]
    counts: Vec<u32>,
    #[prost(bytes = "vec", optional, tag = "3")]
    picture: Option<Vec<u8>>,
}

pub(super) fn prost() -> (usize, bool, usize, Option<String>) {
    use prost::Message;

    let item = |name: &str| Item {
        name: name.to_owned(),
        counts: (0..20).collect(),
        picture: Some(vec![7; 100]),
    };
    let totals = [("net", 100), ("tax", -19), ("sum", 119)];
    let order = Order {
        customer: "somebody with a long name".to_owned(),
        items: ["table", "chair", "lamp"].map(item).to_vec(),
        totals: totals.map(|(name, cents)| (name.to_owned(), cents)).into(),
    };
    let bytes = order.encode_length_delimited_to_vec();
    let read = Order::decode_length_delimited(&*bytes).expect("it was written so");
    let error = Order::decode(&bytes[5..90]).err();
    (bytes.len(), read == order, read.items.len(), error.map(|error| error.to_string()))
}
