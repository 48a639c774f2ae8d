//! `pathspider schema`: the JSON Schema of records, made from the lists of their keys.

use pathspider_observer::chains::Catalogue;
use pathspider_plugin_api::FieldType;
use pathspider_plugin_api::chains::flow;
use pathspider_records::shape::{Field, Shape, schema};

use super::exit::{Exit, Failure};
use super::shell;

/// Writes the schema to standard output.
pub(super) fn run() -> Result<Exit, Failure> {
    let catalogue = Catalogue::library();
    let of_chains = catalogue.list().iter().flat_map(|entry| &entry.info.fields);
    let of_chains = of_chains.map(|field| (&*field.name, field.kind, &*field.meaning));
    let of_all = flow::CHAIN.fields.iter().map(|field| (field.name, field.kind, field.meaning));
    let fields = of_all.chain(of_chains).map(|(name, kind, meaning)| {
        let shape = match kind {
            FieldType::Bool => Shape::Flag,
            FieldType::UInt => Shape::Whole,
            FieldType::Float => Shape::Number,
            FieldType::Text => Shape::Octets,
            FieldType::List => Shape::List,
            _ => Shape::Anything,
        };
        Field { name, shape, meaning }
    });
    let mut text = format!("{:#}", schema(fields));
    text.push('\n');
    shell::write(text.as_bytes())
}
