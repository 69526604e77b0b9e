//! A broker in this process, from its start to its end.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll},
};

use futures::future::{Either, select};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, logging, pid_file::PidFile, reloads::Reloads};
use crate::{
    actors::{Carried, ConfigSource},
    broker::Broker,
    config::Config,
    messages::{ReloadConfig, Wanted},
};

/// Why the life of a broker is over.
#[derive(Debug)]
enum Ended {
    /// It was told to stop, and has.
    Stopped,
    /// It was told to start again with this configuration, and has stopped.
    Restart(Box<Config>),
    /// It was told to stop again before it had.
    CutShort,
}

/// Runs a broker until it is told to stop. `on_ready` is called when it accepts clients for the first time.
///
/// # Errors
/// [`Failure::Start`] when it cannot start, [`Failure::CutShort`] when it had no time to stop.
pub(super) fn run(
    config: Config,
    source: ConfigSource,
    pid_file: &mut PidFile,
    on_ready: impl FnOnce(),
) -> Result<(), Failure> {
    let mut current = config;
    let mut between = Between::default();
    let first = live(
        current.clone(),
        source.clone(),
        pid_file,
        &mut between,
        on_ready,
    );
    let mut ended = first?;
    loop {
        let next = match ended {
            Ended::Stopped => return Ok(()),
            Ended::CutShort => return Err(Failure::CutShort),
            Ended::Restart(next) => *next,
        };
        log::info!("nanomq starts again");
        logging::set_level(next.log.level);
        ended = match live(next.clone(), source.clone(), pid_file, &mut between, || {}) {
            Ok(ended) => {
                current = next;
                ended
            }
            // An address that is taken is seen only now. A broker as before is better than none.
            Err(Failure::Start(error)) => {
                log::error!("nanomq does not start with the new configuration: {error}");
                log::error!("nanomq goes on with the configuration it had before");
                logging::set_level(current.log.level);
                live(
                    current.clone(),
                    source.clone(),
                    pid_file,
                    &mut between,
                    || {},
                )?
            }
            Err(failure) => return Err(failure),
        };
    }
}

/// What goes from one life to the next.
#[derive(Default)]
struct Between {
    /// The signals that the first life begins to listen to, so that none between two lives is lost.
    signals: Option<Signals>,
    /// Sessions and retained messages.
    carried: Option<Carried>,
    /// Tells what came of reloads.
    reloads: Option<Reloads>,
}

/// The life of one broker, with an actix system of its own, of which nothing but `between` is left afterwards.
fn live(
    config: Config,
    source: ConfigSource,
    pid_file: &mut PidFile,
    between: &mut Between,
    on_ready: impl FnOnce(),
) -> Result<Ended, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Start)?;
    let system = actix::System::with_tokio_rt(|| runtime);
    system.block_on(async move {
        let Between {
            signals,
            carried,
            reloads,
        } = between;
        let signals = match signals {
            Some(signals) => signals,
            None => signals.insert(Signals::listen().map_err(Failure::Start)?),
        };
        // Only now, so that nobody who reads it sends a signal that would end the process without more ado.
        pid_file.write()?;
        if reloads.is_none() {
            let begun = Reloads::begin(pid_file.path());
            *reloads = begun
                .inspect_err(|error| log::warn!("`nanomq reload` is not told its outcome: {error}"))
                .ok();
        }
        let mut broker = Broker::start_again(config, source, carried)
            .await
            .map_err(Failure::Start)?;
        log::info!("nanomq is ready");
        on_ready();
        let wanted = loop {
            let heard = match select(pin!(signals.next()), pin!(broker.wanted())).await {
                Either::Left((heard, _)) => heard,
                Either::Right((wanted, _)) => break wanted,
            };
            match heard {
                Heard::Stop => break Wanted::Stop,
                // The config manager logs what came of it.
                Heard::Reload => {
                    let report = broker.config().send(ReloadConfig).await;
                    let told = match (report, reloads.as_mut()) {
                        (Err(error), _) => Err(io::Error::other(error)),
                        (Ok(_), None) => Ok(()),
                        (Ok(report), Some(reloads)) => reloads.tell(&report),
                    };
                    if let Err(error) = told {
                        log::error!("the outcome of the reload is not told: {error}");
                    }
                }
            }
        };
        log::info!("nanomq is stopping");
        let stopping = async {
            match wanted {
                Wanted::Stop => {
                    broker.stop().await;
                    Ended::Stopped
                }
                Wanted::Restart(config) => {
                    *carried = broker.stop_to_restart().await;
                    Ended::Restart(config)
                }
            }
        };
        match select(pin!(stopping), pin!(signals.stop())).await {
            Either::Left((ended, _)) => {
                log::info!("nanomq has stopped");
                Ok(ended)
            }
            Either::Right(_) => Ok(Ended::CutShort),
        }
    })
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Stop,
    Reload,
}

/// The signals that the broker listens to. They no longer end the process from when this exists.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Heard {
        poll_fn(|cx| self.poll(cx)).await
    }

    async fn stop(&mut self) {
        while self.next().await != Heard::Stop {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        // A reload that was asked for before the stop is done, so that both commands did what they said.
        if self.hang_up.poll_recv(cx).is_ready() {
            return Poll::Ready(Heard::Reload);
        }
        for signal in [&mut self.terminate, &mut self.interrupt] {
            if signal.poll_recv(cx).is_ready() {
                return Poll::Ready(Heard::Stop);
            }
        }
        Poll::Pending
    }
}
