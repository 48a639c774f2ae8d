//! Pins the layout of everything that crosses the boundary: a change without a new version of the
//! ABI fails here.
//!
//! `layout.txt` is the layout of the version that it names. After a change that the rules of
//! growth allow, raise the minor version in `descriptor.rs` (the major one after any other), and
//! write the file anew with `PIN_LAYOUT=1 cargo test -p pathspider-plugin-api layout`.

use std::collections::BTreeMap;
use std::fmt::Write;

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;

use super::ABI_VERSION;
use super::tables::ModuleRef;

/// The types of ours that `layout` reaches, by name, each with its size, alignment and fields.
/// Those of `abi_stable` are pinned by its own version.
fn collect(layout: &'static TypeLayout, seen: &mut BTreeMap<String, String>) {
    let name = spell(layout);
    if seen.contains_key(&name) {
        return;
    }
    let ours = layout.package() == env!("CARGO_PKG_NAME");
    let mut text = format!("size {} align {}", layout.size(), layout.alignment());
    seen.insert(name.clone(), String::new());
    let fields = layout.get_fields().into_iter().flatten();
    let phantom = layout.phantom_fields().iter();
    for field in fields.chain(phantom) {
        let _ = write!(text, "\n    {}: {}", field.name(), field.full_type());
        collect(field.layout(), seen);
        for function in field.function_range().iter() {
            let parameters = function.param_type_layouts.iter();
            let returned = function.return_type_layout();
            let spelled: Vec<String> = parameters.clone().map(|p| spell(p())).collect();
            let result = returned.map_or_else(String::new, |r| spell(r()));
            let _ = write!(text, "\n        ({}) -> {result}", spelled.join(", "));
            for layout in parameters.chain(returned) {
                collect(layout(), seen);
            }
        }
    }
    if ours {
        seen.insert(name, text);
    }
}

/// A type's name, with the types of its fields where it is generic and not ours.
fn spell(layout: &'static TypeLayout) -> String {
    let name = layout.full_type().to_string().replace("  ", "");
    if layout.package() == env!("CARGO_PKG_NAME") {
        return name;
    }
    let fields: Vec<String> =
        layout.get_fields().into_iter().flatten().map(|f| f.full_type().to_string()).collect();
    format!("{name}<{}; {} octets>", fields.join(", "), layout.size())
}

fn present_layout() -> String {
    let mut types = BTreeMap::new();
    collect(<ModuleRef as StableAbi>::LAYOUT, &mut types);
    for table in ["MeasurementTable", "ChainTable", "PacketRef<'a>", "ServicesTable", "Repr"] {
        assert!(types.contains_key(table), "{table} is not reached");
    }
    let mut text = format!("ABI {ABI_VERSION}\n\n");
    for (name, layout) in types.iter().filter(|(_, layout)| !layout.is_empty()) {
        let _ = writeln!(text, "{name}: {layout}\n");
    }
    for (name, size, fields) in
        [super::descriptor::LAYOUT, crate::job::LAYOUT, crate::packet::LAYOUT]
    {
        let _ = writeln!(text, "{name}: size {size}");
        for (field, offset) in fields {
            let _ = writeln!(text, "    {field} at {offset}");
        }
        text.push('\n');
    }
    text
}

#[test]
fn layout_is_that_of_its_version() {
    let present = present_layout();
    if std::env::var_os("PIN_LAYOUT").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi/layout.txt");
        std::fs::write(path, &present).unwrap();
        return;
    }
    let pinned = include_str!("layout.txt");
    let differs = pinned.lines().zip(present.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None, "raise the ABI version; see the head of this file");
    assert_eq!(pinned.len(), present.len(), "raise the ABI version; see the head of this file");
}
