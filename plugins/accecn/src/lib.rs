//! Whether a path carries connections that ask for Accurate ECN (RFC 9768), whether the target agrees, and
//! what becomes of the marks on the SYN and on data.
//!
//! A: a SYN that asks for ECN of RFC 3168. B: one that asks for Accurate ECN, and further ones with
//! ECT(0), ECT(1) and CE. A target that agrees says on its SYN/ACK which mark the SYN arrived with. In B
//! it gets a request then, whose first half has ECT(1) and whose second half has CE, and its counters
//! are read back.
//!
//! All are conversations, or with `--connect syn` SYNs that nobody goes on with. A kernel that can do it marks neither its SYNs nor its data so, and most
//! kernels cannot do it.

mod feedback;
mod talk;

use std::time::Duration;

use pathspider_plugin_api::chains::{accecn, basic, syn, tcp};
use pathspider_plugin_api::conversation::tcp::{AccurateEcn, EcnMode, TcpClient};
use pathspider_plugin_api::forge::HttpRequest;
use pathspider_plugin_api::packet::{TcpFlags, ecn};
use pathspider_plugin_api::prelude::*;

use talk::{Asks, Talk};

const CLASSIC: Configuration = Configuration::new(0, "classic ecn").hold(Hold::Initiation);
const ACCURATE: Configuration = Configuration::new(1, "accurate ecn").hold(Hold::Initiation);

/// The same with a mark on the SYN: the ECN field's value.
const MARKED: [(Configuration, u8); 3] = [
    (Configuration::new(2, "ect0 on the syn").hold(Hold::Initiation), ecn::ECT_0),
    (Configuration::new(3, "ect1 on the syn").hold(Hold::Initiation), ecn::ECT_1),
    (Configuration::new(4, "ce on the syn").hold(Hold::Initiation), ecn::CE),
];

conditions! {
    CONNECTIVITY: connectivity("accecn", "a handshake was made");
    SYN_CONNECTIVITY: connectivity("accecn.<ect0|ect1|ce>", "a handshake was made");
    DATA_CONNECTIVITY: connectivity("accecn.data", "the request was answered");
    AGREED: good("accecn.negotiation.accurate", "the target agreed to Accurate ECN in B");
    FELL_BACK: absent("accecn.negotiation.classic", "the target agreed to ECN of RFC 3168 in B");
    NONE: absent("accecn.negotiation.failed", "the target agreed to neither kind of ECN in B");
    REFLECTED: impaired("accecn.negotiation.reflected", "the SYN/ACK had the SYN's own three bits");
    SYN_INTACT: good(
        "accecn.syn.<notect|ect0|ect1|ce>.intact",
        "the SYN arrived with the mark that it left with, says the SYN/ACK"
    );
    SYN_CHANGED: impaired(
        "accecn.syn.<notect|ect0|ect1|ce>.became:<mark>",
        "the SYN arrived with this mark instead"
    );
    DATA_INTACT: good(
        "accecn.data.<ect1|ce>.intact",
        "data arrived with the mark that they left with, say the target's counters"
    );
    DATA_CHANGED: impaired(
        "accecn.data.<ect1|ce>.became:<mark>",
        "data arrived with this mark instead"
    );
    COUNTED: good("accecn.ce.counted", "the ACE field rose with data that had CE");
    NOT_COUNTED: unknown(
        "accecn.ce.not_counted",
        "the ACE field did not rise: the path cleared the mark, or the target does not count it"
    );
    ACE_ZEROED: impaired("accecn.ace.zeroed", "the ACE field is zero, although it begins at five");
    OPTION_SEEN: good("accecn.option.seen", "the target's segments have the AccECN option");
    OPTION_NONE: unknown(
        "accecn.option.none",
        "no segment of the target has the AccECN option: the target does not send it, or the path \
         removes it"
    );
    OPTION_STRIPPED: impaired(
        "accecn.option.stripped",
        "the SYN/ACK has the AccECN option, and no later segment has it"
    );
    OPTION_ZEROED: impaired(
        "accecn.option.zeroed",
        "a counter in the AccECN option is zero, although it begins at one"
    );
}

/// The measurement of one run.
pub struct AccEcn {
    host: Host,
    connection: Connect,
    timeout: Duration,
}

/// The ECN field of a configuration's SYNs.
fn mark(config: ConfigId) -> u8 {
    let marked = MARKED.into_iter().find(|(configuration, _)| config == *configuration);
    marked.map_or(0, |(_, mark)| mark)
}

