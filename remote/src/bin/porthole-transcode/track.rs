//! One track on its way: packets are decoded, made to fit, encoded and written.
//!
//! ```text
//! packet -> decoder -> picture: frame rate, size, 4:2:0     -> H.264 Main 3.1, 400 kb/s -> packet
//!                      sound: 48 kHz, stereo, without holes -> AAC-LC, 128 kb/s
//! ```

use ffmpeg::codec::{Context, Flags, decoder, encoder};
use ffmpeg::format::context::Output;
use ffmpeg::format::{self, Pixel, Sample};
use ffmpeg::util::frame;
use ffmpeg::{ChannelLayout, Codec, Dictionary, Packet, Rational, Stream, filter, media};
use ffmpeg_next as ffmpeg;
use nix::errno::Errno;
use std::path::Path;

/// Bits a second.
const PICTURE_RATE: usize = 400_000;
const SOUND_RATE: usize = 128_000;
const SAMPLE_RATE: i32 = 48_000;
/// Level 3.1 has room for this many macroblocks a picture and this many pictures of that size a second.
const MOST_WIDTH: f64 = 1280.0;
const MOST_HEIGHT: f64 = 720.0;
const MOST_FPS: f64 = 30.0;
/// Where the input does not say its frame rate.
const USUAL_FPS: f64 = 25.0;
/// Luma samples of a picture that are decoded at most: 8K.
const MOST_SAMPLES: &str = "33177600";

/// Why nothing could be made of the input.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be confined.
    #[error("setting limits: {0}")]
    Limits(#[from] nix::Error),
    /// No container that is known.
    #[error("cannot be opened: {0}")]
    Unreadable(ffmpeg::Error),
    /// There is no picture and no sound in it.
    #[error("neither picture nor sound can be decoded")]
    Empty,
    /// A track that cannot be decoded.
    #[error("stream {0}: {1}")]
    Track(usize, String),
    /// The output could not be written.
    #[error("writing: {0}")]
    Write(ffmpeg::Error),
    /// Anything else that the libraries said.
    #[error("{0}")]
    Library(#[from] ffmpeg::Error),
}

impl Error {
    /// Whether the output's disk is the reason, not the input.
    pub fn is_for_want_of_room(&self) -> bool {
        let Self::Write(ffmpeg::Error::Other { errno }) = self else { return false };
        matches!(Errno::from_raw(*errno), Errno::ENOSPC | Errno::EDQUOT | Errno::EIO | Errno::EROFS)
    }
}

/// The MP4 that is written.
pub struct Target {
    output: Output,
}

impl Target {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self, Error> {
        Ok(Self { output: format::output_as(path, "mp4").map_err(Error::Write)? })
    }

    /// To be called once all tracks are there.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.output.write_header().map_err(Error::Write).map(|_| ())
    }

    /// Completes the file.
    pub fn end(mut self) -> Result<(), Error> {
        self.output.write_trailer().map_err(Error::Write)
    }

    /// A stream for what this encoder makes.
    fn add(&mut self, encoder: &impl AsRef<Context>) -> Result<usize, Error> {
        let mut stream = self.output.add_stream(None::<Codec>).map_err(Error::Write)?;
        stream.set_parameters(encoder);
        Ok(stream.index())
    }

    fn write(&mut self, mut packet: Packet, stream: usize, ticks: Rational) -> Result<(), Error> {
        let time_base = self.output.stream(stream).map_or(ticks, |stream| stream.time_base());
        packet.set_stream(stream);
        packet.rescale_ts(ticks, time_base);
        packet.write_interleaved(&mut self.output).map_err(Error::Write)
    }
}

/// A track between a stream of the input and one of the output.
pub struct Track {
    /// Index of the stream in the input.
    pub input: usize,
    output: usize,
    kind: Kind,
    /// Of the input's stream.
    time_base: Rational,
    decoder: decoder::Opened,
    /// Made for the first frame: only that says what frames are like.
    graph: Option<filter::Graph>,
    encoder: encoder::Encoder,
    /// Time base of the encoder.
    ticks: Rational,
    packets: u64,
}

/// What is made of the frames.
enum Kind {
    Picture { width: u32, height: u32 },
    Sound { samples: u32 },
}

