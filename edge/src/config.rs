//! The configuration file: TOML, every key optional, unknown keys refused.
//!
//! [`Config::parse`] checks everything that can be checked without a device; a value that is impossible gives an error
//! that names the key, the value and what is allowed. docs/ref/config.md describes every key and is tested against
//! [`Config::default`].

use crate::source::pixels::PixelFormat;
use crate::source::v4l2::controls::Controls;
use serde::{Deserialize, Serialize};
pub use service::config::Error;
use service::config::{from_toml, read, require};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the appliance is called.
    pub device: Device,
    /// One table for each camera.
    pub camera: Vec<Camera>,
    /// Encoding of the picture.
    pub video: Video,
    /// Capture and encoding of the sound.
    pub audio: Audio,
    /// The last seconds of each camera.
    pub ring: Ring,
    /// The web server.
    pub live: Live,
    /// Recordings.
    pub record: Record,
    /// The remote host; recordings stay on the edge without it.
    pub upload: Option<Upload>,
    /// Who may look and who may change things; without it everybody looks, and nobody changes anything.
    pub auth: Option<Auth>,
    /// How the appliance itself is updated; without it that is somebody else's business.
    pub update: Option<Update>,
}

/// `[device]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Its name on pages and in its certificate: 1 to 32 of a-z, 0-9 and `-`, as a host name.
    pub name: String,
    /// Its time zone, as `Europe/Berlin`.
    pub time_zone: String,
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Accounts that look, as `porthole-edge password NAME` prints them.
    pub viewers: Vec<String>,
    /// Accounts that also administer.
    pub admins: Vec<String>,
    /// Viewing may use plain HTTP.
    pub plain_viewing: bool,
    /// Names of this device, beside addresses, names without a dot, and those of mDNS.
    pub names: Vec<String>,
    /// Accounts, tokens, certificate and settings that were made on the page.
    pub dir: PathBuf,
}

/// `[update]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Update {
    /// The card, with its slots and the two sectors that say which one is started.
    pub card: PathBuf,
    /// The builder's public key, as `ssh-ed25519 AAAA...`.
    pub key: PathBuf,
    /// What is in the slot that runs.
    pub release: PathBuf,
    /// The words of the boot loader.
    pub boot: PathBuf,
    /// Where the process is asked that may write to the card.
    pub socket: PathBuf,
    /// A folder for the file `restart`, which is made when the board has to start again, and for `kept`, when it need not.
    pub flags: PathBuf,
    /// What is remembered of the last update.
    pub memory: PathBuf,
    /// Seconds in which a new version must prove itself.
    pub proof_seconds: u32,
}

/// One source of pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Camera {
    /// Stands in URLs and metrics: 1 to 32 of a-z, 0-9, `-` and `_`.
    pub name: String,
    /// `auto`, `pattern`, `v4l2:/dev/video0` or `file:PATH`.
    pub source: String,
    /// Luma samples a line of what is encoded.
    pub width: u16,
    /// Luma lines of what is encoded.
    pub height: u16,
    /// Pictures a second that the camera is asked for.
    pub fps: u16,
    /// Clockwise turn in degrees: 0, 90, 180 or 270.
    pub rotate: u16,
    /// Pixel format that a V4L2 camera is asked for: `yuyv`, `uyvy`, `nv12`, `i420` or `mjpeg`; without it the best one that it has.
    pub format: Option<PixelFormat>,
    /// What a V4L2 camera is set to; what is not named stays as it is.
    pub controls: Controls,
}

/// `[video]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// Bits a second that are held over about a minute.
    pub bitrate: u32,
    /// No single second is larger than this many times `bitrate`.
    pub peak: f32,
    /// H.264 profile.
    pub profile: Profile,
    /// Seconds from one IDR picture to the next: always 1.
    pub gop: u32,
}

/// H.264 profile (ISO/IEC 14496-10 Annex A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Plays everywhere; CAVLC.
    ConstrainedBaseline,
    /// CABAC: about 4 % fewer bits for the same picture.
    Main,
}

