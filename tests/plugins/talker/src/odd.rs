//! Conversations that misbehave.

use std::time::Duration;

use pathspider_plugin_api::forge;
use pathspider_plugin_api::packet::Packet;
use pathspider_plugin_api::{Conversation, Next, Result, Turn};

/// What is odd about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    /// It takes half a second for each call.
    Slow,
    /// It never comes back.
    Stuck,
    /// It panics when it is answered.
    Panics,
    /// It sends to another port.
    Elsewhere,
    /// It opens a second connection.
    Twice,
    /// It sends too much at once.
    Floods,
    /// It leaves the connection open.
    Leaves,
    /// It waits for ever, and says nothing.
    Silent,
    /// It takes its packets too slowly.
    Drowns,
}

impl Odd {
    /// The one of that name.
    pub(crate) fn from_name(name: &str) -> Option<Odd> {
        Some(match name {
            "slow" => Odd::Slow,
            "stuck" => Odd::Stuck,
            "panics" => Odd::Panics,
            "elsewhere" => Odd::Elsewhere,
            "twice" => Odd::Twice,
            "floods" => Odd::Floods,
            "leaves" => Odd::Leaves,
            "silent" => Odd::Silent,
            "drowns" => Odd::Drowns,
            _ => return None,
        })
    }

    fn syn(turn: &Turn<'_>, port: u16, sequence: u32) -> Result<Vec<u8>> {
        let syn = forge::Packet::to(turn.remote().ip()).tcp_syn(port).sequence(sequence);
        syn.bytes()
    }
}

impl Conversation for Odd {
    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Next> {
        let port = turn.remote().port();
        match self {
            Odd::Slow => std::thread::sleep(Duration::from_millis(500)),
            Odd::Stuck => loop {
                std::thread::park();
            },
            Odd::Elsewhere => turn.send(Odd::syn(turn, port + 1, 1)?),
            Odd::Twice => turn.send(Odd::syn(turn, port, 2)?),
            Odd::Floods => {
                for _ in 0..1000 {
                    turn.send(Odd::syn(turn, port, 1)?);
                }
            }
            Odd::Silent => return Ok(Next::Wait),
            Odd::Panics | Odd::Leaves | Odd::Drowns => {}
        }
        turn.send(Odd::syn(turn, port, 1)?);
        Ok(Next::Wait)
    }

    fn packet(&mut self, _: &Packet<'_>, _: &mut Turn<'_>) -> Result<Next> {
        match self {
            Odd::Panics => panic!("on purpose"),
            Odd::Slow => std::thread::sleep(Duration::from_millis(500)),
            Odd::Drowns => {
                std::thread::sleep(Duration::from_millis(500));
                return Ok(Next::Wait);
            }
            _ => {}
        }
        Ok(Next::Done)
    }
}