impl Track {
    /// Opens decoder and encoder for a stream, and adds its output.
    pub fn open(stream: &Stream<'_>, target: &mut Target) -> Result<Self, Error> {
        let refused = |what: String| Error::Track(stream.index(), what);
        let mut context = Context::from_parameters(stream.parameters())?.decoder();
        context.set_packet_time_base(stream.time_base());
        let codec = decoder::find(context.id())
            .ok_or_else(|| refused(format!("no decoder for {:?}", context.id())))?;
        let mut options = Dictionary::new();
        options.set("max_pixels", MOST_SAMPLES);
        let opened = context.open_as_with(codec, options).map_err(|error| refused(error.to_string()))?;
        let (decoder, (encoder, output, kind, ticks)) = if stream.parameters().medium() == media::Type::Video
        {
            let decoder = opened.video()?;
            let fps = frame_rate(stream);
            let (width, height) =
                size(&decoder).ok_or_else(|| refused("a picture without a size".to_owned()))?;
            let encoder = picture_encoder(width, height, fps)?;
            let output = target.add(&encoder)?;
            (decoder.0, (encoder.0.0, output, Kind::Picture { width, height }, fps.invert()))
        } else {
            let decoder = opened.audio()?;
            let encoder = sound_encoder()?;
            let output = target.add(&encoder)?;
            let samples = encoder.frame_size();
            (decoder.0, (encoder.0.0, output, Kind::Sound { samples }, Rational(1, SAMPLE_RATE)))
        };
        let (input, time_base) = (stream.index(), stream.time_base());
        Ok(Self { input, output, kind, time_base, decoder, graph: None, encoder, ticks, packets: 0 })
    }

    /// Whether nothing came of it.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Takes a packet of the input. One that is damaged is left out.
    pub fn push(&mut self, packet: &Packet, target: &mut Target) -> Result<(), Error> {
        if self.decoder.send_packet(packet).is_err() {
            return Ok(());
        }
        self.decoded(target)
    }

    /// The end of the input: what waits in decoder, filters and encoder is written.
    pub fn finish(&mut self, target: &mut Target) -> Result<(), Error> {
        if self.decoder.send_eof().is_ok() {
            self.decoded(target)?;
        }
        if let Some(mut source) = self.graph.as_mut().and_then(|graph| graph.get("in")) {
            source.source().flush()?;
            self.filtered(target)?;
        }
        self.encoder.send_eof()?;
        self.encoded(target)
    }

    fn decoded(&mut self, target: &mut Target) -> Result<(), Error> {
        match self.kind {
            Kind::Picture { width, height } => {
                let mut frame = frame::Video::empty();
                while self.decoder.receive_frame(&mut frame).is_ok() {
                    if self.graph.is_none() {
                        self.graph = Some(self.picture_graph(&frame, width, height)?);
                    }
                    self.filter(&mut frame, target)?;
                }
            }
            Kind::Sound { samples } => {
                let mut frame = frame::Audio::empty();
                while self.decoder.receive_frame(&mut frame).is_ok() {
                    if self.graph.is_none() {
                        self.graph = Some(self.sound_graph(&frame, samples)?);
                    }
                    self.filter(&mut frame, target)?;
                }
            }
        }
        Ok(())
    }

    fn filter(&mut self, frame: &mut ffmpeg::Frame, target: &mut Target) -> Result<(), Error> {
        let Some(time) = frame.timestamp() else { return Ok(()) };
        frame.set_pts(Some(time));
        if let Some(mut source) = self.graph.as_mut().and_then(|graph| graph.get("in")) {
            source.source().add(frame)?;
        }
        self.filtered(target)
    }

    fn filtered(&mut self, target: &mut Target) -> Result<(), Error> {
        let mut frame = frame::Video::empty();
        while let Some(mut sink) = self.graph.as_mut().and_then(|graph| graph.get("out")) {
            if sink.sink().frame(&mut frame).is_err() {
                break;
            }
            // The encoder decides where IDRs stand.
            frame.set_kind(ffmpeg::picture::Type::None);
            self.encoder.send_frame(&frame)?;
            self.encoded(target)?;
        }
        Ok(())
    }

