//! The gate: who gets in, by which way, and until when.

use super::*;
use crate::config::Config;
use crate::supervise::Stop;
use hyper::header::HeaderValue;
use std::net::Ipv4Addr;
use tokio::task::LocalSet;

const PASSWORD: &str = "correct horse";
const SECURE: Peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), secure: true };
const PLAIN: Peer = Peer { secure: false, ..SECURE };

/// A gate with its thread.
struct Site {
    dir: tempfile::TempDir,
    gate: Rc<Gate>,
    stop: Stop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Site {
    fn new() -> Self {
        Self::at(tempfile::tempdir().expect("folder"))
    }

    fn at(dir: tempfile::TempDir) -> Self {
        let config = Config::parse(&format!("[auth]\ndir = {:?}", dir.path())).expect("good");
        let keys = Keys::open(config.auth.as_ref().expect("auth")).expect("opened");
        let (errands, runner) = Errands::new(4);
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = Some(std::thread::spawn(move || runner.run(&asked)));
        Self { dir, gate: Gate::new(keys, Current::new(config), errands), stop, thread }
    }

    /// Claimed by `anna`; with her cookie.
    async fn claimed() -> (Self, String) {
        let site = Self::new();
        let cookie = site.claim(&site.code()).await.expect("claimed");
        (site, cookie)
    }

    fn code(&self) -> String {
        claim_code(self.dir.path()).expect("read").expect("unclaimed").to_string()
    }

    async fn claim(&self, code: &str) -> Result<String, Refusal> {
        self.gate.claim(code, "anna".to_owned(), PASSWORD.to_owned(), SECURE).await
    }

    async fn by_cookie(&self, set_cookie: &str, peer: Peer) -> Result<Guest, Refusal> {
        let pair = set_cookie.split(';').next().unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::try_from(format!("other=1; {pair}")).expect("header"));
        self.gate.guest(&headers, None, peer).await
    }

