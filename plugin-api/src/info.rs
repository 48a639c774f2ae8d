//! Who a measurement is, and what it can conclude.

use std::borrow::Cow;
use std::fmt;

use crate::OptionValues;
use crate::condition::{Condition, ConditionInfo};
use crate::connect::ConnectKind;

/// The name of an observer chain, such as `tcp` or `acme.mychain`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChainName(pub Cow<'static, str>);

impl From<&str> for ChainName {
    fn from(name: &str) -> ChainName {
        ChainName(name.to_owned().into())
    }
}

impl From<&&str> for ChainName {
    fn from(name: &&str) -> ChainName {
        ChainName::from(*name)
    }
}

impl From<String> for ChainName {
    fn from(name: String) -> ChainName {
        ChainName(name.into())
    }
}

impl ChainName {
    /// Chains, and those of `more` that are not among them.
    pub fn union(
        mut chains: Vec<ChainName>,
        more: impl IntoIterator<Item = ChainName>,
    ) -> Vec<ChainName> {
        for chain in more {
            if !chains.contains(&chain) {
                chains.push(chain);
            }
        }
        chains
    }

    /// Several chains, by what declares them or by their names.
    pub fn list<N: Into<ChainName>>(chains: impl IntoIterator<Item = N>) -> Vec<ChainName> {
        chains.into_iter().map(Into::into).collect()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a measurement is, and what it can conclude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The name on command lines, and the first word of its conditions.
    pub name: String,
    /// One line on what it measures.
    pub description: String,
    /// The plugin's own version.
    pub version: String,
    /// Whom to ask about it: a mail address or a URL.
    pub contact: String,
    /// The port of targets that name none, unless `--connect` names a kind of connection.
    pub port: u16,
    /// Whether `pre_connect` or `connect` block, and so need worker threads.
    pub blocking: bool,
    /// Whether a job may have a `domain` and no address.
    pub names: bool,
    /// Whether `configure` changes the machine's settings.
    pub changes_system: bool,
    /// Whether `connect` gives packets of its own making.
    pub forges: bool,
    /// Whether a job's next connection begins only when the former one is known.
    pub depends: bool,
    /// Whether `connect` gives conversations.
    pub converses: bool,
    /// The flag among its options without which it gives none.
    pub converses_with: Option<String>,
    /// Every condition it can give.
    pub conditions: Vec<ConditionInfo>,
}

/// An [`Info`](crate::Info) with this name and description, and the version and repository of the crate
/// that calls it.
#[macro_export]
macro_rules! info {
    ($name:expr, $description:expr $(,)?) => {
        $crate::Info::new($name, env!("CARGO_PKG_VERSION"), $description)
            .contact(env!("CARGO_PKG_REPOSITORY"))
    };
}

impl Info {
    /// A measurement that concludes nothing yet.
    pub fn new(name: &str, version: &str, description: &str) -> Info {
        Info {
            name: name.into(),
            description: description.into(),
            version: version.into(),
            contact: String::new(),
            port: 80,
            blocking: false,
            names: false,
            changes_system: false,
            forges: false,
            depends: false,
            converses: false,
            converses_with: None,
            conditions: Vec::new(),
        }
    }

    /// Says whom to ask about it.
    pub fn contact(mut self, contact: &str) -> Info {
        self.contact = contact.into();
        self
    }

    /// Says which port targets have whose line names none; without it, 80. Where the measurement's
    /// option `connect` names a [kind of connection](crate::ConnectKind), it is the port of that.
    pub fn port(mut self, port: u16) -> Info {
        self.port = port;
        self
    }

    /// Declares that `pre_connect` or `connect` block: the host calls them on worker threads.
    pub fn blocking(mut self) -> Info {
        self.blocking = true;
        self
    }

    /// Declares that a job may have a `domain` and no address; its
    /// [`target`](crate::Job::target) is then unspecified (`::`).
    pub fn takes_names(mut self) -> Info {
        self.names = true;
        self
    }

    /// Declares that `configure` changes the machine's settings through
    /// [`System`](crate::System): two such runs cannot share a network namespace, and the host keeps
    /// the privilege (`CAP_NET_ADMIN`). A plugin that did not declare it is refused each change, and so is
    /// each plugin in a run with `--connect syn`: such a run shares its network namespace with others.
    pub fn changes_system(mut self) -> Info {
        self.changes_system = true;
        self
    }

    /// Declares that `connect` gives [`Connect::packets`](crate::Connect::packets): the host opens
    /// what it sends them with before the run. A plugin that did not declare it cannot send any.
    /// In a run with `--connect syn`, each forges, declared or not.
    pub fn forges(mut self) -> Info {
        self.forges = true;
        self
    }

    /// Declares that `connect` goes by what came of the job's earlier connections
    /// ([`Attempt::earlier`](crate::Attempt::earlier)). Each connection then begins only when the
    /// observer has answered for the former one: some 100 ms after its end where a chain calls the flow
    /// complete (`tcp`: both sides closed it, or a reset did), and else 500 ms after: where nobody
    /// answered, and over UDP, where nothing says that no more packets come. Connections of one job never overlap then, so a
    /// target that is silent takes the time-out of each.
    pub fn depends(mut self) -> Info {
        self.depends = true;
        self
    }

    /// Declares that `connect` gives [`Connect::conversation`](crate::Connect::conversation): beside
    /// what [`forges`](Info::forges) makes ready, packets are captured whole.
    pub fn converses(mut self) -> Info {
        self.converses = true;
        self.forges()
    }

    /// Declares the same for runs in which this flag among its [options](crate::Options::flag) is given. In
    /// others, nothing is made ready, and `connect` gives neither conversations nor packets.
    pub fn converses_with(mut self, flag: &str) -> Info {
        self.converses_with = Some(flag.into());
        self.converses()
    }

    /// What it is in a run with these values of its options. Where `--connect` is `syn`, no socket and no
    /// setting of the system is behind its SYNs: it forges, changes nothing, and holds no conversation but
    /// those that a flag asks for.
    pub fn of_run(mut self, values: &OptionValues) -> Info {
        let flagged = self.converses_with.is_some();
        if let Some(flag) = self.converses_with.take()
            && values.record().bool(&flag) != Some(true)
        {
            self.converses = false;
            self.forges = false;
        }
        if values.record().str("connect") == Some(ConnectKind::Syn.name()) {
            self.converses &= flagged;
            self.forges = true;
            self.changes_system = false;
        }
        self
    }

    /// Declares the conditions: the `CONDITIONS` of [`conditions!`](crate::conditions).
    pub fn conditions(mut self, declared: &[&[Condition]]) -> Info {
        let declared = declared.iter().copied().flatten();
        self.conditions.extend(declared.flat_map(ConditionInfo::declared));
        self
    }
}
