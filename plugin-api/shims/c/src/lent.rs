//! What is behind the pointers that the C file gets for the length of a call.

use pathspider_plugin_api::{
    ChainInfo, Condition, ConfigId, Connect, Error, Evidence, Flow, Flows, Record, Result, Value,
};

use crate::declared::CPlugin;

/// `ps_flow`: a connection, and its fields by name.
pub(crate) struct LentFlow<'a> {
    pub(crate) flow: Flow<'a>,
    pub(crate) fields: Record,
}

/// `ps_flows`: all connections of a job, and what the capture proves of them.
pub(crate) struct LentFlows<'a> {
    pub(crate) flows: Flows<'a>,
    pub(crate) each: Vec<LentFlow<'a>>,
    pub(crate) evidence: Evidence<'a>,
}

impl<'a> LentFlow<'a> {
    pub(crate) fn all_of(flows: &Flows<'a>) -> Vec<LentFlow<'a>> {
        flows.iter().map(|flow| LentFlow { flow, fields: flow.fields() }).collect()
    }

    /// What a chain says of it; nothing where it is null.
    pub(crate) fn field(&self, name: &str) -> Result<Option<&Value>> {
        match self.fields.get(name) {
            Some(value) => Ok(Some(value).filter(|value| !value.is_null())),
            None => Err(Error::contract(format_args!(
                "it reads the field {name:?}, which none of the chains that it names has"
            ))),
        }
    }
}

impl LentFlows<'_> {
    /// The connection of a configuration, if it was sent as it was meant.
    pub(crate) fn of(&self, config: u32) -> Option<&LentFlow<'_>> {
        self.evidence.of(ConfigId::new(config as usize))?;
        self.each.get(config as usize)
    }
}

/// `ps_connect`: a connection that is being asked for.
#[derive(Default)]
pub(crate) struct Connecting {
    pub(crate) kind: String,
    pub(crate) settings: Record,
}

impl Connecting {
    /// Adds to a setting that is a list.
    pub(crate) fn add(&mut self, setting: String, value: Value) {
        let before = self.settings.remove(&setting);
        let before = before.as_ref().and_then(Value::as_list).unwrap_or_default();
        let list: Value = before.iter().cloned().chain([value]).collect();
        self.settings.set(setting, list);
    }

    pub(crate) fn done(self) -> Result<Connect> {
        if self.kind.is_empty() {
            Err(Error::contract("connect: it does not set ps_kind"))
        } else {
            Connect::by_name(&self.kind, self.settings)
        }
    }
}

/// `ps_conclusion`: what is concluded so far.
pub(crate) struct Conclusion {
    pub(crate) plugin: &'static CPlugin,
    pub(crate) conditions: Vec<Condition>,
}

/// `ps_fields`: where a chain says what it found in a flow.
pub(crate) struct Fields<'a, 'v> {
    pub(crate) chain: &'static ChainInfo,
    pub(crate) written: &'a mut pathspider_plugin_api::Fields<'v>,
}
