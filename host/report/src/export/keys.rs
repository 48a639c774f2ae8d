//! The keys of a table, and objects taken apart: each value with the number of its key (`info.ASN`).

use std::collections::HashMap;

use serde_json::Value;

use crate::gather::State;
use crate::json::{Fields, Json, What};

/// Keys of records, each with a number.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    root: Node,
    names: Vec<String>,
    /// How many nodes there are.
    nodes: usize,
}

/// A key, and what is below of it in an object.
#[derive(Debug, Default)]
struct Node {
    /// Its number among all nodes.
    id: usize,
    /// Of a key that values are taken of.
    number: Option<u32>,
    below: Vec<(Box<str>, Node)>,
    /// Where each of these is.
    places: HashMap<Box<str>, usize, State>,
}

impl Node {
    /// Takes an object apart, whose names stand behind this prefix.
    fn take(&self, fields: Fields<'_>, prefix: &str, first: Json<'_>, apart: &mut Apart) {
        for (name, value) in fields {
            match (apart.order.find(self, name), value.what()) {
                (_, What::Null) => {}
                (Some(node), What::Object(fields)) if !node.below.is_empty() => {
                    node.take(fields, &format!("{prefix}{name}."), first, apart);
                }
                (Some(Node { number: Some(number), .. }), _) => {
                    apart.known.push((*number, value.place(first)));
                }
                (_, what) => apart.others.push((format!("{prefix}{name}"), what.into_value())),
            }
        }
    }
}

/// The order in which keys came the last time, which they mostly come in again.
#[derive(Debug, Default)]
struct Order {
    /// The last one's node.
    last: usize,
    /// For each node, where the one is that came behind it.
    next: Vec<usize>,
}

impl Order {
    /// The one below of a node of this name.
    fn find<'k>(&mut self, node: &'k Node, name: &str) -> Option<&'k Node> {
        let next = self.next.get_mut(self.last)?;
        let is_next = node.below.get(*next).is_some_and(|(other, _)| **other == *name);
        if !is_next {
            *next = *node.places.get(name)?;
        }
        let (_, node) = node.below.get(*next)?;
        self.last = node.id;
        Some(node)
    }
}

impl Keys {
    /// Adds the key that this way through objects leads to; returns its number. Two ways whose names
    /// are the same with dots between are one key.
    pub(crate) fn add(&mut self, way: &[&str]) -> u32 {
        let name = way.join(".");
        let there = self.names.iter().position(|other| *other == name);
        let number = there.unwrap_or(self.names.len()) as u32;
        if there.is_none() {
            self.names.push(name);
        }
        let Keys { root, nodes, .. } = self;
        let mut leaf = root;
        for step in way {
            let place = *leaf.places.entry(Box::from(*step)).or_insert(leaf.below.len());
            if place == leaf.below.len() {
                *nodes += 1;
                leaf.below.push((Box::from(*step), Node { id: *nodes, ..Node::default() }));
            }
            leaf = &mut leaf.below[place].1;
        }
        leaf.number = Some(number);
        number
    }

    /// The names of all keys, by number.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a key.
    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }
}

/// An object that was taken apart. The memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    /// The values of keys that have a number, and their places; none is null.
    pub(crate) known: Vec<(u32, usize)>,
    /// The others, by name.
    pub(crate) others: Vec<(String, Value)>,
    order: Order,
}

impl Apart {
    /// Takes apart these fields of an object in the row that `first` begins. It is always given the same
    /// keys.
    pub(crate) fn take(&mut self, fields: Fields<'_>, keys: &Keys, first: Json<'_>) {
        self.known.clear();
        self.others.clear();
        self.order.last = 0;
        self.order.next.resize(keys.nodes + 1, 0);
        keys.root.take(fields, "", first, self);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::parse::Parser;

    fn keys(names: &[&str]) -> Keys {
        let mut keys = Keys::default();
        names.iter().for_each(|name| {
            keys.add(&name.split('.').collect::<Vec<_>>());
        });
        keys
    }

    type Named<N> = Vec<(N, Value)>;

    /// The values of a line, by the numbers of their keys, and those of other keys.
    fn taken(line: &str, keys: &Keys) -> (Named<u32>, Named<String>) {
        let taken = Parser::default().values(line.as_bytes(), |json| {
            let What::Object(fields) = json.what() else { return None };
            let mut apart = Apart::default();
            apart.take(fields, keys, json);
            let value = |(key, place): (u32, usize)| (key, json.at(place).what().into_value());
            Some((apart.known.into_iter().map(value).collect(), apart.others))
        });
        taken.unwrap()
    }

    #[test]
    fn objects_are_taken_apart_and_the_rest_is_kept() {
        let targets = keys(&["dip", "info.ASN", "info", "body", "conditions", "big"]);
        let line = r#"{"dip":"192.0.2.1","info":{"ASN":64500,"more":{"x":1}},"body":{"base64":"Z3L832U="},
            "conditions":["a","\u0062"],"big":18446744073709551615,"odd":[{"x":null}],"none":null}"#;
        let (known, others) = taken(line, &targets);
        assert_eq!(
            known,
            [
                (0, json!("192.0.2.1")),
                (1, json!(64500)),
                (3, json!({"base64": "Z3L832U="})),
                (4, json!(["a", "b"])),
                (5, json!(u64::MAX)),
            ]
        );
        let expected =
            [("info.more".to_owned(), json!({"x": 1})), ("odd".to_owned(), json!([{"x": null}]))];
        assert_eq!(others, expected);
    }

    #[test]
    fn a_key_that_is_also_an_object_is_either() {
        let (known, others) =
            taken(r#"{"info":"text","a":5}"#, &keys(&["info", "info.ASN", "a.b"]));
        assert_eq!((known, others), (vec![(0, json!("text"))], vec![("a".to_owned(), json!(5))]));
        // Names that are the same are one key.
        let mut twice = Keys::default();
        assert_eq!((twice.add(&["a.b"]), twice.add(&["a", "b"])), (0, 0));
        let (known, _) = taken(r#"{"a.b":1,"a":{"b":2}}"#, &twice);
        assert_eq!(known, [(0, json!(1)), (0, json!(2))]);
    }
}