/// `[audio]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audio {
    /// `auto` (the first microphone, else no sound), `none`, an ALSA device such as `hw:1,0`, or `beep` (a quiet tone at each
    /// whole second).
    pub device: String,
    /// Bits a second of AAC-LC.
    pub bitrate: u32,
    /// Samples a second of what is encoded: 8000, 16000, 24000, 32000 or 48000.
    pub rate: u32,
}

/// `[ring]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ring {
    /// A folder on a RAM disk.
    pub dir: PathBuf,
    /// Seconds of footage kept for each camera.
    pub seconds: u32,
    /// Bytes kept for each camera.
    pub bytes: u64,
}

/// `[live]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Live {
    /// Address and port of the web server; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTPS (and HTTP/2) with this certificate and key.
    pub tls: Option<Tls>,
    /// A second address and port, for plain HTTP beside HTTPS.
    pub plain: Option<SocketAddr>,
    /// The local control socket.
    pub control: PathBuf,
    /// Connections at once, in all.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_per_address: usize,
}

/// `[live.tls]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// `[record]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Whether recordings are made at all.
    pub enabled: bool,
    /// Where they are kept.
    pub dir: PathBuf,
    /// Minutes in one file, cut on the wall clock: 1 to 60, a divisor of 60.
    pub minutes: u32,
    /// Bytes that all recordings may take.
    pub bytes: u64,
    /// Bytes that recordings may take on the RAM disk beside the ring while `dir` does not work; 0: none are made there.
    pub ram_bytes: u64,
    /// Days after which a recording leaves, without an upload host.
    pub days: u32,
    /// Seconds between two syncs of the growing recording.
    pub sync_seconds: u32,
}

/// `[upload]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Name or address of the remote host.
    pub host: String,
    /// Port of its SSH server.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// The account there.
    pub user: String,
    /// The device's private key; made at the first start.
    #[serde(default = "default_key")]
    pub key: PathBuf,
    /// The remote host's public key as in its `.pub` file: `ssh-ed25519 AAAA...`.
    pub host_key: String,
    /// The inbox folder there, relative to where the account lands.
    #[serde(default = "default_inbox")]
    pub dir: String,
    /// When to upload.
    #[serde(default)]
    pub mode: UploadMode,
}

/// When recordings travel to the remote host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UploadMode {
    /// GOP by GOP while they grow, so that a stolen edge has lost no more than two seconds.
    #[default]
    Growing,
    /// Once they are sealed.
    Sealed,
}

/// Where SSH servers listen.
pub(crate) fn ssh_port() -> u16 {
    22
}

/// The inbox that `porthole-remote enroll` makes.
pub(crate) fn default_inbox() -> String {
    "inbox".to_owned()
}

/// Where the private key of the device is unless the configuration says otherwise.
fn default_key() -> PathBuf {
    state_dir().join("id_ed25519")
}

/// Where what must survive a reboot is kept: `/var/lib/porthole` for root and for services, else below the home.
pub fn state_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("STATE_DIRECTORY") {
        return PathBuf::from(dir);
    }
    match std::env::var_os("HOME") {
        Some(home) if !nix::unistd::geteuid().is_root() => Path::new(&home).join(".local/share/porthole"),
        _ => PathBuf::from("/var/lib/porthole"),
    }
}

/// Where what need not survive a reboot is kept: `/run/porthole`, or the user's own runtime folder. Who has none keeps it on disk.
pub fn runtime_dir() -> PathBuf {
    let [service, user] = ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"].map(std::env::var_os);
    runtime_of(service, user, nix::unistd::geteuid().is_root()).unwrap_or_else(|| state_dir().join("run"))
}

