//! The types that cross the boundary, spelled out: sizes, fields and their types, functions and
//! theirs, variants and their numbers.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt::Write;

use abi_stable::StableAbi;
use abi_stable::type_layout::{TLData, TLField, TypeLayout};

use crate::abi::tables::ModuleRef;

/// A struct that crosses by reference, and that `abi_stable` does not know.
pub(crate) struct Fields {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// Names, offsets and types.
    pub(crate) fields: Vec<(&'static str, usize, &'static str)>,
}

/// All fields of a struct. One that is left out does not compile.
macro_rules! pinned_fields {
    ($type:ident { $($field:ident),* $(,)? }) => {{
        let _all = |value: &$type| { let $type { $($field: _),* } = value; };
        $crate::abi::Fields {
            name: stringify!($type),
            size: size_of::<$type>(),
            align: align_of::<$type>(),
            fields: vec![$((
                stringify!($field),
                std::mem::offset_of!($type, $field),
                $crate::abi::type_of(|value: &$type| &value.$field),
            )),*],
        }
    }};
}
pub(crate) use pinned_fields;

/// The type that a function gives a reference to, without the path of ours.
pub(crate) fn type_of<T, F>(_: impl Fn(&T) -> &F) -> &'static str {
    let name = type_name::<F>();
    name.strip_prefix("pathspider_plugin_api::").unwrap_or(name)
}

/// All types by name, each with its lines: the first tells its size, each other one a field or a
/// variant.
pub(super) fn all() -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    collect(<ModuleRef as StableAbi>::LAYOUT, &mut types);
    // Pointers and numbers are the machine's.
    types.retain(|name, _| name.starts_with(|first: char| first.is_ascii_uppercase()));
    let known = [crate::abi::descriptor::pinned(), crate::job::pinned(), crate::location::pinned()];
    let lent = crate::abi::lent::pinned().into_iter().chain(crate::packet::pinned());
    let lent = lent.chain(crate::abi::slots::pinned());
    let lent = lent.chain(crate::conversation::pinned());
    for Fields { name, size, align, fields } in known.into_iter().chain(lent) {
        let mut text = format!("size {size} align {align}");
        for (field, offset, kind) in fields {
            let _ = write!(text, "\n    {field}: {kind} at {offset}");
        }
        types.insert(name.to_owned(), text);
    }
    types
}

fn collect(layout: &'static TypeLayout, types: &mut BTreeMap<String, String>) {
    let name = spell(layout);
    if types.contains_key(&name) || PLAIN.contains(&layout.name()) {
        return;
    }
    // The version of `abi_stable` decides what is inside its types, so only their size is noted here.
    let text = if is_ours(layout) { body(layout) } else { head(layout) };
    types.insert(name, text);
    for field in all_fields(layout) {
        collect(field.layout(), types);
        for function in field.function_range().iter() {
            let returned = function.return_type_layout();
            for layout in function.param_type_layouts.iter().chain(returned) {
                collect(layout(), types);
            }
        }
    }
}

fn head(layout: &TypeLayout) -> String {
    format!("size {} align {}", layout.size(), layout.alignment())
}

fn body(layout: &'static TypeLayout) -> String {
    let mut text = head(layout);
    let TLData::Enum(variants) = layout.data() else {
        all_fields(layout).for_each(|field| text += &line(&field));
        return text;
    };
    let _ = write!(text, " {:?}", layout.repr_attr());
    let numbers = format!("{:?}", variants.discriminants);
    let numbers = numbers.trim_matches(['[', ']']).split(", ");
    let mut fields = variants.fields.iter();
    let counts = variants.field_count.iter();
    for ((name, number), count) in variants.variant_names_iter().zip(numbers).zip(counts) {
        let _ = write!(text, "\n    {name} = {number}");
        for field in fields.by_ref().take(usize::from(*count)) {
            let _ = write!(text, " {}", spell(field.layout()));
        }
    }
    text
}

/// A field's line, with its type or, of a function, its arguments and result.
fn line(field: &TLField) -> String {
    let functions = field.function_range();
    if functions.is_empty() {
        return format!("\n    {}: {}", field.name(), spell(field.layout()));
    }
    let mut text = String::new();
    for function in functions.iter() {
        let parameters: Vec<String> =
            function.param_type_layouts.iter().map(|p| spell(p())).collect();
        let unsafety = if function.fn_qualifs.is_unsafe() { "unsafe " } else { "" };
        let _ = write!(text, "\n    {}: {unsafety}({})", field.name(), parameters.join(", "));
        if let Some(returned) = function.return_type_layout() {
            let _ = write!(text, " -> {}", spell(returned()));
        }
    }
    text
}

fn all_fields(layout: &'static TypeLayout) -> impl Iterator<Item = TLField> {
    layout.get_fields().into_iter().flatten().chain(layout.phantom_fields().iter())
}

fn is_ours(layout: &TypeLayout) -> bool {
    layout.package() == env!("CARGO_PKG_NAME")
}

/// Types of `abi_stable` that are not generic.
const PLAIN: [&str; 3] = ["RStr", "RString", "VecVTable"];

/// A type's name, with the types that a generic one is made of.
fn spell(layout: &'static TypeLayout) -> String {
    let name = layout.name();
    if is_ours(layout) || PLAIN.contains(&name) {
        return name.to_owned();
    }
    // Those that keep their elements elsewhere tell their type in a field without size.
    let marked = ["RSlice", "RVec"].contains(&name);
    let mut parts: Vec<String> = all_fields(layout)
        .filter(|field| !marked || field.name() == "_marker")
        .map(|field| spell(field.layout()))
        .collect();
    assert!(!marked || parts.len() == 1, "abi_stable's {name} has no _marker");
    match (name, parts.len()) {
        ("PhantomData", 1) => parts.remove(0),
        ("&", 1) => format!("&{}", parts[0]),
        ("&mut" | "*const" | "*mut", 1) => format!("{name} {}", parts[0]),
        (_, 0) => name.to_owned(),
        _ => format!("{name}<{}>", parts.join(", ")),
    }
}
