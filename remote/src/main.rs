//! `porthole-remote`: the host that receives recordings.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use remote::check::Keys;
use remote::chop::Options;
use remote::config::{Config, Role};
use remote::enroll::{self, Enrollment};
use remote::supervise;
use remote::sweep::trust::{Moment, Trust};
use remote::{receive, serve};
use service::answer::{reason, say};
use service::{config, logs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the configuration is looked for when no other place is named.
const CONFIG: &str = "/etc/porthole/remote.toml";

/// The host that receives recordings.
#[derive(Parser)]
#[command(name = "porthole-remote", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take recordings in, until SIGTERM.
    Serve(Serve),
    /// Check a configuration file.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Check that recordings are whole, unaltered, and all: exit status 0 if so, 1 if not, 2 if that cannot be told.
    Check {
        /// Folders with recordings, for instance the archive and the inbox; the folders in them too.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long, env = "PORTHOLE_REMOTE_JSON")]
        json: bool,
        /// The keys that cameras sign with: lines as in authorized_keys [default: those of the enrolled accounts; of another camera
        /// the first one is trusted].
        #[arg(long, env = "PORTHOLE_REMOTE_KEYS", value_name = "FILE")]
        keys: Option<PathBuf>,
    },
    /// Make HLS of one recording: six-second segments and playlists, in a folder with the recording's name.
    Chop {
        /// The recording, NAME.mp4.
        file: PathBuf,
        /// Where the folder NAME shall stand.
        #[arg(long)]
        out: PathBuf,
        /// The camera in the names of the segments, where NAME does not say it.
        #[arg(long, default_value = "local")]
        account: String,
    },
    /// Let recordings go whose time is over, once.
    Sweep {
        #[command(flatten)]
        place: Place,
        /// Change nothing, and print what would leave.
        #[arg(long)]
        dry_run: bool,
    },
    /// What sshd starts for an account of a script: takes its files in, and nothing else (SSH_ORIGINAL_COMMAND has what it asked for).
    Receive {
        /// The folder that it may write into.
        #[arg(long)]
        inbox: PathBuf,
    },
    /// Let one more camera send its recordings: its account, folders and key, and what sshd lets it do. Takes root.
    Enroll(Enroll),
}

/// What the service is about.
#[derive(Args)]
struct Place {
    /// Configuration file [default: /etc/porthole/remote.toml if it is there].
    #[arg(long, env = "PORTHOLE_REMOTE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder that everything is in, instead of the configured one.
    #[arg(long, env = "PORTHOLE_REMOTE_DIR")]
    dir: Option<PathBuf>,
}

#[derive(Args)]
struct Enroll {
    /// The line that `porthole-edge key` prints: ssh-ed25519 AAAA... COMMENT.
    key: String,
    /// Its account [default: the comment of the key].
    #[arg(long, value_name = "ACCOUNT")]
    name: Option<String>,
    /// A script that knows only NAME.mp4 and NAME.lockfile, and uploads by scp.
    #[arg(long)]
    script: bool,
    /// Change nothing, and print a script that would do it.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    place: Place,
    /// What this process does, instead of the configured roles; may be repeated.
    #[arg(long = "role", env = "PORTHOLE_REMOTE_ROLES", value_enum, value_delimiter = ',')]
    roles: Vec<Role>,
    /// How log lines look.
    #[arg(long, env = "PORTHOLE_REMOTE_LOG", value_enum, default_value_t)]
    log: logs::Format,
    /// What is logged: error, warn, info, debug, trace, or a list with modules.
    #[arg(long, env = "PORTHOLE_REMOTE_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

/// The exit status when it cannot be told whether recordings are whole.
const CANNOT_TELL: u8 = 2;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let failure =
        if matches!(command, Command::Check { .. }) { CANNOT_TELL.into() } else { ExitCode::FAILURE };
    obey(command).unwrap_or_else(|error| {
        eprintln!("Error: {}", reason(error.as_ref()));
        failure
    })
}

