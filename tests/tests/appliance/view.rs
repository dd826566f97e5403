//! The live view of a flashed board in a browser: of a driver's own pictures, and of pictures that tell when they were made.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::appliance::{Appliance, HOST, ask_until};
use tests::browser::Watched;
use tests::{built, footage, web};

/// How long a browser looks on.
const SPAN: Duration = Duration::from_secs(20);
/// The picture of the second camera, as v4l2-ctl calls it, and its bytes.
const FORMAT: &str = "width=320,height=240,pixelformat=YU12";
const BYTES: usize = 320 * 240 * 3 / 2;

/// A camera of the board whose pictures come from here, each with the time drawn into it.
struct Film(Child);

impl Film {
    /// Takes vivid from the board, and delivers instead.
    fn start(appliance: &mut Appliance) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let sets =
            format!("LD_LIBRARY_PATH=/run/test/lib v4l2-ctl -d /dev/video9 --set-fmt-video-out={FORMAT}");
        appliance.run(&sets)?;
        let reads = format!("nc {HOST} {port} | dd bs={BYTES} iflag=fullblock of=/dev/video9");
        appliance.run(&format!("({reads}) > /run/film 2>&1 &"))?;
        let (board, _) = listener.accept()?;
        let mut framegen = Command::new(built("examples/framegen"));
        let source = format!("file:{}?stamp=1", footage::y4m(10)?.display());
        framegen.args([&source, "3600"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = framegen.spawn().context("framegen")?;
        let frames = child.stdout.take().context("framegen has no output")?;
        // It ends when framegen does, or the board.
        thread::spawn(move || copy(frames, board));
        appliance.run("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind")?;
        Ok(Self(child))
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn copy(mut from: impl io::Read, mut to: TcpStream) {
    if let Err(error) = io::copy(&mut from, &mut to) {
        eprintln!("the film ends: {error}");
    }
}

/// A counter of the camera's frames.
fn frames(appliance: &Appliance, which: &str) -> Result<f64> {
    let page = appliance.get("/metrics")?.body;
    Ok(web::metric(&page, &format!("porthole_edge_frames_{which}_total{{camera=\"front\"}}")))
}

/// What a browser shows, without any error; an emulated board is slow, but never stands still.
fn watched(appliance: &Appliance) -> Result<Watched> {
    let (begun, counted) = (Instant::now(), ["captured", "lost_by_driver", "encoded"]);
    let before = counted.map(|which| frames(appliance, which));
    let watched = appliance.watch(SPAN)?;
    let after = counted.map(|which| frames(appliance, which));
    let seconds = begun.elapsed().as_secs_f64();
    let mut rates = Vec::new();
    for (which, (before, after)) in counted.iter().zip(before.into_iter().zip(after)) {
        rates.push(format!("{which} {:.1}", (after? - before?) / seconds));
    }
    println!("frames a second: {}, presented {}", rates.join(", "), watched.number("fps"));
    ensure!(watched.errors.is_empty(), "{:?}", watched.errors);
    ensure!(watched.number("frames") >= SPAN.as_secs_f64(), "{}", watched.figures);
    Ok(watched)
}

fn view() -> Result<()> {
    let mut appliance = Appliance::flash()?;
    appliance.put("porthole.toml", &Appliance::owner_says("barn-7", ""))?;
    appliance.power_on()?;
    appliance.wait_for_pictures()?;
    let vivid = watched(&appliance)?;
    ensure!(vivid.number("unreadable") == vivid.number("frames"), "vivid tells no time: {}", vivid.figures);

    let _film = Film::start(&mut appliance)?;
    let delivers = || {
        appliance.json("/api/cameras").is_ok_and(|cameras| {
            let camera = &cameras["cameras"][0];
            camera["state"] == "streaming" && camera["device"] == "/dev/video9"
        })
    };
    ask_until("the other camera", delivers)
        .with_context(|| format!("{:?}\n{}", appliance.get("/api/cameras"), appliance.console()))?;
    let film = watched(&appliance)?;
    println!("from the camera to the screen: {} ms, p95 {} ms", film.number("p50"), film.number("p95"));
    let told = film.number("frames") - film.number("unreadable");
    ensure!(told >= 0.9 * film.number("frames"), "{}", film.figures);
    ensure!(film.number("p50") > 0.0, "a picture is seen before it was made: {}", film.figures);
    Ok(())
}

#[test]
fn a_browser_shows_what_the_cameras_of_a_flashed_board_deliver_and_how_old_it_is() {
    view().unwrap_or_else(|error| panic!("{error:?}"));
}