/// The runtime folder of a service or of a user, by what systemd says of either.
fn runtime_of(service: Option<OsString>, user: Option<OsString>, is_root: bool) -> Option<PathBuf> {
    match (service, user) {
        (Some(dir), _) => Some(PathBuf::from(dir)),
        (None, _) if is_root => Some(PathBuf::from("/run/porthole")),
        (None, user) => user.map(|dir| Path::new(&dir).join("porthole")),
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: Device::default(),
            camera: vec![Camera::default()],
            video: Video::default(),
            audio: Audio::default(),
            ring: Ring::default(),
            live: Live::default(),
            record: Record::default(),
            upload: None,
            auth: None,
            update: None,
        }
    }
}

impl Default for Device {
    fn default() -> Self {
        Self { name: "porthole".to_owned(), time_zone: "UTC".to_owned() }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            viewers: Vec::new(),
            admins: Vec::new(),
            plain_viewing: false,
            names: Vec::new(),
            dir: state_dir().join("auth"),
        }
    }
}

impl Default for Update {
    fn default() -> Self {
        Self {
            card: PathBuf::from("/dev/porthole/card"),
            key: PathBuf::from("/etc/porthole/update.pub"),
            release: PathBuf::from("/run/porthole-slot/release"),
            boot: PathBuf::from("/proc/cmdline"),
            socket: PathBuf::from("/run/porthole-update.sock"),
            flags: runtime_dir(),
            memory: state_dir().join("update.json"),
            proof_seconds: 600,
        }
    }
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            name: "front".to_owned(),
            source: "auto".to_owned(),
            width: 320,
            height: 240,
            fps: 30,
            rotate: 0,
            format: None,
            controls: Controls::default(),
        }
    }
}

