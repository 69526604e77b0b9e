//! The `nanomq` command.

use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    config::{Config, Overrides, Strictness},
};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(3).map(std::path::PathBuf::from);
    let loaded = match Config::load(
        path.as_deref(),
        None,
        Strictness::Start,
        std::env::vars(),
        &Overrides::default(),
    ) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for p in problems {
                eprintln!("{p}");
            }
            std::process::exit(1)
        }
    };
    env_logger::Builder::new()
        .filter_level(loaded.config.log.level.into())
        .init();
    let system = actix::System::new();
    system.block_on(async move {
        let broker = Broker::start(loaded.config, ConfigSource::default()).await?;
        log::info!("nanomq is ready");
        tokio::signal::ctrl_c().await?;
        broker.stop().await;
        Ok(())
    })
}
