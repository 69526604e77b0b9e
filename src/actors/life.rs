//! The life of the broker: tells its owner that it is to stop or to start again.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use tokio::sync::mpsc::UnboundedSender;

use super::{ConfigSource, PolicyKeeper};
use crate::{
    config::Problem,
    messages::{EndLife, Fate, Wanted},
};

/// See the module's description.
pub struct Life {
    source: ConfigSource,
    owner: UnboundedSender<Wanted>,
}

impl Life {
    /// The life of a broker whose configuration comes from `source`.
    pub fn new(source: ConfigSource, owner: UnboundedSender<Wanted>) -> Self {
        Self { source, owner }
    }

    fn end(&self, fate: Fate) -> Result<(), Vec<Problem>> {
        let wanted = match fate {
            Fate::Stop => Wanted::Stop,
            // The owner gets what was loaded here, so that the file cannot become a bad one in between.
            Fate::Restart => {
                let config = self.source.load()?.config;
                // Nor the files that belong to it.
                PolicyKeeper::first(Arc::new(config.clone()), self.source.path.as_deref())?;
                Wanted::Restart(Box::new(config))
            }
        };
        // It fails only when the owner ends the broker anyway.
        let _ = self.owner.send(wanted);
        Ok(())
    }
}

impl Actor for Life {
    type Context = Context<Self>;
}

impl Handler<EndLife> for Life {
    type Result = Result<(), Vec<Problem>>;

    fn handle(&mut self, EndLife(fate): EndLife, _: &mut Self::Context) -> Self::Result {
        let ended = self.end(fate);
        match (fate, &ended) {
            (Fate::Stop, _) => log::info!("the HTTP API asks for a stop"),
            (Fate::Restart, Ok(())) => log::info!("the HTTP API asks for a restart"),
            (Fate::Restart, Err(problems)) => {
                for problem in problems {
                    log::error!("{problem}");
                }
                log::error!("there is no restart: the configuration has errors");
            }
        }
        ended
    }
}
