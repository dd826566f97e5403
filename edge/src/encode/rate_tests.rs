//! The rate control against a simulated encoder, and the real one over pictures as hard as they get.

use super::activity::Activity;
use super::cadence::{Cadence, Kind};
use super::coder::{Coded, Coder};
use super::rate::{BASE_QP, Facts, Limits, MOST_QP, RateControl};
use super::scenes;
use crate::config::{Camera, Profile, Video};
use crate::frames::Picture;
use media::Ticks90k;

const FPS: i64 = 30;
const LIMITS: Limits = Limits { bitrate: 400_000.0, peak: 1_200_000.0, samples: 320.0 * 240.0 * 30.0 };

/// Footage as the simulation sees it: bits at QP 26, and what the meter would show.
#[derive(Clone, Copy)]
struct Scene {
    seconds: i64,
    idr_bits: f64,
    p_bits: f64,
    activity: Activity,
}

const fn scene(seconds: i64, idr_bits: f64, p_bits: f64, spatial: f64, temporal: f64) -> Scene {
    Scene { seconds, idr_bits, p_bits, activity: Activity { spatial, temporal } }
}

/// A minute: a quiet yard, people, a bicycle ride, an animation, the yard again.
const MINUTE: [Scene; 5] = [
    scene(12, 90e3, 4e3, 8.0, 1.5),
    scene(13, 95e3, 8e3, 8.0, 2.5),
    scene(10, 110e3, 21e3, 11.0, 9.0),
    scene(5, 60e3, 6e3, 5.0, 3.0),
    scene(20, 92e3, 5e3, 8.0, 1.5),
];

/// The simulated encoder: `exponent` steps of QP halve a picture, and chance moves its size by up to a third.
struct Simulation {
    rate: RateControl,
    n: i64,
    before: Option<Activity>,
    chance: u64,
    exponent: f64,
    sizes: Vec<f64>,
    base: Vec<f64>,
    left_out: usize,
}

impl Simulation {
    fn new(exponent: f64) -> Self {
        let (sizes, base) = (Vec::new(), Vec::new());
        Self {
            rate: RateControl::new(LIMITS),
            n: 0,
            before: None,
            chance: 1,
            exponent,
            sizes,
            base,
            left_out: 0,
        }
    }

