//! The modes of real cameras, as `v4l2-ctl --list-formats-ext` shows them (shortened), and what is chosen.

use super::PixelFormat::{I420, Mjpeg, Nv12, Uyvy, Yuyv};
use super::*;

/// `WIDTHxHEIGHT FPS,FPS...` one mode a line.
fn modes(format: PixelFormat, text: &str) -> Vec<Offer> {
    let parse = |line: &str| {
        let (size, rates) = line.trim().split_once(' ').expect("size and rates");
        let (width, height) = size.split_once('x').expect("a size");
        let rate = |fps: &str| {
            let tenths = (fps.parse::<f64>().expect("a rate") * 10.0) as u32;
            Rate::new(tenths, 10).expect("a rate")
        };
        Offer {
            format,
            width: width.parse().expect("a width"),
            height: height.parse().expect("a height"),
            rates: Rates::Listed(rates.split(',').map(rate).collect()),
        }
    };
    text.trim().lines().map(parse).collect()
}

fn logitech_c270() -> Vec<Offer> {
    let yuyv = "160x120 30,25,20,15,10,5
                320x176 30,25,20,15,10,5
                320x240 30,25,20,15,10,5
                352x288 30,25,20,15,10,5
                640x360 30,25,20,15,10,5
                640x480 30,25,20,15,10,5
                800x600 20,15,10,5
                960x720 10,5
                1280x720 7.5,5
                1280x960 7.5,5";
    let mjpeg = "160x120 30,25,20,15,10,5
                 320x240 30,25,20,15,10,5
                 640x480 30,25,20,15,10,5
                 800x600 30,25,20,15,10,5
                 1280x720 30,25,20,15,10,5
                 1280x960 30,25,20,15,10,5";
    [modes(Yuyv, yuyv), modes(Mjpeg, mjpeg)].concat()
}

fn logitech_c920() -> Vec<Offer> {
    let yuyv = "160x90 30,24,20,15,10,7.5,5
                320x180 30,24,20,15,10,7.5,5
                320x240 30,24,20,15,10,7.5,5
                640x360 30,24,20,15,10,7.5,5
                640x480 30,24,20,15,10,7.5,5
                800x600 24,20,15,10,7.5,5
                1280x720 10,7.5,5
                1920x1080 5
                2304x1536 2";
    let mjpeg = "320x240 30,24,20,15,10,7.5,5
                 640x480 30,24,20,15,10,7.5,5
                 1280x720 30,24,20,15,10,7.5,5
                 1920x1080 30,24,20,15,10,7.5,5";
    [modes(Yuyv, yuyv), modes(Mjpeg, mjpeg)].concat()
}

/// The built-in camera of many laptops: nothing below 640 x 480.
fn laptop() -> Vec<Offer> {
    [modes(Mjpeg, "1280x720 30\n640x480 30\n640x360 30"), modes(Yuyv, "640x480 30\n640x360 30\n1280x720 10")]
        .concat()
}

/// The kernel's test driver as a webcam (Linux 6.1): it has no 320 x 240.
fn vivid() -> Vec<Offer> {
    let sizes = "320x180 1,2,4,5,10,12.5,15,25,30,40,50,60
                 640x360 1,2,4,5,10,12.5,15,25,30,40
                 640x480 1,2,4,5,10,12.5,15,25
                 1280x720 1,2,4,5,10,12.5
                 1920x1080 1,2,4,5
                 3840x2160 1,2";
    [Yuyv, Uyvy, I420, Nv12].map(|format| modes(format, sizes)).concat()
}

/// A parallel sensor behind the camera interface of an Allwinner chip: any size, rates not told.
fn ov5640_on_sunxi(wish: &Wish) -> Vec<Offer> {
    let side = |wished| Steps { min: 32, max: 4800, step: 2 }.nearest(wished);
    let offer =
        |format| Offer { format, width: side(wish.width), height: side(wish.height), rates: Rates::Untold };
    [Yuyv, Uyvy, Nv12, I420].map(offer).to_vec()
}

/// An analog grabber with a range of rates.
fn any_rate() -> Vec<Offer> {
    let rate = |fps| Rate::new(fps, 1).expect("a rate");
    vec![Offer { format: Uyvy, width: 720, height: 576, rates: Rates::Between(rate(5), rate(25)) }]
}