    async fn by_basic(&self, name: &str, password: &str, peer: Peer) -> Result<Guest, Refusal> {
        let value = format!("Basic {}", Base64::encode_string(format!("{name}:{password}").as_bytes()));
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(value).expect("header"));
        self.gate.guest(&headers, None, peer).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.ask();
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_device_is_claimed_once_with_the_code_of_its_console() {
    run(async {
        let site = Site::new();
        assert_eq!(site.gate.state(), State::Unclaimed);
        let code = site.code();
        let wrong = if code.starts_with('7') { "8888-8888" } else { "7777-7777" };
        assert!(matches!(site.claim(wrong).await, Err(Refusal::WrongCode)));
        assert!(matches!(site.claim("").await, Err(Refusal::WrongCode)));
        let (one, two) = tokio::join!(site.claim(&code), site.claim(&code));
        assert!(one.is_ok() != two.is_ok(), "of two at once one is too late");
        assert_eq!(site.gate.state(), State::Claimed);
        assert!(matches!(site.claim(&code).await, Err(Refusal::Change(Refused::Claimed))));
        assert_eq!(claim_code(site.dir.path()).expect("read"), None);
        let guest = site.by_cookie(&one.or(two).expect("one"), SECURE).await.expect("in");
        assert_eq!((guest.who, guest.right), (Who::Account("anna".to_owned()), Right::Administer));
    });
}

#[test]
fn guessing_codes_and_passwords_ends_after_eight() {
    run(async {
        let site = Site::new();
        let mut refused = 0;
        for _ in 0..20 {
            match site.claim("7777-7777").await {
                Err(Refusal::TooMany(wait)) => assert!(wait <= Duration::from_secs(30)),
                Err(Refusal::WrongCode) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(refused, 8);
        assert!(
            matches!(site.claim(&site.code()).await, Err(Refusal::TooMany(_))),
            "also the right one waits"
        );
    });
}

#[test]
fn over_plain_http_an_administrator_is_nobody_and_a_viewer_looks() {
    run(async {
        let (site, cookie) = Site::claimed().await;
        site.gate.put_account("bob".to_owned(), "bobs password".to_owned(), false).await.expect("added");
        assert!(matches!(site.by_basic("anna", PASSWORD, PLAIN).await, Err(Refusal::Wrong)));
        assert!(matches!(site.by_cookie(&cookie, PLAIN).await, Err(Refusal::Stranger)));
        assert_eq!(site.by_basic("bob", "bobs password", PLAIN).await.expect("in").right, Right::Look);
        assert_eq!(site.by_basic("anna", PASSWORD, SECURE).await.expect("in").right, Right::Look);
        let plain = site.gate.log_in("bob", "bobs password".to_owned(), PLAIN).await.expect("in");
        assert!(plain.starts_with("porthole=") && !plain.contains("Secure"), "{plain}");
        assert!(
            cookie.starts_with("__Host-porthole=")
                && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure")
        );
        assert!(matches!(site.by_cookie(&plain, SECURE).await, Err(Refusal::Stranger)));
    });
}

#[test]
fn who_was_good_is_remembered_and_a_wrong_password_is_not() {
    run(async {
        let (site, _) = Site::claimed().await;
        for _ in 0..50 {
            site.by_basic("anna", PASSWORD, SECURE).await.expect("in");
        }
        for _ in 0..8 {
            assert!(matches!(site.by_basic("anna", "wrong password", SECURE).await, Err(Refusal::Wrong)));
        }
        assert!(matches!(site.by_basic("anna", "wrong password", SECURE).await, Err(Refusal::TooMany(_))));
        site.by_basic("anna", PASSWORD, SECURE).await.expect("still in");
    });
}

#[test]
fn a_player_that_begins_with_many_requests_at_once_is_let_in_by_all_of_them() {
    run(async {
        let (site, _) = Site::claimed().await;
        let site = Rc::new(site);
        let ask = |_| {
            let site = Rc::clone(&site);
            spawn_local(async move { site.by_basic("anna", PASSWORD, SECURE).await.is_ok() })
        };
        for asked in (0..30).map(ask).collect::<Vec<_>>() {
            assert!(asked.await.expect("ran"));
        }
    });
}

#[test]
fn what_is_taken_away_ends_at_once_and_stays_away() {
    run(async {
        let (site, cookie) = Site::claimed().await;
        site.gate.put_account("bob".to_owned(), "bobs password".to_owned(), false).await.expect("added");
        let bob = site.by_basic("bob", "bobs password", SECURE).await.expect("in");
        let (id, secret) = site.gate.add_token("kitchen".to_owned()).await.expect("made");
        let player = site.gate.guest(&HeaderMap::new(), Some(&secret), PLAIN).await.expect("in");
        assert_eq!((player.right, player.lifeline.strong_count()), (Right::Play, 1));
        site.gate.revoke_token(id).await.expect("revoked");
        site.gate.remove_account("bob".to_owned()).await.expect("removed");
        assert_eq!((player.lifeline.strong_count(), bob.lifeline.strong_count()), (0, 0));
        assert!(matches!(
            site.gate.guest(&HeaderMap::new(), Some(&secret), PLAIN).await,
            Err(Refusal::Stranger)
        ));
        assert!(matches!(site.by_basic("bob", "bobs password", SECURE).await, Err(Refusal::Wrong)));
        let mut headers = HeaderMap::new();
        let pair = cookie.split(';').next().unwrap_or_default();
        headers.insert(COOKIE, HeaderValue::try_from(pair).expect("header"));
        assert!(site.gate.log_out(&headers, true).ends_with("; Max-Age=0"));
        assert!(matches!(site.by_cookie(&cookie, SECURE).await, Err(Refusal::Stranger)));
    });
}

#[test]
fn a_file_that_was_damaged_is_no_way_in_and_stays_as_it_is() {
    run(async {
        let dir = tempfile::tempdir().expect("folder");
        std::fs::write(dir.path().join(FILE), "{\"version\":1,\"admins\":[").expect("written");
        let site = Site::at(dir);
        assert!(matches!(site.gate.state(), State::Locked(_)));
        assert!(matches!(site.claim("7777-7777").await, Err(Refusal::Locked(_))));
        assert!(matches!(site.by_basic("anna", PASSWORD, SECURE).await, Err(Refusal::Locked(_))));
        let none = site.gate.guest(&HeaderMap::new(), Some("token"), SECURE).await;
        assert!(matches!(none, Err(Refusal::Stranger)));
        let text = std::fs::read_to_string(site.dir.path().join(FILE)).expect("there");
        assert_eq!(text, "{\"version\":1,\"admins\":[");
    });
}

#[test]
fn a_disk_that_takes_nothing_leaves_everything_as_it_was() {
    run(async {
        let site = Site::new();
        let code = site.code();
        let file = site.dir.path().join(FILE);
        std::fs::create_dir(crate::store::files::beside(&file, "tmp")).expect("in the way");
        let refusal = site.claim(&code).await.expect_err("refused");
        assert!(
            matches!(refusal, Refusal::Save { .. }) && refusal.to_string().ends_with("nothing was changed")
        );
        assert_eq!(site.gate.state(), State::Unclaimed);
        std::fs::remove_dir(crate::store::files::beside(&file, "tmp")).expect("out of the way");
        site.claim(&code).await.expect("claimed");
    });
}

#[test]
fn credentials_are_read_as_rfc_7617_writes_them() {
    let some = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
    assert_eq!(credentials(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), some("Aladdin", "open sesame"));
    assert_eq!(credentials(b"basic YTpiOmM="), some("a", "b:c"));
    for bad in [
        &b"Basic"[..],
        b"Basic !",
        b"Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        b"Basic YWJj",
        b"Basic /w==",
        b"\xff",
    ] {
        assert_eq!(credentials(bad), None);
    }
}
