//! `porthole-edge`: the camera appliance.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use edge::appliance::Appliance;
use edge::auth::{self, Account, certificate};
use edge::config::Config;
use edge::live::control;
use edge::setup::host::{Places, name_host};
use edge::setup::provision::provision;
use edge::setup::{self, Settings};
use edge::source::probe;
use edge::store;
use edge::summary::summary;
use edge::supervise::{Signals, Stalled};
use edge::update::ask;
use edge::update::serve::serve;
use edge::upload::key::DeviceKey;
use nix::sys::signal::Signal;
use service::answer::{reason, say};
use service::{config, logs};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the configuration is looked for when no other place is named.
const CONFIG: &str = "/etc/porthole/edge.toml";
/// Why there is no update.
const NO_UPDATE: &str = "this device takes no updates this way: its configuration has no [update]";
/// The kernel's name of this host, and the time zones that it knows.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
const ZONES: &str = "/usr/share/zoneinfo";
/// Bytes that are read of a password.
const MOST_PASSWORD: u64 = 1024;

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
    /// Ask the running appliance how it is: a line for each part.
    Status {
        #[command(flatten)]
        at: At,
        /// Print the JSON of /api/status.
        #[arg(long, env = "PORTHOLE_EDGE_JSON")]
        json: bool,
    },
    /// List the cameras, what they can do, and what would be chosen.
    Probe(At),
    /// Check a configuration file.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Print the device's public key, to be enrolled at the remote host; makes the key if there is none. With `[auth]` also the claim
    /// code and the certificate's fingerprint, until the device is claimed.
    Key(At),
    /// Read a password from standard input, and print the account for `auth.viewers` or `auth.admins`.
    Password {
        /// What the account is called.
        name: String,
    },
    /// Apply a porthole.toml once, and erase the secrets in it; before that, a factory reset if a file `factory-reset` is beside it.
    Provision {
        /// The file; that it is not there is fine.
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Take an update: a bundle as `cargo xtask bundle` makes it. The board starts again to try it.
    Update {
        /// The bundle.
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Answer one request about the card on standard input; for systemd.
    Card(At),
    /// Give this host the name and the time zone that are set for the device: for a host that is there for the device alone.
    NameHost {
        /// Becomes a link to the time zone.
        #[arg(default_value = "/etc/localtime")]
        localtime: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Seal what a crash left torn in a folder of recordings.
    Recover {
        /// The folder.
        dir: PathBuf,
        /// The device key, to sign what is sealed as the appliance itself would. Not for a copy of the folder of an appliance
        /// that goes on recording: its own seals would be others [default: what is sealed is not signed].
        #[arg(long, env = "PORTHOLE_EDGE_KEY", value_name = "FILE")]
        key: Option<PathBuf>,
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

fn main() -> ExitCode {
    match obey(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", reason(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(options) => return run(&options),
        Command::Recover { dir, key } => return recover(&dir, key.as_deref()),
        Command::Status { at, json } => {
            let status = control::ask(&load(&at)?.live.control, "/status")?;
            say(&if json { status + "\n" } else { summary(&status)? })
        }
        Command::Probe(at) => {
            let config = load(&at)?;
            let camera = config.camera.first().context("no camera is configured")?;
            say(&probe::render(&probe::probe(camera), camera))
        }
        Command::CheckConfig { file } => {
            Config::load(&file).with_context(|| file.display().to_string())?;
            say(&format!("{}: good\n", file.display()))
        }
        Command::Key(at) => say(&key(&load(&at)?)?),
        Command::Password { name } => {
            let mut password = String::new();
            std::io::stdin().take(MOST_PASSWORD).read_to_string(&mut password).context("standard input")?;
            say(&format!("{}\n", Account::new(&name, password.trim_end_matches(['\r', '\n']))?))
        }
        Command::Update { file, at } => {
            let version = update(&file, &load(&at)?)?;
            say(&format!("{version} is written; the board starts again to try it\n"))
        }
        Command::Card(at) => {
            let config = load(&at)?.update.context(NO_UPDATE)?;
            serve(&config, &mut std::io::stdin().lock(), &mut std::io::stdout())
        }
        Command::NameHost { localtime, at } => {
            let places = Places { name: HOST_NAME.into(), zones: ZONES.into(), zone: localtime };
            return Ok(name_host(&Settings::overlay(load(&at)?)?.device, &places)?);
        }
        Command::Provision { file, at } => {
            let applied = provision(&file, &load(&at)?)?;
            say(&format!("{}: {}\n", file.display(), if applied { "applied" } else { "nothing to do" }))
        }
    }
    .context("standard output")
}

/// What whoever holds the device needs: the key to enrol, and how to claim it.
fn key(config: &Config) -> anyhow::Result<String> {
    let mut text = DeviceKey::load_or_make(&config.device_key())?.public_line()? + "\n";
    if let Some(auth) = &config.auth
        && let Some(code) = auth::claim_code(&auth.dir)?
    {
        text += &format!("claim code: {code}\n");
        let pem = certificate::read(&auth.dir.join(certificate::FILE)).ok();
        if let Some(fingerprint) = pem.and_then(|pem| certificate::fingerprint(&pem)) {
            text += &format!("certificate SHA-256: {fingerprint}\n");
        }
    }
    Ok(text)
}

/// Has the bundle written to the card, and gives its version.
fn update(bundle: &Path, config: &Config) -> anyhow::Result<String> {
    let update = config.update.as_ref().context(NO_UPDATE)?;
    let mut told = 0;
    let written = ask::install(&update.socket, bundle, |bytes| {
        if bytes >> 20 > told {
            told = bytes >> 20;
            eprint!("\r{told} MiB");
        }
    });
    if told > 0 {
        eprintln!();
    }
    let version = written?;
    let heard = control::ask(&config.live.control, &format!("{}{version}", control::WRITTEN));
    heard.with_context(|| format!("{version} is written; start the board again to try it"))?;
    Ok(version)
}

/// Says of every file what was found; an error if one of them could not be read.
fn recover(dir: &Path, key: Option<&Path>) -> anyhow::Result<()> {
    if let Some(key) = key {
        anyhow::ensure!(key.exists(), "{}: no such key", key.display());
    }
    let key = key.map(DeviceKey::load_or_make).transpose()?;
    let found = store::recover_dir(dir, key.as_ref())?;
    for (path, what) in &found {
        let path = path.display();
        say(&match what {
            Ok(Some(sealed)) => {
                let word = if sealed.repaired { "repaired" } else { "good" };
                format!("{path}: {word}, {:.3} s\n", sealed.duration.as_secs_f64())
            }
            Ok(None) => format!("{path}: empty, not one GOP was finished\n"),
            Err(error) => format!("{error}\n"),
        })?;
    }
    let failed = found.iter().filter(|(_, what)| what.is_err()).count();
    anyhow::ensure!(failed == 0, "{failed} of {} files could not be read", found.len());
    Ok(())
}

fn load(at: &At) -> anyhow::Result<Config> {
    match config::chosen(at.config.as_deref(), Path::new(CONFIG)) {
        Some(file) => Config::load(&file).with_context(|| file.display().to_string()),
        None => Ok(Config::default()),
    }
}

impl Run {
    /// The configuration file with what was set since, and what the command line changes.
    fn config(&self) -> anyhow::Result<Config> {
        self.over(Settings::overlay(load(&self.at)?)?)
    }

    /// What the command line changes.
    fn over(&self, mut config: Config) -> anyhow::Result<Config> {
        if let (Some(source), Some(camera)) = (&self.source, config.camera.first_mut()) {
            camera.source.clone_from(source);
        }
        if let Some(listen) = self.listen {
            config.live.listen = listen;
        }
        config.check()?;
        Ok(config)
    }

    /// The same at the start, when there is nothing to go on with instead: settings that cannot be read are left out.
    fn first_config(&self) -> anyhow::Result<Config> {
        let config = self.over(load(&self.at)?)?;
        if let Some(auth) = &config.auth {
            setup::reset(&auth.dir, &auth.dir.join(setup::RESET)).context("factory reset")?;
        }
        Ok(Settings::overlay(config.clone()).unwrap_or_else(|error| {
            tracing::error!("settings left out: {}", reason(&error));
            config
        }))
    }
}

fn run(options: &Run) -> anyhow::Result<()> {
    let stalled = Stalled::inherited();
    logs::start(options.log, &options.log_level)?;
    let config = options.first_config()?;
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let signals = Signals::hold(&signals).context("signals")?;
    let (appliance, mut watchdog) = Appliance::start(config, stalled)?;
    loop {
        watchdog.look();
        match signals.next(watchdog.every()).context("signals")? {
            None => {}
            Some(Signal::SIGHUP) => match options.config() {
                Ok(config) => appliance.reload(config),
                Err(error) => tracing::error!("configuration kept as it was: {}", reason(error.as_ref())),
            },
            Some(_) => break,
        }
    }
    tracing::info!("ending");
    appliance.end();
    Ok(())
}
