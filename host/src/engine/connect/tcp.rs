//! The kind `tcp`: a handshake, and nothing after it.

use std::rc::Rc;

use pathspider_plugin_api::{ConnectKind, Error};

use super::kind::{Asked, Exchange, Kind, Opened, Running};
use super::progress::Progress;
use super::wire::Wire;

pub(super) struct Tcp;

/// It has nothing to remember of a connection.
struct Handshake;

impl Kind for Tcp {
    fn kind(&self) -> ConnectKind {
        ConnectKind::Tcp
    }

    fn prepare(&self, _: &Asked<'_>) -> Result<Box<dyn Exchange>, Error> {
        Ok(Box::new(Handshake))
    }
}

impl Exchange for Handshake {
    fn run<'a>(self: Box<Self>, opened: Opened, progress: &'a Rc<Progress>) -> Running<'a> {
        Box::pin(async move {
            let wire = Wire::established(opened, progress).await?;
            Ok(wire.intact()?)
        })
    }
}