impl Default for Video {
    fn default() -> Self {
        Self { bitrate: 400_000, peak: 3.0, profile: Profile::ConstrainedBaseline, gop: 1 }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self { device: "auto".to_owned(), bitrate: 128_000, rate: 48_000 }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self { dir: runtime_dir().join("ring"), seconds: 120, bytes: 32 << 20 }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            tls: None,
            plain: None,
            control: runtime_dir().join("control.sock"),
            max_connections: 128,
            max_per_address: 16,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: state_dir().join("recordings"),
            minutes: 15,
            bytes: 4 << 30,
            ram_bytes: 48 << 20,
            days: 7,
            sync_seconds: 1,
        }
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(&read(path)?)
    }

    /// Reads and checks the text of a configuration file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let config: Self = from_toml(text)?;
        config.check()?;
        Ok(config)
    }

    /// Where the private key of the device is.
    pub fn device_key(&self) -> PathBuf {
        self.upload.as_ref().map_or_else(default_key, |upload| upload.key.clone())
    }

    /// Finds the first value that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        self.check_cameras()?;
        let Video { bitrate, peak, gop, .. } = self.video;
        require(
            (50_000..=20_000_000).contains(&bitrate),
            "video.bitrate",
            bitrate,
            "50000 to 20000000 bits a second",
        )?;
        require((1.0..=10.0).contains(&peak), "video.peak", peak, "1.0 to 10.0 times the bitrate")?;
        require(gop == 1, "video.gop", gop, "always 1 second")?;
        let Audio { bitrate, rate, .. } = self.audio;
        require(
            (16_000..=320_000).contains(&bitrate),
            "audio.bitrate",
            bitrate,
            "16000 to 320000 bits a second",
        )?;
        require(
            [8_000, 16_000, 24_000, 32_000, 48_000].contains(&rate),
            "audio.rate",
            rate,
            "8000, 16000, 24000, 32000 or 48000: a frame of these is a whole number of 90 kHz ticks",
        )?;
        let Ring { seconds, bytes, .. } = self.ring;
        require((10..=900).contains(&seconds), "ring.seconds", seconds, "10 to 900")?;
        require(
            (1 << 20..=1 << 30).contains(&bytes),
            "ring.bytes",
            bytes,
            "1048576 (1 MiB) to 1073741824 (1 GiB)",
        )?;
        self.check_live_and_record()
    }

    fn check_cameras(&self) -> Result<(), Error> {
        require(
            (1..=8).contains(&self.camera.len()),
            "camera",
            format!("{} tables", self.camera.len()),
            "1 to 8 cameras",
        )?;
        for (n, camera) in self.camera.iter().enumerate() {
            let key = |field: &str| format!("camera.{}.{field}", camera.name);
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            require(
                (1..=32).contains(&camera.name.len()) && camera.name.chars().all(good),
                "camera.name",
                format!("{:?}", camera.name),
                "1 to 32 of a-z, 0-9, - and _",
            )?;
            let twice = self.camera[..n].iter().any(|other| other.name == camera.name);
            require(!twice, "camera.name", format!("{:?}", camera.name), "a name that no other camera has")?;
            crate::source::Spec::parse(&camera.source).map_err(|allowed| Error::Value {
                key: key("source"),
                value: format!("{:?}", camera.source),
                allowed,
            })?;
            for (field, side, most) in [("width", camera.width, 1920), ("height", camera.height, 1088)] {
                require(
                    (32..=most).contains(&side) && side.is_multiple_of(2),
                    &key(field),
                    side,
                    "an even number, width 32 to 1920, height 32 to 1088",
                )?;
            }
            require((1..=60).contains(&camera.fps), &key("fps"), camera.fps, "1 to 60 pictures a second")?;
            require(
                [0, 90, 180, 270].contains(&camera.rotate),
                &key("rotate"),
                camera.rotate,
                "0, 90, 180 or 270 degrees clockwise",
            )?;
        }
        Ok(())
    }

    fn check_live_and_record(&self) -> Result<(), Error> {
        let Live { max_connections, max_per_address, .. } = self.live;
        require(
            (4..=10_000).contains(&max_connections),
            "live.max_connections",
            max_connections,
            "4 to 10000 connections",
        )?;
        require(
            (1..=max_connections).contains(&max_per_address),
            "live.max_per_address",
            max_per_address,
            "1 to live.max_connections",
        )?;
        let Record { minutes, bytes, ram_bytes, days, sync_seconds, .. } = self.record;
        require(
            (1..=60).contains(&minutes) && 60_u32.is_multiple_of(minutes),
            "record.minutes",
            minutes,
            "a divisor of 60: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60",
        )?;
        require(bytes >= 16 << 20, "record.bytes", bytes, "at least 16777216 (16 MiB)")?;
        require(
            ram_bytes == 0 || ram_bytes >= 8 << 20,
            "record.ram_bytes",
            ram_bytes,
            "0, or at least 8388608 (8 MiB)",
        )?;
        require((1..=3650).contains(&days), "record.days", days, "1 to 3650 days")?;
        require((1..=60).contains(&sync_seconds), "record.sync_seconds", sync_seconds, "1 to 60 seconds")?;
        self.check_places()?;
        self.device.check()?;
        self.auth.as_ref().map_or(Ok(()), Auth::check)?;
        self.update.as_ref().map_or(Ok(()), Update::check)?;
        self.upload.as_ref().map_or(Ok(()), Upload::check)
    }

    fn check_places(&self) -> Result<(), Error> {
        let paths = [
            ("ring.dir", &self.ring.dir),
            ("live.control", &self.live.control),
            ("record.dir", &self.record.dir),
        ];
        for (key, path) in paths {
            require(!path.as_os_str().is_empty(), key, "\"\"", "a path")?;
        }
        require(!self.audio.device.is_empty(), "audio.device", "\"\"", "auto, none, beep or an ALSA device")
    }
}

impl Device {
    /// Finds the first value that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let (name, zone) = (&self.name, &self.time_zone);
        require(
            (1..=32).contains(&name.len())
                && name.chars().all(good)
                && !name.starts_with('-')
                && !name.ends_with('-'),
            "device.name",
            format!("{name:?}"),
            "1 to 32 of a-z, 0-9 and -, not at either end",
        )?;
        // Names of the IANA database; whoever makes a path of one must not be led out of its folder.
        let part = |part: &str| {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
            !part.is_empty() && part.chars().all(word)
        };
        require(
            zone.len() <= 64 && zone.split('/').all(part),
            "device.time_zone",
            format!("{zone:?}"),
            "a time zone such as Europe/Berlin or UTC",
        )
    }
}

