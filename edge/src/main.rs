//! `porthole-edge`: the camera appliance.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use edge::appliance::Appliance;
use edge::config::Config;
use edge::logs;
use edge::supervise::signals::{Signals, Wish};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the configuration is looked for when no other place is named.
const CONFIG: &str = "/etc/porthole/edge.toml";

/// A camera appliance: live view on the LAN, recordings that are never lost.
#[derive(Parser)]
#[command(name = "porthole-edge", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the appliance.
    Run(Run),
    /// Check a configuration file.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Args)]
struct At {
    /// Configuration file [default: /etc/porthole/edge.toml if it is there].
    #[arg(long, env = "PORTHOLE_EDGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    at: At,
    /// Use this source for the first camera: auto, pattern, v4l2:DEV or file:PATH.
    #[arg(long, env = "PORTHOLE_EDGE_SOURCE")]
    source: Option<String>,
    /// Listen here instead of at the configured address.
    #[arg(long, env = "PORTHOLE_EDGE_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// How log lines look.
    #[arg(long, env = "PORTHOLE_EDGE_LOG", value_enum, default_value_t)]
    log: logs::Format,
    /// What is logged: error, warn, info, debug, trace, or a list with modules.
    #[arg(long, env = "PORTHOLE_EDGE_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(options) => run(&options),
        Command::CheckConfig { file } => {
            Config::load(&file).with_context(|| file.display().to_string())?;
            println!("{}: good", file.display());
            Ok(())
        }
    }
}

fn load(at: &At) -> anyhow::Result<Config> {
    match &at.config {
        Some(file) => Config::load(file).with_context(|| file.display().to_string()),
        None if Path::new(CONFIG).exists() => Config::load(Path::new(CONFIG)).context(CONFIG),
        None => Ok(Config::default()),
    }
}

impl Run {
    /// The configuration file with what the command line changes.
    fn config(&self) -> anyhow::Result<Config> {
        let mut config = load(&self.at)?;
        if let (Some(source), Some(camera)) = (&self.source, config.camera.first_mut()) {
            camera.source.clone_from(source);
        }
        if let Some(listen) = self.listen {
            config.live.listen = listen;
        }
        config.check()?;
        Ok(config)
    }
}

fn run(options: &Run) -> anyhow::Result<()> {
    logs::start(options.log, &options.log_level)?;
    let config = options.config()?;
    let signals = Signals::hold().context("signals")?;
    let appliance = Appliance::start(config)?;
    loop {
        match signals.next_wish().context("signals")? {
            Wish::End => break,
            Wish::Reload => match options.config() {
                Ok(config) => appliance.reload(config),
                Err(error) => tracing::error!("configuration kept as it was: {error:#}"),
            },
        }
    }
    tracing::info!("ending");
    appliance.end();
    Ok(())
}
