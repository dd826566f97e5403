//! `porthole.toml`: applied once, whole, and again after a cut at any step.

use super::*;
use std::fs;
use tempfile::TempDir;

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ";

/// A boot partition and a state folder.
struct Card {
    folder: TempDir,
    config: Config,
}

impl Card {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        for dir in ["boot", "state"] {
            fs::create_dir(folder.path().join(dir)).expect("made");
        }
        let (dir, key) = (folder.path().join("state/auth"), folder.path().join("state/id_ed25519"));
        let text_of_config = format!(
            "[auth]\ndir = {dir:?}\n[upload]\nhost = \"none\"\nuser = \"u\"\nkey = {key:?}\nhost_key = \"{HOST_KEY}\""
        );
        let card = Self { folder, config: Config::parse(&text_of_config).expect("good") };
        fs::write(card.file(), text).expect("written");
        card
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("boot/porthole.toml")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join("state/auth").join(name)
    }

    fn provision(&self) -> Result<bool, String> {
        let done = provision(&self.file(), &self.config);
        done.map_err(|error| error.to_string().replace(&self.file().display().to_string(), "FILE"))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.state(name)).unwrap_or_default()
    }
}

fn whole() -> String {
    format!(
        "name = \"barn\" # of the north field\ntime_zone = \"Europe/Berlin\"\nplain_viewing = true\n\
         [wifi]\nssid = \"field\"\npassword = 'sesame, open'\ncountry = \"DE\"\n\
         [upload]\nhost = \"nas\"\nuser = \"cam7\"\nhost_key = \"{HOST_KEY}\"\n\
         [admin]\nname = \"anna\"\npassword = \"a long secret\"\n"
    )
}

#[test]
fn a_file_is_applied_once_and_its_secrets_are_gone() {
    let card = Card::new(&whole());
    assert_eq!(card.provision(), Ok(true));
    let left = fs::read_to_string(card.file()).expect("there");
    assert_eq!(
        left,
        whole().replace("sesame, open", &"*".repeat(12)).replace("a long secret", &"*".repeat(13))
    );
    let over = Settings::overlay(card.config.clone()).expect("settings");
    assert_eq!((over.device.name.as_str(), over.device.time_zone.as_str()), ("barn", "Europe/Berlin"));
    assert_eq!(over.upload.expect("upload").host, "nas");
    assert!(card.text(WIFI).contains("psk=\"sesame, open\""));
    let access = Access::load(&card.state(auth::FILE)).expect("read").expect("there");
    let (anna, admin) = access.accounts().next().expect("anna");
    assert!(admin && anna.is_opened_by("a long secret").expect("hashed"));
    assert!(
        fs::read_to_string(card.file().with_file_name(PUBLIC_KEY)).expect("key").starts_with("ssh-ed25519 ")
    );

    Settings::default().save(&card.config.auth.as_ref().expect("auth").dir).expect("changed on the page");
    assert_eq!(card.provision(), Ok(false));
    assert_eq!(card.text("settings.json"), "{}", "what was changed since stays");
}

#[test]
fn a_cut_at_any_step_is_made_good_by_the_next_start() {
    let done = Card::new(&whole());
    assert_eq!(done.provision(), Ok(true));
    // What a cut after each step leaves: nothing, some of the files, all of them, one secret erased, both.
    let one = whole().replace("sesame, open", &"*".repeat(12));
    let files = ["settings.json", WIFI, auth::FILE];
    for (count, text) in [(0, whole()), (1, whole()), (2, whole()), (3, whole()), (3, one)] {
        let card = Card::new(&text);
        fs::create_dir(card.state("")).expect("made");
        for name in &files[..count] {
            fs::copy(done.state(name), card.state(name)).expect("copied");
        }
        assert_eq!(card.provision(), Ok(true), "after {count} files");
        assert_eq!(fs::read(card.file()).expect("there"), fs::read(done.file()).expect("there"));
        assert_eq!(card.text("settings.json"), done.text("settings.json"));
        assert_eq!(card.text(WIFI), done.text(WIFI));
        assert!(Access::load(&card.state(auth::FILE)).expect("read").expect("there").accounts().count() == 1);
        assert_eq!(card.provision(), Ok(false));
    }
    fs::remove_file(done.state(APPLIED)).expect("cut before the last step");
    let before = [done.text(auth::FILE), done.text(WIFI)];
    assert_eq!(done.provision(), Ok(true));
    assert_eq!([done.text(auth::FILE), done.text(WIFI)], before, "erased secrets change nothing");
}

#[test]
fn a_changed_file_is_applied_again() {
    let card = Card::new("name = \"barn\"");
    assert_eq!(card.provision(), Ok(true));
    fs::write(card.file(), "name = \"shed\"").expect("written");
    assert_eq!((card.provision(), card.provision()), (Ok(true), Ok(false)));
    assert_eq!(Settings::overlay(card.config.clone()).expect("settings").device.name, "shed");
}

#[test]
fn what_cannot_be_is_named_and_nothing_is_applied_or_erased() {
    for (text, said) in [
        ("nam = \"barn\"", "unknown field `nam`"),
        ("[wifi]\nssid = \"n\"\npasword = \"long enough\"", "unknown field `pasword`"),
        ("name = \"Barn\"", "FILE: device.name = \"Barn\": 1 to 32 of a-z, 0-9 and -, not at either end"),
        ("time_zone = \"../../etc\"", "device.time_zone = \"../../etc\""),
        ("[admin]\nname = \"anna\"\npassword = \"short\"", "admin: a password has 10 to 128 characters"),
        (
            "[admin]\nname = \"anna\"\npassword = \"a \\\"long\\\" secret\"",
            "FILE: admin.password: write it between single quotes",
        ),
        ("[upload]\nhost = \"h\"\nuser = \"u\"\nhost_key = \"AAAA\"", "upload.host_key = \"AAAA\""),
    ] {
        let card = Card::new(text);
        let error = card.provision().expect_err(text);
        assert!(error.contains(said), "{error}");
        assert_eq!(fs::read_to_string(card.file()).expect("there"), text);
        assert!(!card.state(auth::FILE).exists() && !card.state(APPLIED).exists());
    }
}

#[test]
fn a_factory_reset_undoes_the_file_and_leaves_the_next_one() {
    let card = Card::new(&whole());
    let now = || Settings::overlay(card.config.clone()).expect("settings");
    assert_eq!(card.provision(), Ok(true));
    assert_eq!(now().device.name, "barn");
    assert!(card.text(WIFI).contains("sesame, open"));
    let flag = card.file().with_file_name(RESET);
    fs::write(&flag, "").expect("written");
    assert_eq!(card.provision(), Ok(false));
    assert!(!flag.exists() && !card.state(auth::FILE).exists() && !card.state(WIFI).exists());
    assert_eq!(now(), card.config);
    // Nor does the next start apply it again.
    assert_eq!(card.provision(), Ok(false));
    assert_eq!(now(), card.config);
    fs::write(&flag, "").expect("written");
    fs::write(card.file(), "name = \"stable\"").expect("written");
    assert_eq!(card.provision(), Ok(true));
    assert_eq!(now().device.name, "stable");
}