impl Measurement for AccEcn {
    fn info() -> Info {
        info!("accecn", "Accurate ECN (RFC 9768): connectivity, negotiation, marks, counters")
            .converses()
            .conditions(CONDITIONS)
    }

    fn options() -> Options {
        Options::none().connect(&[ConnectKind::Conversation, ConnectKind::Syn]).timeout()
    }

    fn new(options: &OptionValues, host: Host) -> Result<Self> {
        let (connection, timeout) = (options.connection()?, options.timeout()?);
        Ok(AccEcn { host, connection, timeout })
    }

    fn configurations(&self) -> Vec<Configuration> {
        [CLASSIC, ACCURATE].into_iter().chain(MARKED.map(|(marked, _)| marked)).collect()
    }

    fn chains(&self) -> Vec<ChainName> {
        ChainName::list([basic::CHAIN, tcp::CHAIN, syn::CHAIN, accecn::CHAIN])
    }

    fn connect(&self, attempt: &Attempt<'_>) -> Result<Connect> {
        let asks = if attempt.is(CLASSIC) {
            Asks::Classic
        } else {
            Asks::Accurate(mark(attempt.config()))
        };
        if self.is_forged() {
            let (flags, mark) = match asks {
                Asks::Classic => (TcpFlags::ECE.and(TcpFlags::CWR), ecn::NOT_ECT),
                Asks::Accurate(mark) => (TcpFlags::ASK_FOR_ECN, mark),
            };
            return Ok(self.connection.clone().tcp_flags(flags).ecn(mark));
        }
        let talk = match asks {
            Asks::Accurate(1..) => Talk::handshake(asks),
            _ => Talk::request(asks, &HttpRequest::get(attempt.job(), &self.host).octets()?),
        };
        let client = TcpClient::new(talk).option_room(AccurateEcn::ROOM);
        Ok(Connect::conversation(client).timeout(self.timeout))
    }

    fn combine(&self, flows: &Flows<'_>) -> Result<Conclusion> {
        let evidence = flows.weigh(|flow| {
            let (syns, marks) = (SentSyns::of(flow)?, flow.get(accecn::SYN_MARKS)?);
            let asks = if flow.is(CLASSIC) {
                syns.all_have(TcpFlags::ECE.and(TcpFlags::CWR)) && !syns.any_has(TcpFlags::AE)
            } else {
                syns.all_have(TcpFlags::ASK_FOR_ECN)
            };
            Some(asks && marks == 1 << mark(flow.config()))
        });
        let shakes = Flow::shook_hands;
        let mut found = Vec::from_iter(evidence.compared(CONNECTIVITY, ACCURATE, shakes));
        for (marked, mark) in MARKED {
            let compared = evidence.compared(SYN_CONNECTIVITY, marked, shakes);
            found.extend(compared.map(|one| one.of(accecn::MARKS[usize::from(mark)])));
        }
        found.extend(evidence.of(ACCURATE).and_then(mode).map(negotiation));
        let asked = [ACCURATE.id()].into_iter().chain(MARKED.map(|(marked, _)| marked.id()));
        found.extend(asked.filter_map(|config| syn_mark(evidence.of(config)?)));
        if let (Some(a), Some(b)) = (evidence.of(CLASSIC), evidence.of(ACCURATE))
            && !self.is_forged()
        {
            found.extend(feedback::conclude(a, b));
        }
        Ok(evidence.conclude(found))
    }
}

impl AccEcn {
    /// Whether there is nothing but SYNs.
    fn is_forged(&self) -> bool {
        self.connection.kind() == ConnectKind::Syn
    }
}

/// What was agreed on; `None` without a SYN/ACK.
fn mode(flow: Flow<'_>) -> Option<EcnMode> {
    flow.get(accecn::ANSWER).map(EcnMode::of_answer)
}

fn negotiation(mode: EcnMode) -> Condition {
    match mode {
        EcnMode::Accurate(_) => AGREED,
        EcnMode::Classic => FELL_BACK,
        EcnMode::None => NONE,
        EcnMode::Reflected => REFLECTED,
    }
}

/// Which mark the SYN arrived with, where the target says so.
fn syn_mark(flow: Flow<'_>) -> Option<Condition> {
    let Some(EcnMode::Accurate(Some(arrived))) = mode(flow) else { return None };
    let sent = mark(flow.config());
    let word = |mark: u8| accecn::MARKS[usize::from(mark & 3)];
    Some(if arrived == sent {
        SYN_INTACT.of(word(sent))
    } else {
        SYN_CHANGED.of(word(sent)).with(word(arrived))
    })
}

export_plugin!(AccEcn);

#[cfg(test)]
mod tests;
