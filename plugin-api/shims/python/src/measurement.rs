//! The plugin's measurement: the contract's functions, by calls into Python.

use pathspider_plugin_api::{
    Attempt, Carrier, ChainName, Conclusion, Condition, ConfigId, Configuration, Connect,
    ConnectKind, Error, Flow, Flows, Hold, Host, Info, Job, Measurement, OptionValues, Options,
    Record, Result, Value,
};

use crate::bridge::{HOST, Plugin, plugin};

/// One run.
pub(crate) struct Foreign {
    plugin: &'static Plugin,
    /// The number of its object in Python.
    object: u64,
    configurations: Vec<Configuration>,
    chains: Vec<ChainName>,
}

impl Foreign {
    fn argument(&self) -> Record {
        Record::new().with("object", self.object)
    }
}

/// A list among what a function gave.
fn list<'r>(given: &'r Record, key: &str) -> &'r [Value] {
    given.get(key).and_then(Value::as_list).unwrap_or_default()
}

fn texts(given: &Record, key: &str) -> Result<Vec<String>> {
    let text = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| {
            Error::contract(format_args!("among its {key} is {value:?}, which is no text"))
        })
    };
    list(given, key).iter().map(text).collect()
}

impl Measurement for Foreign {
    fn info() -> Info {
        Self::describe().map_or_else(|_| Info::new("", "", ""), |(info, _)| info)
    }

    fn describe() -> Result<(Info, Options)> {
        plugin().map(|plugin| (plugin.info.clone(), plugin.options.clone()))
    }

    fn new(options: &OptionValues, host: Host) -> Result<Foreign> {
        HOST.get_or_init(|| host);
        let plugin = plugin()?;
        let made = plugin.call("new", options.record())?;
        let configuration = |(place, one): (usize, &Value)| {
            let one = one.as_record()?;
            let carrier =
                if one.str("carrier") == Some("data") { Carrier::Data } else { Carrier::Opening };
            let label = one.str("label")?.to_owned();
            // Nothing but settings of the socket makes the difference: they hold for themselves.
            let made = Configuration::new(place, "").labelled(label);
            Some(made.hold(Hold::Initiation).carrier(carrier))
        };
        let configurations = list(&made, "configurations").iter().enumerate().map(configuration);
        let configurations = configurations.collect::<Option<_>>();
        Ok(Foreign {
            plugin,
            object: made.u64("object").unwrap_or_default(),
            configurations: configurations
                .ok_or_else(|| Error::contract("one of its configurations is no label"))?,
            chains: texts(&made, "chains")?.into_iter().map(ChainName::from).collect(),
        })
    }

    fn configurations(&self) -> Vec<Configuration> {
        self.configurations.clone()
    }

    fn chains(&self) -> Vec<ChainName> {
        self.chains.clone()
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let job: &Job = attempt.job();
        let argument = self
            .argument()
            .with("config", attempt.config().index())
            .with("address", job.target())
            .with("port", job.port())
            .with("job", job.record().clone());
        let given = self.plugin.call("connect", &argument)?;
        let (kind, settings) =
            match (given.str("kind"), given.get("settings").and_then(Value::as_record)) {
                (Some(kind), Some(settings)) => (kind, settings.clone()),
                _ => return Err(Error::contract("connect gave no connection")),
            };
        let settings =
            if kind == ConnectKind::Packets.name() { with_octets(settings)? } else { settings };
        Connect::by_name(kind, settings)
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let one = |flow: Flow<'_>| {
            Record::new()
                .with("config", flow.config().index())
                .with("seen", flow.seen())
                .with("connected", flow.connected())
                .with("fields", flow.fields())
                .with("outcome", flow.outcome().clone())
        };
        let argument = self
            .argument()
            .with("job", flows.job().record().clone())
            .with("flows", flows.iter().map(one).collect::<Value>());
        let given = self.plugin.call("judge", &argument)?;
        let judged: Vec<Option<bool>> = list(&given, "judged").iter().map(Value::as_bool).collect();
        let evidence = flows.weigh(|flow| judged.get(flow.config().index()).copied().flatten());
        let is_sound = |place| evidence.of(ConfigId::new(place)).is_some();
        let sound: Value = (0..judged.len()).map(is_sound).collect();
        let given = self.plugin.call("combine", &Record::new().with("sound", sound))?;
        let conditions = texts(&given, "conditions")?.into_iter().map(Condition::of_text);
        Ok(evidence.conclude(conditions))
    }
}

/// Packets as octets, which JSON has as texts of hexadecimal digits.
fn with_octets(settings: Record) -> Result<Record> {
    let octets = |text: String| {
        let digits = text.as_bytes().chunks(2).map(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        digits.collect::<Option<Vec<u8>>>().ok_or_else(|| Error::contract("a packet is no octets"))
    };
    let packets = texts(&settings, "packets")?;
    let packets = packets.into_iter().map(octets).collect::<Result<Vec<_>>>()?;
    Ok(settings.with("packets", packets.into_iter().collect::<Value>()))
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // An object that Python cannot forget is Python's.
        let _ = self.plugin.call("drop", &self.argument());
    }
}