impl Auth {
    fn check(&self) -> Result<(), Error> {
        for (key, accounts) in [("auth.viewers", &self.viewers), ("auth.admins", &self.admins)] {
            let wrong = accounts.iter().find(|text| text.parse::<crate::auth::Account>().is_err());
            let name = wrong.map(|text| format!("{:?}", text.split(':').next().unwrap_or_default()));
            require(
                wrong.is_none(),
                key,
                name.unwrap_or_default(),
                "accounts as `porthole-edge password NAME` prints them",
            )?;
        }
        let good = |name: &String| crate::auth::name_of(name) == Some(name.as_str()) && !name.is_empty();
        let wrong = self.names.iter().find(|name| !good(name));
        require(wrong.is_none(), "auth.names", format!("{wrong:?}"), "host names without a port")?;
        require(!self.dir.as_os_str().is_empty(), "auth.dir", "\"\"", "a path")
    }
}

impl Update {
    fn check(&self) -> Result<(), Error> {
        let seconds = self.proof_seconds;
        // A timer of systemd waits for a quarter of an hour.
        require((5..=840).contains(&seconds), "update.proof_seconds", seconds, "5 to 840 seconds")
    }
}

impl Upload {
    /// Finds the first value that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |c: char| c.is_whitespace() || c.is_control();
        require(
            !self.host.is_empty() && !self.host.contains(bad),
            "upload.host",
            format!("{:?}", self.host),
            "a host name or an address",
        )?;
        require(self.port > 0, "upload.port", self.port, "1 to 65535")?;
        require(
            !self.user.is_empty() && !self.user.contains(bad),
            "upload.user",
            format!("{:?}", self.user),
            "an account name",
        )?;
        require(!self.key.as_os_str().is_empty(), "upload.key", "\"\"", "a path")?;
        require(
            ssh_key::PublicKey::from_openssh(&self.host_key).is_ok(),
            "upload.host_key",
            format!("{:?}", self.host_key),
            "a public key as in the host's .pub file: ssh-ed25519 AAAA...",
        )?;
        require(
            !self.dir.is_empty() && !self.dir.contains(char::is_control),
            "upload.dir",
            format!("{:?}", self.dir),
            "a folder of the remote host",
        )
    }
}

/// The configuration in force. Stages read it where a change may take effect: at a GOP border, before a connection.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Arc<Config>>>);