fn chosen(offers: &[Offer], width: u32, height: u32, fps: u32) -> String {
    choose(offers, &Wish { width, height, fps, format: None })
        .map_or("none".to_owned(), |choice| choice.to_string())
}

#[test]
fn what_is_chosen_on_real_cameras() {
    let sunxi = ov5640_on_sunxi(&Wish { width: 320, height: 240, fps: 30, format: None });
    for (offers, wish, expected) in [
        (logitech_c270(), (320, 240, 30), "YUYV 320x240 at 30 fps"),
        (logitech_c270(), (320, 240, 12), "YUYV 320x240 at 15 fps"),
        (logitech_c270(), (1280, 720, 30), "MJPEG 1280x720 at 30 fps"),
        (logitech_c270(), (1280, 720, 5), "YUYV 1280x720 at 5 fps"),
        (logitech_c270(), (240, 320, 30), "YUYV 640x360 at 30 fps"),
        (logitech_c920(), (320, 240, 30), "YUYV 320x240 at 30 fps"),
        (logitech_c920(), (800, 600, 30), "YUYV 800x600 at 24 fps"),
        (logitech_c920(), (640, 480, 60), "YUYV 640x480 at 30 fps"),
        (logitech_c920(), (1920, 1080, 30), "MJPEG 1920x1080 at 30 fps"),
        (logitech_c920(), (1920, 1088, 30), "MJPEG 1920x1080 at 30 fps"),
        (laptop(), (320, 240, 30), "YUYV 640x360 at 30 fps"),
        (laptop(), (320, 240, 25), "YUYV 640x360 at 30 fps"),
        (laptop(), (1280, 720, 25), "MJPEG 1280x720 at 30 fps"),
        (vivid(), (320, 240, 30), "I420 640x360 at 30 fps"),
        (vivid(), (320, 240, 25), "I420 640x360 at 25 fps"),
        (vivid(), (640, 480, 30), "I420 640x480 at 25 fps"),
        (vivid(), (1920, 1080, 5), "I420 1920x1080 at 5 fps"),
        (sunxi, (320, 240, 30), "I420 320x240"),
        (any_rate(), (320, 240, 30), "UYVY 720x576 at 25 fps"),
        (any_rate(), (320, 240, 12), "UYVY 720x576 at 12 fps"),
        (any_rate(), (320, 240, 2), "UYVY 720x576 at 5 fps"),
        (Vec::new(), (320, 240, 30), "none"),
    ] {
        let (width, height, fps) = wish;
        assert_eq!(chosen(&offers, width, height, fps), expected, "{wish:?}");
    }
}

#[test]
fn a_format_that_is_wished_for_is_had_or_nothing() {
    let chosen = |format| {
        let wish = Wish { width: 320, height: 240, fps: 30, format: Some(format) };
        choose(&logitech_c270(), &wish).map(|choice| choice.to_string())
    };
    assert_eq!(chosen(Mjpeg).as_deref(), Some("MJPEG 320x240 at 30 fps"));
    assert_eq!(chosen(Nv12), None);
}

#[test]
fn a_size_that_is_too_large_falls_back_to_the_largest() {
    assert_eq!(chosen(&modes(Yuyv, "160x120 30\n176x144 30"), 320, 240, 30), "YUYV 176x144 at 30 fps");
}

#[test]
fn a_stepwise_size_is_rounded_up_within_its_limits() {
    let steps = Steps { min: 48, max: 1280, step: 16 };
    assert_eq!([1, 48, 49, 320, 1279, 5000].map(|side| steps.nearest(side)), [48, 48, 64, 320, 1280, 1280]);
    assert_eq!(Steps { min: 2, max: 9, step: 0 }.nearest(7), 7);
    assert_eq!(Steps { min: 9, max: 2, step: 4 }.nearest(7), 9);
}

#[test]
fn a_turned_camera_is_asked_for_its_own_orientation() {
    let camera = Camera { width: 240, height: 320, rotate: 90, ..Camera::default() };
    assert_eq!(Wish::of(&camera), Wish { width: 320, height: 240, fps: 30, format: None });
}
