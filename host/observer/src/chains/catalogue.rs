//! Finds chains by name, among the library's and those of plugins.

use std::sync::Arc;

use pathspider_plugin_api::abi::{ChainHandle, ChainSet};
use pathspider_plugin_api::{Chain, ChainInfo, ChainName, Error};

use super::{
    AccEcn, Basic, Carrier, Dns, Dscp, Ecn, Evil, Icmp, Mss, Noop, Quic, Rtt, Syn, Tcp, Tcpopt,
    Tfo, Udp,
};

/// All chains that a run can use.
pub struct Catalogue {
    entries: Vec<Entry>,
}

/// One chain of the catalogue.
pub struct Entry {
    /// The plugin that it comes from; `None` for the library's own.
    pub plugin: Option<String>,
    /// Its name and fields.
    pub info: ChainInfo,
    source: Source,
}

/// Loads the file of a chain that is used: its place in the file, and what is known of it.
pub type LoadChain = Arc<dyn Fn(usize, &ChainInfo) -> Result<ChainHandle, Error> + Send + Sync>;

/// Where a chain comes from.
enum Source {
    Here(ChainHandle),
    File { load: LoadChain, index: usize },
}

/// The chains of a run.
pub struct Resolved {
    /// The chains, as the observer takes them.
    pub chains: ChainSet,
    /// Their names, in the order of the set, with the plugin's where there is one.
    pub names: Vec<String>,
}

/// Why chains cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// There is no chain of that name.
    #[error("no chain {name:?}; there are: {}", available.join(", "))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names that there are.
        available: Vec<String>,
    },
    /// Several plugins have a chain of that name.
    #[error("the chain {name:?} is ambiguous; say which: {}", candidates.join(", "))]
    Ambiguous {
        /// The name that was given.
        name: String,
        /// The names to choose from.
        candidates: Vec<String>,
    },
    /// A chain has a field twice.
    #[error("the chain {chain} has the field {field:?} twice")]
    FieldTwice {
        /// The field.
        field: String,
        /// The chain.
        chain: String,
    },
    /// Two chains write the same field, so they cannot be used together.
    #[error("the chains {first} and {second} both write the field {field:?}")]
    FieldClash {
        /// The field.
        field: String,
        /// One chain.
        first: String,
        /// The other.
        second: String,
    },
    /// A plugin has two chains of one name.
    #[error("the plugin {plugin} has two chains with the name {name:?}")]
    Duplicate {
        /// The plugin.
        plugin: String,
        /// The name.
        name: String,
    },
    /// A chain could not be described or made.
    #[error("{name}: {reason}")]
    Chain {
        /// The chain, or its plugin.
        name: String,
        /// What it says.
        reason: Error,
    },
}

impl Entry {
    fn library<C: Chain>() -> Entry {
        Entry { plugin: None, info: C::info(), source: Source::Here(ChainHandle::of::<C>()) }
    }

    /// The chain, whose file is loaded now if it was not.
    fn handle(&self) -> Result<ChainHandle, CatalogueError> {
        match &self.source {
            Source::Here(handle) => Ok(*handle),
            Source::File { load, index } => load(*index, &self.info)
                .map_err(|reason| CatalogueError::Chain { name: self.full_name(), reason }),
        }
    }

    /// The name that is never ambiguous: `plugin.chain`, or the bare name of a library chain.
    pub fn full_name(&self) -> String {
        match &self.plugin {
            Some(plugin) => format!("{plugin}.{}", self.info.name),
            None => self.info.name.clone(),
        }
    }
}

impl Catalogue {
    /// The library's chains.
    pub fn library() -> Catalogue {
        Catalogue {
            entries: vec![
                Entry::library::<Basic>(),
                Entry::library::<Tcp>(),
                Entry::library::<Ecn>(),
                Entry::library::<Dscp>(),
                Entry::library::<Mss>(),
                Entry::library::<Tfo>(),
                Entry::library::<Tcpopt>(),
                Entry::library::<Udp>(),
                Entry::library::<Icmp>(),
                Entry::library::<Dns>(),
                Entry::library::<Evil>(),
                Entry::library::<Syn>(),
                Entry::library::<Rtt>(),
                Entry::library::<AccEcn>(),
                Entry::library::<Carrier>(),
                Entry::library::<Quic>(),
                Entry::library::<Noop>(),
            ],
        }
    }