    fn encoded(&mut self, target: &mut Target) -> Result<(), Error> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            self.packets += 1;
            if packet.duration() == 0 {
                packet.set_duration(1); // Pictures last a tick each; only the last one needs to be told.
            }
            target.write(std::mem::replace(&mut packet, Packet::empty()), self.output, self.ticks)?;
        }
        Ok(())
    }

    fn picture_graph(&self, frame: &frame::Video, width: u32, height: u32) -> Result<filter::Graph, Error> {
        let format = frame.format().descriptor().map_or("yuv420p", |format| format.name());
        let arguments = format!(
            "video_size={}x{}:pix_fmt={format}:time_base={}:pixel_aspect=1/1",
            frame.width(),
            frame.height(),
            self.time_base
        );
        let fps = self.ticks.invert();
        let steps = format!("fps={fps},scale={width}:{height},setsar=1,format=yuv420p");
        graph(["buffer", "buffersink"], &arguments, &steps)
    }

    fn sound_graph(&self, frame: &frame::Audio, samples: u32) -> Result<filter::Graph, Error> {
        let layout = match frame.channel_layout() {
            layout if layout.is_empty() => ChannelLayout::default(frame.channels().into()),
            layout => layout,
        };
        let arguments = format!(
            "time_base={}:sample_rate={}:sample_fmt={}:channel_layout=0x{:x}",
            self.time_base,
            frame.rate(),
            frame.format().name(),
            layout.bits()
        );
        let steps = format!(
            "aresample={SAMPLE_RATE}:async=1000,aformat=sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo,asetnsamples={samples}:p=0"
        );
        graph(["abuffer", "abuffersink"], &arguments, &steps)
    }
}

/// Filters between a source named `in` and a sink named `out`.
fn graph(ends: [&str; 2], arguments: &str, steps: &str) -> Result<filter::Graph, Error> {
    let mut graph = filter::Graph::new();
    for (end, (name, arguments)) in ends.into_iter().zip([("in", arguments), ("out", "")]) {
        let filter = filter::find(end).ok_or(ffmpeg::Error::FilterNotFound)?;
        graph.add(&filter, name, arguments)?;
    }
    graph.output("in", 0)?.input("out", 0)?.parse(steps)?;
    graph.validate()?;
    Ok(graph)
}

/// As the stream says, if it can be believed; not more than the level allows.
fn frame_rate(stream: &Stream<'_>) -> Rational {
    let said = [stream.avg_frame_rate(), stream.rate()].into_iter().find(|rate| rate.0 > 0 && rate.1 > 0);
    match said {
        Some(rate) if f64::from(rate) > MOST_FPS => Rational(MOST_FPS as i32, 1),
        Some(rate) if f64::from(rate) >= 1.0 => rate,
        Some(_) => Rational(1, 1),
        None => Rational(USUAL_FPS as i32, 1),
    }
}

/// The size of the picture with square pixels, made smaller to what the level allows; both even.
fn size(decoder: &decoder::Video) -> Option<(u32, u32)> {
    let aspect = decoder.aspect_ratio();
    let aspect = if aspect.0 > 0 && aspect.1 > 0 { f64::from(aspect) } else { 1.0 };
    let (width, height) = (f64::from(decoder.width()) * aspect, f64::from(decoder.height()));
    let scale = (MOST_WIDTH / width).min(MOST_HEIGHT / height).min(1.0);
    let even = |side: f64| ((side * scale / 2.0).round() as u32 * 2).max(16);
    (width >= 1.0 && height >= 1.0).then(|| (even(width), even(height)))
}

fn picture_encoder(width: u32, height: u32, fps: Rational) -> Result<encoder::video::Encoder, Error> {
    let codec = encoder::find_by_name("libx264").ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut encoder = Context::new_with_codec(codec).encoder().video()?;
    encoder.set_width(width);
    encoder.set_height(height);
    encoder.set_format(Pixel::YUV420P);
    encoder.set_time_base(fps.invert());
    encoder.set_frame_rate(Some(fps));
    encoder.set_bit_rate(PICTURE_RATE);
    // One IDR a second, as in our own recordings.
    encoder.set_gop(f64::from(fps).round().max(1.0) as u32);
    encoder.set_flags(Flags::GLOBAL_HEADER);
    let mut options = Dictionary::new();
    for (name, value) in [
        ("preset", "veryfast"),
        ("profile", "main"),
        ("level", "3.1"),
        ("sc_threshold", "0"),
        ("maxrate", "500k"),
        ("bufsize", "800k"),
    ] {
        options.set(name, value);
    }
    Ok(encoder.open_as_with(codec, options)?)
}

fn sound_encoder() -> Result<encoder::audio::Encoder, Error> {
    let codec = encoder::find_by_name("aac").ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut encoder = Context::new_with_codec(codec).encoder().audio()?;
    encoder.set_rate(SAMPLE_RATE);
    encoder.set_channel_layout(ChannelLayout::STEREO);
    encoder.set_channels(ChannelLayout::STEREO.channels());
    encoder.set_format(Sample::F32(format::sample::Type::Planar));
    encoder.set_bit_rate(SOUND_RATE);
    encoder.set_time_base(Rational(1, SAMPLE_RATE));
    encoder.set_flags(Flags::GLOBAL_HEADER);
    Ok(encoder.open_as(codec)?)
}
