//! Encodes a raw I420 file at full speed, exactly as the encode thread would: for measuring quality, size and CPU time.
//!
//! ```text
//! encode_clip IN.yuv OUT.264 WIDTH HEIGHT FPS BITRATE constrained-baseline|main
//! cpu_seconds=0.58 frames=1800 left_out=0 average_kbps=393.1 peak_kbps=980.2 qp_least=24 qp_most=31
//! ```

use anyhow::{Context, bail};
use edge::config::{Camera, Profile, Video};
use edge::encode::cadence::{Cadence, Kind};
use edge::encode::coder::{Coded, Coder};
use edge::frames::Picture;
use media::Ticks90k;
use media::h264;
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, width, height, fps, bitrate, profile] = arguments.as_slice() else {
        bail!("usage: encode_clip IN.yuv OUT.264 WIDTH HEIGHT FPS BITRATE constrained-baseline|main");
    };
    let profile = match profile.as_str() {
        "constrained-baseline" => Profile::ConstrainedBaseline,
        "main" => Profile::Main,
        other => bail!("{other}: constrained-baseline or main"),
    };
    let camera =
        Camera { width: width.parse()?, height: height.parse()?, fps: fps.parse()?, ..Camera::default() };
    let video = Video { bitrate: bitrate.parse()?, profile, ..Video::default() };
    let input = BufReader::new(File::open(input).with_context(|| input.clone())?);
    let output = BufWriter::new(File::create(output).with_context(|| output.clone())?);
    let report = encode(&camera, &video, input, output)?;
    println!("{report}");
    Ok(())
}

fn encode(
    camera: &Camera,
    video: &Video,
    mut input: impl Read,
    mut output: impl Write,
) -> anyhow::Result<String> {
    let mut picture = Picture::new(camera.width.into(), camera.height.into());
    picture.frame_duration = Ticks90k(90_000 / i64::from(camera.fps));
    let mut coder = Coder::new(camera, video);
    let mut cadence = Cadence::default();
    let mut annex_b = Vec::new();
    let (mut sizes, mut left_out, mut cpu) = (Vec::new(), 0, Duration::ZERO);
    let (mut qp_least, mut qp_most) = (u8::MAX, 0);
    while read(&mut input, &mut picture)? {
        picture.pts = Ticks90k(sizes.len() as i64 * 90_000 / i64::from(camera.fps));
        let before = cpu_time()?;
        let kind = cadence.kind(picture.pts);
        let coded = match kind {
            Kind::Late | Kind::Frozen => Coded::LeftOut,
            Kind::Idr | Kind::P => coder.encode(&picture, kind == Kind::Idr)?,
        };
        cpu += cpu_time()? - before;
        let Coded::Unit { qp } = coded else {
            cadence.freeze();
            left_out += 1;
            sizes.push(0);
            continue;
        };
        if kind == Kind::Idr {
            cadence.started(picture.pts);
            if let Some(config) = coder.config() {
                h264::nal::push_annex_b(&config.sps, &mut annex_b);
                h264::nal::push_annex_b(&config.pps, &mut annex_b);
            }
        }
        (qp_least, qp_most) = (qp_least.min(qp), qp_most.max(qp));
        sizes.push(coder.unit().len());
        h264::avcc_to_annex_b(coder.unit(), &mut annex_b)?;
        output.write_all(&annex_b)?;
        annex_b.clear();
    }
    output.flush()?;
    let kbps = |bytes: usize, seconds: f64| bytes as f64 * 8.0 / 1000.0 / seconds;
    let second = usize::from(camera.fps);
    let average = kbps(sizes.iter().sum(), sizes.len() as f64 / second as f64);
    let peak = sizes.windows(second).map(|window| kbps(window.iter().sum(), 1.0)).fold(0.0, f64::max);
    Ok(format!(
        "cpu_seconds={:.2} frames={} left_out={left_out} average_kbps={average:.1} peak_kbps={peak:.1} qp_least={qp_least} qp_most={qp_most}",
        cpu.as_secs_f64(),
        sizes.len(),
    ))
}

/// Reads one picture; `false` at the end of the file.
fn read(input: &mut impl Read, picture: &mut Picture) -> anyhow::Result<bool> {
    let (y, u, v) = picture.planes_mut();
    match input.read_exact(y) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        result => result?,
    }
    input.read_exact(u)?;
    input.read_exact(v)?;
    Ok(true)
}

/// CPU time of this process.
fn cpu_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}