    fn random(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn run(&mut self, scenes: &[Scene]) {
        for scene in scenes {
            for _ in 0..scene.seconds * FPS {
                self.picture(scene);
            }
        }
    }

    fn picture(&mut self, scene: &Scene) {
        let idr = self.n % FPS == 0;
        let cut = self.before.is_some_and(|before| before != scene.activity);
        self.before = Some(scene.activity);
        let temporal = if cut { 40.0 } else { scene.activity.temporal };
        let activity = Activity { temporal, ..scene.activity };
        let facts = Facts { pts: Ticks90k(self.n * 90_000 / FPS), idr, activity };
        self.n += 1;
        let at_26 = if idr || cut { scene.idr_bits } else { scene.p_bits } * (0.67 + 0.66 * self.random());
        let mut qp = self.rate.plan(&facts);
        loop {
            let bits = at_26 * ((26.0 - f64::from(qp)) / self.exponent).exp2();
            if self.rate.admit(&facts, qp, bits) {
                self.sizes.push(bits);
                break;
            }
            if !idr || qp == MOST_QP {
                self.sizes.push(0.0);
                self.left_out += 1;
                break;
            }
            qp = (qp + 6).min(MOST_QP);
        }
        if idr {
            self.base.push(self.rate.base_qp());
        }
    }

    fn average(&self, seconds: std::ops::Range<usize>) -> f64 {
        let span = seconds.len() as f64;
        self.sizes[seconds.start * FPS as usize..seconds.end * FPS as usize].iter().sum::<f64>() / span
    }
}

fn most_in_a_second(sizes: &[f64]) -> f64 {
    sizes.windows(FPS as usize).map(|second| second.iter().sum()).fold(0.0, f64::max)
}

#[test]
fn the_average_of_changing_scenes_is_within_two_percent_of_the_bitrate() {
    for exponent in [5.0, 6.0, 7.0] {
        let mut simulation = Simulation::new(exponent);
        for _ in 0..3 {
            simulation.run(&MINUTE);
        }
        let after_the_first_minute = simulation.average(60..180) / LIMITS.bitrate;
        assert!((0.98..=1.0).contains(&after_the_first_minute), "{after_the_first_minute} at {exponent}");
        for start in [0, 60, 120] {
            let minute = simulation.average(start..start + 60) / LIMITS.bitrate;
            assert!((0.95..=1.01).contains(&minute), "{minute} from {start} s, at {exponent}");
        }
    }
}

#[test]
fn a_bitrate_that_is_changed_meanwhile_is_the_one_that_is_held() {
    let mut simulation = Simulation::new(6.0);
    simulation.run(&MINUTE);
    simulation.rate.retarget(Limits { bitrate: 200_000.0, peak: 600_000.0, ..LIMITS });
    simulation.run(&MINUTE);
    simulation.run(&MINUTE);
    let held = simulation.average(120..180) / 200_000.0;
    assert!((0.93..=1.02).contains(&held), "{held}");
}

#[test]
fn the_quality_of_a_scene_is_steady() {
    let mut simulation = Simulation::new(6.0);
    simulation.run(&[scene(90, 90e3, 8e3, 8.0, 2.0)]);
    let settled = &simulation.base[30..];
    let (least, most) =
        (settled.iter().copied().fold(51.0, f64::min), settled.iter().copied().fold(0.0, f64::max));
    assert!(most - least <= 1.0, "QP {least} to {most} within one scene");
    let mut simulation = Simulation::new(6.0);
    simulation.run(&MINUTE);
    let steps = simulation.base.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    assert!(steps.fold(0.0, f64::max) <= 2.0, "{:?}", simulation.base);
}

#[test]
fn no_second_is_larger_than_the_peak_when_scenes_cut_and_explode() {
    let wild = [
        scene(3, 30e3, 1e3, 2.0, 0.4),
        scene(2, 600e3, 130e3, 45.0, 40.0),
        scene(1, 50e3, 2e3, 3.0, 1.0),
        scene(2, 400e3, 170e3, 30.0, 30.0),
        scene(4, 90e3, 8e3, 8.0, 2.0),
    ];
    for exponent in [5.0, 6.0, 7.0] {
        let mut simulation = Simulation::new(exponent);
        for _ in 0..10 {
            simulation.run(&wild);
        }
        let most = most_in_a_second(&simulation.sizes);
        assert!(most <= LIMITS.peak, "{most}");
        let (left_out, all) = (simulation.left_out, simulation.sizes.len());
        assert!(left_out * 100 < all, "{left_out} of {all} pictures left out, at {exponent}");
    }
}

#[test]
fn the_peak_holds_even_where_the_meter_sees_nothing() {
    // Every 40th picture is fifty times what it looks like.
    let mut simulation = Simulation::new(6.0);
    let calm = scene(1, 90e3, 8e3, 8.0, 2.0);
    for n in 0..1200 {
        let burst = if n % 40 == 20 { 50.0 } else { 1.0 };
        simulation.picture(&Scene { p_bits: calm.p_bits * burst, ..calm });
    }
    assert!(most_in_a_second(&simulation.sizes) <= LIMITS.peak);
}

#[test]
fn a_picture_that_shows_nothing_does_not_go_below_the_floor() {
    let mut simulation = Simulation::new(6.0);
    simulation.run(&[scene(300, 4e3, 100.0, 0.2, 0.1), scene(60, 90e3, 8e3, 8.0, 2.0)]);
    assert_eq!(simulation.base[250], BASE_QP.0);
    let minute_after = simulation.average(300..360);
    assert!(
        minute_after <= 1.12 * LIMITS.bitrate,
        "what a quiet night saved is not spent at once: {minute_after}"
    );
}

#[test]
fn too_hard_a_scene_ends_at_the_ceiling() {
    let mut simulation = Simulation::new(6.0);
    simulation.run(&[scene(60, 9e6, 3e6, 60.0, 60.0)]);
    assert_eq!(simulation.base.last(), Some(&BASE_QP.1));
    assert!(most_in_a_second(&simulation.sizes) <= LIMITS.peak);
}

#[test]
fn the_real_encoder_stays_below_the_peak_over_noise_and_cuts() {
    for (profile, bitrate) in [(Profile::ConstrainedBaseline, 400_000), (Profile::Main, 150_000)] {
        let video = Video { bitrate, profile, ..Video::default() };
        let mut coder = Coder::new(&Camera::default(), &video);
        let mut cadence = Cadence::default();
        let mut picture = Picture::new(320, 240);
        picture.frame_duration = Ticks90k(3000);
        let (mut sizes, mut left_out) = (Vec::new(), 0);
        for n in 0..360_u32 {
            // Scenes of a second and a half, then of a sixth of a second, with noise in both.
            scenes::paint(&mut picture, if n < 180 { n / 45 } else { n / 5 }, n);
            picture.pts = Ticks90k(i64::from(n) * 3000);
            let kind = cadence.kind(picture.pts);
            let coded = match kind {
                Kind::Frozen | Kind::Late => Coded::LeftOut,
                Kind::Idr | Kind::P => coder.encode(&picture, kind == Kind::Idr).expect("encodes"),
            };
            if coded == Coded::LeftOut {
                cadence.freeze();
                left_out += 1;
                sizes.push(0.0);
                continue;
            }
            if kind == Kind::Idr {
                cadence.started(picture.pts);
            }
            sizes.push(coder.unit().len() as f64 * 8.0);
        }
        let most = most_in_a_second(&sizes);
        assert!(most <= f64::from(bitrate) * 3.0, "{most} bits in a second at {bitrate}");
        assert_eq!(left_out, 0, "no picture is left out, at {bitrate}");
    }
}