    /// Adds the chains of a plugin that is loaded.
    ///
    /// # Errors
    ///
    /// One of them cannot be described, or two have the same name. None is added then.
    pub fn add(&mut self, plugin: &str, chains: Vec<ChainHandle>) -> Result<(), CatalogueError> {
        let describe = |handle: ChainHandle| match handle.describe() {
            Ok(info) => Ok((info, Source::Here(handle))),
            Err(reason) => Err(CatalogueError::Chain { name: plugin.into(), reason }),
        };
        let described = chains.into_iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        self.extend(plugin, described)
    }

    /// Adds the chains of a plugin that is loaded only when one of them is used.
    ///
    /// # Errors
    ///
    /// Two have the same name. None is added then.
    pub fn add_later(
        &mut self,
        plugin: &str,
        chains: &[ChainInfo],
        load: LoadChain,
    ) -> Result<(), CatalogueError> {
        let later = chains
            .iter()
            .enumerate()
            .map(|(index, info)| (info.clone(), Source::File { load: Arc::clone(&load), index }));
        self.extend(plugin, later.collect())
    }

    fn extend(
        &mut self,
        plugin: &str,
        chains: Vec<(ChainInfo, Source)>,
    ) -> Result<(), CatalogueError> {
        let mut added: Vec<Entry> = Vec::with_capacity(chains.len());
        for (info, source) in chains {
            if added.iter().any(|other| other.info.name == info.name) {
                return Err(CatalogueError::Duplicate { plugin: plugin.into(), name: info.name });
            }
            added.push(Entry { plugin: Some(plugin.into()), info, source });
        }
        self.entries.extend(added);
        Ok(())
    }

    /// All chains: the library's, then those of plugins in the order in which they were added.
    pub fn list(&self) -> &[Entry] {
        &self.entries
    }

    /// Makes the chains of these names. One that is named twice is there once.
    ///
    /// A bare name is the library's chain if there is one, else that of the only plugin that has
    /// it. `plugin.chain` is always clear.
    ///
    /// # Errors
    ///
    /// A name that is unknown or ambiguous, two chains that write the same field, or a chain that
    /// cannot be made.
    pub fn resolve(&self, names: &[ChainName]) -> Result<Resolved, CatalogueError> {
        self.resolve_for(None, names)
    }

    /// The same for a measurement of this plugin: a bare name that the library has not is its own
    /// chain, if it has one.
    ///
    /// # Errors
    ///
    /// As for [`resolve`](Catalogue::resolve).
    pub fn resolve_for(
        &self,
        plugin: Option<&str>,
        names: &[ChainName],
    ) -> Result<Resolved, CatalogueError> {
        let chosen = self.choose(plugin, names)?;
        check_fields(&chosen)?;
        let handles = chosen.iter().map(|entry| entry.handle()).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = chosen.iter().map(|entry| entry.full_name()).collect();
        let chains = ChainSet::new(&handles)
            .map_err(|reason| CatalogueError::Chain { name: names.join(", "), reason })?;
        Ok(Resolved { chains, names })
    }

    /// The chains that [`resolve_for`](Catalogue::resolve_for) makes, as they are declared.
    ///
    /// # Errors
    ///
    /// A name that is unknown or ambiguous.
    pub fn choose(
        &self,
        plugin: Option<&str>,
        names: &[ChainName],
    ) -> Result<Vec<&Entry>, CatalogueError> {
        let mut chosen: Vec<&Entry> = Vec::with_capacity(names.len());
        for name in names {
            let entry = self.find_for(plugin, name)?;
            if !chosen.iter().any(|other| std::ptr::eq(*other, entry)) {
                chosen.push(entry);
            }
        }
        Ok(chosen)
    }

    /// The chain of this name, for a measurement of this plugin.
    ///
    /// # Errors
    ///
    /// There is none, or it is ambiguous.
    pub fn find_for(
        &self,
        plugin: Option<&str>,
        name: &ChainName,
    ) -> Result<&Entry, CatalogueError> {
        let name = &*name.0;
        let is_own = |entry: &&Entry| plugin.is_some() && entry.plugin.as_deref() == plugin;
        let exact = self.entries.iter().find(|entry| entry.full_name() == name);
        let own = || self.entries.iter().filter(is_own).find(|entry| entry.info.name == name);
        let exact = exact.or_else(own);
        if let Some(entry) = exact {
            return Ok(entry);
        }
        let named: Vec<&Entry> = self.entries.iter().filter(|e| e.info.name == name).collect();
        match named[..] {
            [entry] => Ok(entry),
            [] => Err(CatalogueError::Unknown {
                name: name.into(),
                available: self.entries.iter().map(Entry::full_name).collect(),
            }),
            _ => Err(CatalogueError::Ambiguous {
                name: name.into(),
                candidates: named.iter().map(|entry| entry.full_name()).collect(),
            }),
        }
    }
}

