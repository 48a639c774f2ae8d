//! The rule about conversations: each is held with a target that says nothing, and with one that says
//! anything.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pathspider_observer::{Dissected, dissect, packet};
use pathspider_plugin_api::abi::{Asked, ConversationHandle};
use pathspider_plugin_api::conversation::{Ending, Next, Scene};
use pathspider_plugin_api::packet::{Direction, protocol};
use pathspider_plugin_api::{ConfigId, ConnectKind, Error, Job};

use super::Answer;
use super::life::{Life, Trouble};
use super::lives::{each_life, jobs, tell};
use super::subject::{Subject, declined};
use super::traffic;
use crate::asked::{OneFlow, Settings, header};

/// Calls of a timer with a target that says nothing.
const SILENT: usize = 20;

/// They take whatever comes, and send what the observer can read.
pub(super) fn conversations(subject: &mut Subject<'_>) -> Answer {
    let samples = subject.samples();
    if !samples.is_empty() && samples.iter().all(|sample| !sample.info.converses) {
        return Answer::Skipped("it declares no conversation".to_owned());
    }
    let mut troubles = Vec::new();
    let doing = "held conversations";
    let answer = each_life(subject, doing, &mut troubles, |_, life, troubles| {
        for job in jobs(life.sample) {
            for config in (0..life.configurations).map(ConfigId::new) {
                troubles.extend(each_way(life, &job, config).err());
            }
        }
    });
    answer.unwrap_or_else(|| tell(troubles))
}

/// Holds a connection's conversation with each kind of target.
fn each_way(life: &Life<'_>, job: &Job, config: ConfigId) -> Result<(), Trouble> {
    let trouble = |error: Error| Trouble::Run(format!("{}: {error}", life.label));
    let endings = [Ending::Timeout, Ending::Overrun, Ending::Done];
    let exchanges = [Vec::new()].into_iter().chain(traffic::exchanges());
    for (packets, ending) in exchanges.zip(endings.into_iter().cycle()) {
        let Some(mut connect) = life.connect(job, config)? else { return Ok(()) };
        if connect.kind() != ConnectKind::Conversation {
            return Ok(());
        }
        let number = Settings::read(&connect).map_err(trouble)?.protocol.unwrap_or(protocol::TCP);
        let Some(conversation) = connect.take_conversation() else {
            let what = "connect: the kind conversation comes without one";
            return Err(trouble(Error::contract(what)));
        };
        match converse(conversation, number, job, &packets, ending) {
            Err(error) if !declined(&error) => return Err(trouble(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Holds one conversation. The target says these packets, or nothing where there is none.
fn converse(
    mut conversation: ConversationHandle,
    number: u8,
    job: &Job,
    packets: &[Vec<u8>],
    ending: Ending,
) -> Result<(), Error> {
    let remote = SocketAddr::new(job.target().to_canonical(), job.port());
    let own: IpAddr = if remote.is_ipv4() {
        [192, 0, 2, 1].into()
    } else {
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()
    };
    let local = SocketAddr::new(own, 40_000);
    let mut one = OneFlow::between(number, local, remote);
    let mut scene = Scene::new(local, remote, 1500, 7);
    let mut now = Duration::ZERO;
    let mut asked = conversation.begin(&scene)?;
    for bytes in packets {
        if check(&asked, &mut one, local)? == Next::Done {
            break;
        }
        now += Duration::from_millis(10);
        let mut dissected = Dissected::NONE;
        if dissect(bytes, bytes.len() as u32, &mut dissected).is_ok() {
            let packet = packet(&dissected, 0, Direction::Reverse);
            asked = conversation.packet(scene.at(now), &packet)?;
        }
    }
    for _ in 0..SILENT {
        match check(&asked, &mut one, local)? {
            Next::WaitFor(time) => now = now.saturating_add(time),
            Next::Wait | Next::Done => break,
        }
        asked = conversation.timer(scene.at(now))?;
    }
    conversation.end(ending).map(drop)
}

/// Looks at what it sends: packets of its flow that can be sent as they are.
fn check(asked: &Asked, one: &mut OneFlow, local: SocketAddr) -> Result<Next, Error> {
    for (at, bytes) in asked.packets.iter().enumerate() {
        let taken = header(bytes).and_then(|mut header| {
            // What the host fills in.
            if header.source.is_unspecified() {
                header.source = local.ip();
            }
            if let Some((own @ 0, _)) = &mut header.ports {
                *own = local.port();
            }
            one.take(&header)
        });
        taken.map_err(|reason| {
            let what = format!("a conversation: packet {at} cannot be sent: {reason}");
            Error::contract(what)
        })?;
    }
    Ok(asked.next)
}