fn obey(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(options) => {
            logs::start(options.log, &options.log_level)?;
            serve::serve(options.config()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckConfig { file } => {
            Config::load(&file).with_context(|| file.display().to_string())?;
            say(&format!("{}: good\n", file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { dirs, json, keys } => check(&dirs, json, keys.as_deref()),
        Command::Chop { file, out, account } => chop(&file, &out, account),
        Command::Sweep { place, dry_run } => sweep(&place, dry_run),
        Command::Receive { inbox } => Ok(receive(&inbox)),
        Command::Enroll(options) => enroll(&options),
    }
}

impl Place {
    /// The configuration file with what the command line changes.
    fn config(&self) -> anyhow::Result<Config> {
        let mut config = match config::chosen(self.config.as_deref(), Path::new(CONFIG)) {
            Some(file) => Config::load(&file).with_context(|| file.display().to_string())?,
            None => Config::default(),
        };
        if let Some(dir) = &self.dir {
            config.dir.clone_from(dir);
        }
        config.check()?;
        Ok(config)
    }
}

impl Serve {
    fn config(&self) -> anyhow::Result<Config> {
        let mut config = self.place.config()?;
        if !self.roles.is_empty() {
            config.roles.clone_from(&self.roles);
        }
        config.check()?;
        Ok(config)
    }
}

fn check(dirs: &[PathBuf], json: bool, keys: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (keys, from) = match keys {
        Some(file) => (Keys::load(file), file),
        None => (Keys::enrolled(Path::new(enroll::KEYS)), Path::new(enroll::KEYS)),
    };
    let keys = keys.with_context(|| from.display().to_string())?;
    let report = remote::check::check(dirs, &keys)?;
    say(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() })?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chop(file: &Path, out: &Path, account: String) -> anyhow::Result<ExitCode> {
    let name = file.file_stem().and_then(|name| name.to_str()).context("the file's name is not UTF-8")?;
    let chopped = remote::chop::chop(file, name, &out.join(".chop"), &Options::new(account))?;
    let folder = remote::chop::publish(&chopped, out)?;
    say(&format!("{}: {} segments, {}\n", folder.display(), chopped.segments, chopped.duration))?;
    Ok(ExitCode::SUCCESS)
}

fn sweep(place: &Place, dry_run: bool) -> anyhow::Result<ExitCode> {
    let config = place.config()?;
    let (mut trust, now) = (Trust::load(&config.dir), Moment::now());
    let wall = now.wall;
    let policy = trust.policy(config.sweep.policy(), now);
    if let Some(left) = trust.left() {
        eprintln!(
            "The clock may have jumped: for {} more minutes nothing leaves for its age.",
            left.as_secs().div_ceil(60)
        );
    }
    // A full disk must not keep a sweep from making room.
    if !dry_run && let Err(error) = trust.store(&config.dir) {
        eprintln!("A jump of the clock would be forgotten: {error}");
    }
    let report = remote::sweep::sweep(&config.dir, &policy, wall, dry_run, &|| false)?;
    say(&format!("{report}\n"))?;
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn receive(inbox: &Path) -> ExitCode {
    let asked = std::env::var_os(receive::ASKED).map(|asked| asked.to_string_lossy().into_owned());
    match receive::receive(inbox, asked.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("porthole: {error}");
            ExitCode::FAILURE
        }
    }
}

fn enroll(options: &Enroll) -> anyhow::Result<ExitCode> {
    let dir = options.place.config()?.dir;
    let kind = if options.script { enroll::Kind::Script } else { enroll::Kind::Camera };
    let program = std::env::current_exe().context("where this program is")?;
    let enrollment = Enrollment::new(&options.key, options.name.as_deref(), kind, &dir, &program)?;
    let plan = enrollment.plan();
    if options.print {
        say(&plan.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Half of it must not be left because somebody was impatient.
    let _signals = supervise::hold_signals().context("signals")?;
    enroll::perform::perform(&plan)?;
    say(&format!("{}\n", enrollment.welcome()))?;
    Ok(ExitCode::SUCCESS)
}
