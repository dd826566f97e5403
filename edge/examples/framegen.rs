//! Writes the frames of a source to standard output as I420, at their own pace: what the peers of the bench encode.
//!
//! `framegen SOURCE SECONDS`, for instance `framegen 'file:clip.y4m?stamp=1' 60`.

use anyhow::{Context, bail};
use edge::config::Camera;
use edge::frames::Picture;
use edge::source::file::FileSource;
use edge::source::{Captured, Source, Spec};
use std::io::Write;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments.next().context("usage: framegen SOURCE SECONDS")?;
    let seconds: i64 = arguments.next().context("usage: framegen SOURCE SECONDS")?.parse()?;
    let camera = Camera { source: source.clone(), ..Camera::default() };
    let Ok(Spec::File(file)) = Spec::parse(&source) else { bail!("{source}: only file:PATH") };
    let mut source = FileSource::open(&file, &camera)?;
    let mut picture = Picture::new(camera.width.into(), camera.height.into());
    let mut out = std::io::stdout().lock();
    let mut first = None;
    loop {
        match source.next(Some(&mut picture), Duration::from_secs(10))? {
            Captured::Frame => out.write_all(picture.as_bytes())?,
            other => bail!("{other:?}"),
        }
        let begin = *first.get_or_insert(picture.pts);
        if (picture.pts - begin).second() >= seconds {
            return Ok(());
        }
    }
}