impl Current {
    /// The configuration that the process starts with.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// What is in force now.
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what can change while viewers watch; gives the keys whose new value waits for a restart.
    pub fn replace(&self, wanted: Config) -> Vec<&'static str> {
        let now = self.get();
        let mut next = wanted;
        let mut waiting = Vec::new();
        macro_rules! keep {
            ($($($key:ident).+),+ $(,)?) => {$(
                if next.$($key).+ != now.$($key).+ {
                    waiting.push(stringify!($($key).+));
                    next.$($key).+ = now.$($key).+.clone();
                }
            )+};
        }
        keep!(
            camera,
            video.profile,
            audio,
            ring,
            live.listen,
            live.tls,
            live.plain,
            live.control,
            record.enabled,
            record.dir,
            update,
        );
        match (&mut next.auth, &now.auth) {
            (Some(next), Some(now)) if next.dir != now.dir => {
                waiting.push("auth.dir");
                next.dir.clone_from(&now.dir);
            }
            (Some(_), Some(_)) | (None, None) => {}
            _ => {
                waiting.push("auth");
                next.auth.clone_from(&now.auth);
            }
        }
        let key = now.device_key();
        match (&mut next.upload, &now.upload) {
            // With `[auth]` the page adds and removes a remote host, and the uploader waits for one.
            (Some(next), None) if now.auth.is_some() && next.key == key => {}
            (None, Some(_)) if now.auth.is_some() && key == default_key() => {}
            // The names and the ledger of this process are made with the key that it began with.
            (Some(next), Some(now)) if next.key != now.key => {
                waiting.push("upload.key");
                next.key.clone_from(&now.key);
            }
            (Some(_), Some(_)) | (None, None) => {}
            _ => {
                waiting.push("upload");
                next.upload.clone_from(&now.upload);
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOAD: &str = "[upload]\nhost = \"h\"\nuser = \"u\"\nhost_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ\"";

    fn error(text: &str) -> String {
        Config::parse(text).expect_err("must be refused").to_string()
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").expect("empty"), Config::default());
    }

    #[test]
    fn a_runtime_folder_is_the_services_or_the_users_own() {
        let dir = |path: &str| Some(OsString::from(path));
        assert_eq!(runtime_of(dir("/run/a"), dir("/run/user/1"), false), Some("/run/a".into()));
        assert_eq!(runtime_of(None, dir("/run/user/0"), true), Some("/run/porthole".into()));
        assert_eq!(runtime_of(None, dir("/run/user/1"), false), Some("/run/user/1/porthole".into()));
        assert_eq!(runtime_of(None, None, false), None);
    }

    #[test]
    fn an_impossible_value_names_key_value_and_what_is_allowed() {
        assert_eq!(
            error("[audio]\nrate = 44100"),
            "audio.rate = 44100: 8000, 16000, 24000, 32000 or 48000: a frame of these is a whole number of 90 kHz ticks"
        );
        assert_eq!(
            error("[[camera]]\nname = \"Front Door\""),
            "camera.name = \"Front Door\": 1 to 32 of a-z, 0-9, - and _"
        );
        assert_eq!(
            error("[[camera]]\nwidth = 321"),
            "camera.front.width = 321: an even number, width 32 to 1920, height 32 to 1088"
        );
        assert_eq!(
            error("[record]\nminutes = 7"),
            "record.minutes = 7: a divisor of 60: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60"
        );
        assert_eq!(
            error("[[camera]]\nname=\"a\"\n[[camera]]\nname=\"a\""),
            "camera.name = \"a\": a name that no other camera has"
        );
        for (key, allowed) in [
            ("ring.dir", "a path"),
            ("live.control", "a path"),
            ("record.dir", "a path"),
            ("audio.device", "auto, none, beep or an ALSA device"),
        ] {
            assert_eq!(error(&format!("{key} = \"\"")), format!("{key} = \"\": {allowed}"));
        }
    }

    #[test]
    fn an_upload_that_cannot_be_is_refused() {
        for (key, value, allowed) in [
            ("host", "\"a b\"", "a host name or an address"),
            ("port", "0", "1 to 65535"),
            ("user", "\"\"", "an account name"),
            ("key", "\"\"", "a path"),
            ("host_key", "\"AAAA\"", "a public key as in the host's .pub file: ssh-ed25519 AAAA..."),
            ("dir", "\"\"", "a folder of the remote host"),
        ] {
            let others = UPLOAD.lines().filter(|line| !line.starts_with(&format!("{key} =")));
            let text: String = others.map(|line| format!("{line}\n")).collect();
            assert_eq!(
                error(&format!("{text}{key} = {value}")),
                format!("upload.{key} = {value}: {allowed}")
            );
        }
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line() {
        let text = error("[video]\nbitrte = 1");
        assert!(text.contains("line 2") && text.contains("unknown field `bitrte`"), "{text}");
    }

    #[test]
    fn a_changed_file_takes_effect_where_it_can_and_the_rest_is_named() {
        let current = Current::new(Config::default());
        let wanted =
            Config::parse("[video]\nbitrate = 300000\n[live]\nlisten = \"127.0.0.1:1\"").expect("good");
        assert_eq!(current.replace(wanted), ["live.listen"]);
        assert_eq!(current.get().video.bitrate, 300_000);
        assert_eq!(current.get().live.listen, Live::default().listen);
        assert_eq!(current.replace(Config::parse(UPLOAD).expect("good")), ["upload"]);
        assert_eq!(current.get().upload, None);
    }
}