/// The fields that the observer itself writes.
const OWN_FIELDS: [&str; 2] = ["pkt_first", "pkt_last"];

fn check_fields(chosen: &[&Entry]) -> Result<(), CatalogueError> {
    let mut seen: Vec<(&str, String)> =
        OWN_FIELDS.iter().map(|&field| (field, "the observer".to_owned())).collect();
    for entry in chosen {
        for field in &entry.info.fields {
            if let Some((name, first)) = seen.iter().find(|(name, _)| *name == field.name) {
                if *first == entry.full_name() {
                    let (field, chain) = (field.name.clone(), first.clone());
                    return Err(CatalogueError::FieldTwice { field, chain });
                }
                return Err(CatalogueError::FieldClash {
                    field: (*name).into(),
                    first: first.clone(),
                    second: entry.full_name(),
                });
            }
            seen.push((&field.name, entry.full_name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pathspider_plugin_api::packet::{Layers, Packet};
    use pathspider_plugin_api::{FieldInfo, FieldType, Fields};

    use super::*;

    /// A plugin's chain; `FIELD` keeps two of them apart.
    #[derive(Default)]
    struct Theirs<const FIELD: char>;

    impl<const FIELD: char> Chain for Theirs<FIELD> {
        type Flow = ();
        const LAYERS: Layers = Layers::NONE;

        fn info() -> ChainInfo {
            let field = FieldInfo {
                name: format!("field_{FIELD}"),
                kind: FieldType::Bool,
                unit: String::new(),
                meaning: "nothing".into(),
            };
            ChainInfo {
                name: if FIELD == 't' { "tcp" } else { "mine" }.into(),
                description: "a plugin's".into(),
                fields: vec![field],
            }
        }

        fn new_flow(&self, _: &Packet<'_>) -> Option<()> {
            Some(())
        }

        fn finish(&self, (): (), _: &mut Fields<'_>) {}
    }

    fn names(catalogue: &Catalogue, names: &[&str]) -> Result<Vec<String>, String> {
        let resolved = catalogue.resolve(&ChainName::list(names));
        resolved.map(|resolved| resolved.names).map_err(|error| error.to_string())
    }

    fn with_plugins() -> Catalogue {
        let mut catalogue = Catalogue::library();
        let (a, t) = (ChainHandle::of::<Theirs<'a'>>(), ChainHandle::of::<Theirs<'t'>>());
        catalogue.add("acme", vec![a, t]).unwrap();
        catalogue
    }

    #[test]
    fn the_library_wins_bare_names_and_plugins_have_their_own() {
        let catalogue = with_plugins();
        assert_eq!(names(&catalogue, &["tcp"]).unwrap(), ["tcp"]);
        assert_eq!(names(&catalogue, &["mine"]).unwrap(), ["acme.mine"]);
        let both = names(&catalogue, &["acme.tcp", "tcp", "acme.tcp"]).unwrap();
        assert_eq!(both, ["acme.tcp", "tcp"]);
    }

    #[test]
    fn a_name_of_two_plugins_takes_the_plugins_name() {
        let mut catalogue = with_plugins();
        catalogue.add("other", vec![ChainHandle::of::<Theirs<'b'>>()]).unwrap();
        let error = names(&catalogue, &["mine"]).unwrap_err();
        assert!(error.contains("acme.mine, other.mine"), "{error}");
        assert_eq!(names(&catalogue, &["other.mine"]).unwrap(), ["other.mine"]);
        let own = catalogue.resolve_for(Some("acme"), &ChainName::list(["mine", "tcp"])).unwrap();
        assert_eq!(own.names, ["acme.mine", "tcp"]);
        let error = names(&catalogue, &["none"]).unwrap_err();
        assert!(error.contains("there are: basic, tcp"), "{error}");
    }

    #[test]
    fn two_chains_of_one_name_or_field_do_not_go_together() {
        let mut catalogue = with_plugins();
        catalogue.add("copy", vec![ChainHandle::of::<Theirs<'a'>>()]).unwrap();
        let error = names(&catalogue, &["acme.mine", "copy.mine"]).unwrap_err();
        assert!(error.contains("acme.mine and copy.mine both write"), "{error}");
        let twice = vec![ChainHandle::of::<Theirs<'a'>>(), ChainHandle::of::<Theirs<'b'>>()];
        assert!(catalogue.add("twice", twice).is_err());
    }

    #[test]
    fn library_chains_go_together() {
        let catalogue = Catalogue::library();
        let all: Vec<&str> = catalogue.list().iter().map(|e| e.info.name.as_str()).collect();
        assert_eq!(names(&catalogue, &all).unwrap(), all);
    }
}
